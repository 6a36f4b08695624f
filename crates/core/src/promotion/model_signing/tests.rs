//! The bundles were made by the `model-signing` tool, or with its functions (`tests/data/model_signing/make.py`).

use std::path::{Path, PathBuf};

use super::*;

/// 2025-06-01.
const NOW: i64 = 1_748_736_000_000;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/model_signing").join(name)
}

fn bundle(name: &str) -> Result<Bundle, String> {
    let text = std::fs::read_to_string(data(&format!("{name}.sig"))).unwrap();
    Bundle::read(&serde_json::from_str(&text).unwrap())
}

/// Signers as a policy writes them: ids with what follows `format`.
fn signers(written: &[(&str, &str, &str)]) -> Vec<ModelSigner> {
    let entry = |(id, file, more): &(&str, &str, &str)| {
        let key = if file.contains("ca") { "ca_certificates" } else { "public_key" };
        let pem = std::fs::read_to_string(data(file)).unwrap().replace('\n', "\n      ");
        format!("  - id: {id}\n    format: model_signing\n{more}    {key}: |\n      {pem}\n")
    };
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nfeatures: {{numeric: [a]}}\n\
         checks: {{g: {{window: {{size: 1h, slide: 1h}}, rules: [psi: {{of: features, lt: 0.2}}]}}}}\n\
         signing:\n  keys:\n{}",
        written.iter().map(entry).collect::<String>()
    );
    crate::policy::parse(&text, Path::new("p.yaml")).unwrap().model_signers
}

fn key(name: &str) -> Vec<ModelSigner> {
    signers(&[("models", &format!("{name}.pub.pem"), "")])
}

fn authority(identity: &str) -> Vec<ModelSigner> {
    let more = if identity.is_empty() { String::new() } else { format!("    identity: \"{identity}\"\n") };
    signers(&[("company", "ca.pem", &more)])
}

#[test]
fn keys_of_each_curve_verify_and_no_other() {
    for name in ["p256", "p384", "p521"] {
        let bundle = bundle(name).unwrap();
        assert_eq!(bundle.verify(&key(name), NOW).as_deref(), Ok("signed by key \"models\""), "{name}");
        let error = bundle.verify(&key("other"), NOW).unwrap_err();
        assert!(error.contains("models: the bundle names another key"), "{error}");
    }
    // Whatever the bundle says of the key, it is the policy's that must verify.
    let mut hidden = bundle("other").unwrap();
    hidden.material = Material::Key(None);
    let error = hidden.verify(&key("p256"), NOW).unwrap_err();
    assert!(error.contains("does not verify: it is by another key, or was changed"), "{error}");
    let both = signers(&[("old", "p384.pub.pem", ""), ("new", "p256.pub.pem", "")]);
    assert_eq!(bundle("p256").unwrap().verify(&both, NOW).as_deref(), Ok("signed by key \"new\""));
    let error = bundle("p256").unwrap().verify(&[], NOW).unwrap_err();
    assert!(error.contains("the policy pins nobody for model signing"), "{error}");
    let error = bundle("p256").unwrap().verify(&authority(""), NOW).unwrap_err();
    assert!(error.contains("was signed with a bare key"), "{error}");
    let mut changed = bundle("p256").unwrap();
    changed.payload.push(b' ');
    assert!(changed.verify(&key("p256"), NOW).is_err());
}

#[test]
fn a_chain_leads_to_the_pinned_ca_and_names_whom_the_policy_asks_for() {
    let chain = bundle("chain").unwrap();
    let signed = "signed by \"release@company.example\" under the CA \"company\"";
    for identity in ["", "release@company.example", "https://ci.example/models", "model release"] {
        assert_eq!(chain.verify(&authority(identity), NOW).as_deref(), Ok(signed), "{identity}");
    }
    let of = |name: &str, signers: &[ModelSigner], now| bundle(name).unwrap().verify(signers, now).unwrap_err();
    let error = of("chain", &authority("someone@company.example"), NOW);
    assert!(error.contains("names \"release@company.example\", \"https://ci.example/models\", \"model release\", and the policy asks for \"someone@company.example\""), "{error}");
    let other = signers(&[("other", "other-ca.pem", "")]);
    assert!(of("chain", &other, NOW).contains("does not lead to a CA that the policy pins"));
    assert!(of("expired", &authority(""), NOW).contains("has expired: sign anew"));
    assert!(of("chain", &authority(""), 0).contains("is not valid yet"));
    assert!(of("server", &authority(""), NOW).contains("its certificate is not for code signing"));
    assert!(of("chain", &key("p256"), NOW).contains("the bundle brings certificates"));
    let mut without = bundle("chain").unwrap();
    let Material::Chain(certificates) = &mut without.material else { panic!("a chain") };
    certificates.truncate(1);
    assert!(without.verify(&authority(""), NOW).unwrap_err().contains("does not lead to a CA"));
    let mut changed = bundle("chain").unwrap();
    changed.payload.push(b' ');
    assert!(changed.verify(&authority(""), NOW).unwrap_err().contains("it was changed"));
}

