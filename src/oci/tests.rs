//! Locations, and what becomes of a registry's answers. A real registry is asked by the integration tests.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

fn named(text: &str) -> (String, String) {
    let location: Location = text.parse().unwrap();
    (location.registry().to_owned(), location.named())
}

#[test]
fn a_location_has_a_registry_a_repository_and_a_tag_or_a_digest() {
    let hex = "ab".repeat(32);
    for (text, registry, within) in [
        ("oci://ghcr.io/acme/credit:7".to_owned(), "ghcr.io", "acme/credit:7".to_owned()),
        ("oci://ghcr.io/acme/credit".to_owned(), "ghcr.io", "acme/credit:latest".to_owned()),
        (format!("oci://localhost:5000/credit@sha256:{hex}"), "localhost:5000", format!("credit@sha256:{hex}")),
        (format!("oci://registry:5000/a/b/c:v1@sha256:{hex}"), "registry:5000", format!("a/b/c@sha256:{hex}")),
        ("oci://models/credit:7".to_owned(), "models", "credit:7".to_owned()),
        ("oci://[::1]:5000/credit:7".to_owned(), "[::1]:5000", "credit:7".to_owned()),
    ] {
        assert_eq!(named(&text), (registry.to_owned(), within), "{text}");
    }
    for wrong in [
        "s3://a/b",
        "oci://ghcr.io",
        "oci:///credit:7",
        "oci://user:word@ghcr.io/credit",
        "oci://ghcr.io/Credit:7",
        "oci://ghcr.io/a@sha256:ab",
    ] {
        let error = wrong.parse::<Location>().unwrap_err();
        assert!(matches!(error, OciError::Location { .. }) && error.to_string().contains(wrong), "{error}");
    }
}

/// What is found of a manifest where a registry answers this to each request.
fn answered(answer: &'static str) -> Result<String, OciError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            // The question whether a login is needed: none is.
            let version = request[..read].windows(9).any(|part| part == b"GET /v2/ ");
            let answer = if version { "200 OK\r\n" } else { answer };
            let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
            let said = format!(
                "HTTP/1.1 {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                head.trim(),
                body.len()
            );
            let _ = stream.write_all(said.as_bytes());
        }
    });
    Registries::default().digest(&format!("oci://127.0.0.1:{port}/credit:7"))
}

#[test]
fn a_digest_is_what_the_registry_answers_and_else_an_error_says_why() {
    let found =
        "200 OK\r\nDocker-Content-Digest: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    assert_eq!(answered(found).unwrap(), "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    let missing = answered("404 Not Found\n\n{\"errors\": [{\"code\": \"MANIFEST_UNKNOWN\", \"message\": \"no\"}]}");
    let missing = missing.unwrap_err();
    assert!(matches!(missing, OciError::Missing { .. }) && missing.is_of_content(), "{missing}");
    assert!(missing.to_string().ends_with(" has no manifest credit:7"), "{missing}");
    for refusal in ["401 Unauthorized", "403 Forbidden\n\n{\"errors\": [{\"code\": \"DENIED\", \"message\": \"no\"}]}"]
    {
        let error = answered(refusal).unwrap_err();
        assert!(matches!(error, OciError::Forbidden { .. }) && !error.is_of_content(), "{error}");
    }
    for away in ["503 Service Unavailable", "429 Too Many Requests\n\nslowly"] {
        let error = answered(away).unwrap_err();
        assert!(matches!(error, OciError::Unreachable { .. }), "{error}");
    }
    let other = answered("400 Bad Request\n\nwhat?").unwrap_err();
    assert!(matches!(other, OciError::Refused { .. }) && other.to_string().ends_with("400 what?"), "{other}");
    let nobody = Registries::default().digest("oci://127.0.0.1:1/credit:7").unwrap_err();
    assert!(matches!(nobody, OciError::Unreachable { .. }), "{nobody}");
}

#[test]
fn a_file_of_logins_that_was_named_has_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let login = || logins::login("ghcr.io", Some(&path));
    assert!(matches!(login(), Err(OciError::Login { .. })), "{:?}", login());
    std::fs::write(&path, "{\"auths\": {\"ghcr.io\": {\"auth\": \"YW5hOnNlY3JldA==\"}}}").unwrap();
    assert_eq!(login(), Ok(RegistryAuth::Basic("ana".into(), "secret".into())));
    assert_eq!(logins::login("quay.io", Some(&path)), Ok(RegistryAuth::Anonymous), "nobody logged in there");
    std::fs::write(&path, "{\"auths\": ").unwrap();
    assert!(matches!(login(), Err(OciError::Login { .. })), "{:?}", login());
}