#[test]
fn a_statement_lists_files_or_shards() {
    let of = |name: &str| bundle(name).unwrap().manifest().unwrap();
    let files = of("p256");
    let names: Vec<&str> = files.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["config.json", "weights/part-1.bin", "weights/part-2.bin"]);
    assert!(files.ignored.contains(&"model.sig".to_owned()) && !files.allow_symlinks && files.shard.is_none());
    let shards = of("shards");
    let ranges: Vec<_> = shards.files["weights/part-1.bin"].iter().map(|part| part.range.unwrap()).collect();
    assert_eq!((shards.shard, ranges), (Some(100), vec![(0, 100), (100, 200), (200, 250)]));
    assert_eq!(of("blake2").files["config.json"][0].hash, Hash::Blake2b);
    assert_eq!(of("blake3").files["config.json"][0].hash, Hash::Blake3);
    assert_eq!(of("single").files.keys().collect::<Vec<_>>(), ["."]);
    assert!(of("links").allow_symlinks);
}

#[test]
fn a_statement_that_is_wrong_in_itself_is_refused_though_it_is_signed() {
    for (name, says) in [
        ("traversal", "\"../config.json\" is no name of a file within the model"),
        ("absolute", "\"/etc/passwd\" is no name of a file within the model"),
        ("swapped", "contradicts itself: the digests it lists come to"),
        ("twice", "lists \"config.json\" 2 times"),
        ("nothing", "lists no file"),
        ("ignores-all", "ignores \".\", which names nothing within the model"),
        ("other-predicate", "not a https://in-toto.io/Statement/v1 with a https://model_signing/signature/v1.0"),
        ("md5", "its digests are \"md5\"; sha256, blake2b and blake3 are known"),
    ] {
        let bundle = bundle(name).unwrap();
        assert!(bundle.verify(&key("p256"), NOW).is_ok(), "{name} is signed");
        let error = bundle.manifest().unwrap_err();
        assert!(error.contains(says), "{name}: {error}");
    }
    for (name, says) in [
        ("payload-type", "its payloadType is \"text/plain\", not application/vnd.in-toto+json"),
        ("two-signatures", "it holds 2 signatures; a bundle has one"),
        ("keyless", "it is keyless"),
    ] {
        let error = bundle(name).unwrap_err();
        assert!(error.contains(says), "{name}: {error}");
    }
    for other in [r#"{"dsseEnvelope": {}}"#, r#"{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}"#, "[]"]
    {
        assert!(Bundle::read(&serde_json::from_str(other).unwrap()).is_err(), "{other}");
    }
}

#[test]
fn what_a_policy_pins_is_read_with_its_curve() {
    let error = |more: &str| {
        let text = format!(
            "apiVersion: driftgate/v1\nmodel: m\nfeatures: {{numeric: [a]}}\n\
             checks: {{g: {{window: {{size: 1h, slide: 1h}}, rules: [psi: {{of: features, lt: 0.2}}]}}}}\n\
             signing: {{keys: [{{id: a, format: model_signing{more}}}]}}\n"
        );
        crate::policy::parse(&text, Path::new("p.yaml")).unwrap_err().to_string()
    };
    let ed = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert!(error(&format!(", public_key: \"{ed}\"")).contains("no public key of P-256, P-384 or P-521"));
    assert!(error("").contains("neither `public_key` nor `ca_certificates`"));
    assert!(error(", ca_certificates: x").contains("expected CERTIFICATEs of CAs in PEM"));
    assert!(error(", algorithm: ed25519, public_key: x").contains("unknown key `algorithm`"));
}
