//! The TLS port against certificates that openssl makes here: who is trusted, who is let in, and what happens when the
//! certificate is replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::{Certificate, Identity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::raw::{ask, lives};
use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, token};
use crate::support::Folder;

fn openssl(folder: &Folder, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path("")).output().unwrap();
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority `NAME.pem` with its key.
fn authority(folder: &Folder, name: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    openssl(folder, &format!("req -x509 -new -key {name}.key -subj /CN={name} -days 30 -out {name}.pem"));
}

/// A certificate `NAME.pem` of 127.0.0.1 by an authority, for so many days.
fn certificate(folder: &Folder, name: &str, by: &str, days: u32) {
    folder.write("ext", "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    openssl(folder, &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -set_serial 7 -days {days} -extfile ext -out {name}.pem"
        ),
    );
}

fn put(folder: &Folder, name: &str) {
    for end in ["pem", "key"] {
        std::fs::copy(folder.path(&format!("{name}.{end}")), folder.path(&format!("new.{end}"))).unwrap();
        std::fs::rename(folder.path(&format!("new.{end}")), folder.path(&format!("server.{end}"))).unwrap();
    }
}

/// A service whose daemon speaks TLS, and where it does.
fn start(model: &str, more: &str) -> (Service, Daemon, String) {
    let service = Service::new(model, "", CANARY, "");
    let folder = &service.folder;
    ["ca", "other-ca", "client-ca"].iter().for_each(|name| authority(folder, name));
    certificate(folder, "first", "ca", 20);
    put(folder, "first");
    let tls = format!(
        "tokens_file: tokens, tls: {{listen: \"127.0.0.1:0\", certificate: server.pem, key: server.key{more}}}}}"
    );
    let config = folder.read("driftgate.yaml").replace("tokens_file: tokens}", &tls);
    folder.write("driftgate.yaml", config);
    let daemon = Daemon::start(&service.config(), &[]);
    let url = wait_for("the TLS port", || {
        let log = daemon.log();
        let line = log.lines().find(|l| l.contains("\"message\":\"https\""))?.to_owned();
        let line: Value = serde_json::from_str(&line).ok()?;
        Some(format!("https://{}", line["address"].as_str()?))
    });
    (service, daemon, url)
}

fn client(folder: &Folder, ca: &str) -> reqwest::blocking::ClientBuilder {
    let pem = folder.read(&format!("{ca}.pem"));
    Client::builder().no_proxy().tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()])
}

/// A connection of TLS that stays.
fn kept(folder: &Folder, url: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for name in ["ca", "other-ca"] {
        roots.add(CertificateDer::from_pem_file(folder.path(&format!("{name}.pem"))).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    let stream = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    StreamOwned::new(session, stream)
}

/// Asks for `/live` on it.
fn lives_on(stream: &mut StreamOwned<ClientConnection, TcpStream>) {
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nlive") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
}

fn shown(stream: &StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

#[test]
fn a_certificate_is_trusted_by_its_authority_and_replaced_while_connections_go_on() {
    let (service, daemon, url) = start("secured", "");
    let folder = &service.folder;
    let run = |arguments: &str| folder.driftgate(&format!("{arguments} --server {url}"));
    run("status --ca-file ca.pem").prints("secured");
    run("status --ca-file other-ca.pem").exits(5).says("certificate");
    run("status").exits(5).says("certificate");
    run("status --ca-file nowhere.pem").exits(2).says("--ca-file nowhere.pem cannot be read");
    run("status --ca-file first.key").exits(2).says("holds no certificate");
    run("register secured 1 --ca-file ca.pem --token-file op.token").exits(0);
    // Neither port speaks the other's language, and both answer on.
    assert_eq!(ask(&url, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").matches("200 OK").count(), 0);
    lives(&daemon.url);

    let first = folder.path("first.pem");
    let mut before = kept(folder, &url);
    lives_on(&mut before);
    assert_eq!(shown(&before), der(&first));
    let ends = |daemon: &Daemon| daemon.metric("driftgate_tls_certificate_expiry_timestamp_seconds ").unwrap();
    let now = f64::from(u32::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap());
    let days = |daemon: &Daemon| ((ends(daemon) - now) / 86_400.0).round();
    assert_eq!(days(&daemon), 20.0);

    // Another one is shown to whoever comes then, soon, without a signal.
    certificate(folder, "second", "other-ca", 25);
    put(folder, "second");
    wait_for("the new certificate", || (days(&daemon) == 25.0).then_some(()));
    lives_on(&mut before);
    let mut after = kept(folder, &url);
    lives_on(&mut after);
    assert_eq!(shown(&after), der(&folder.path("second.pem")));
    run("status --ca-file ca.pem").exits(5);
    run("status --ca-file other-ca.pem").prints("secured");

    // What cannot be used changes nothing, and is told.
    let problem = || {
        let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
        let problems = status["problems"].as_array().unwrap().clone();
        problems.iter().find_map(|p| Some(p["problem"].as_str()?.strip_prefix("https: ")?.to_owned()))
    };
    assert_eq!(problem(), None);
    certificate(folder, "third", "ca", 3);
    std::fs::copy(folder.path("third.key"), folder.path("server.key")).unwrap();
    let why = wait_for("the problem of another's key", problem);
    assert!(why.starts_with("the certificate read before holds: ") && why.contains("server.key"), "{why}");
    folder.write("server.pem", "nothing");
    daemon.signal("HUP");
    let why =
        wait_for("the problem of no certificate", || problem().filter(|why| why.contains("holds no certificate")));
    assert!(why.contains("server.pem"), "{why}");
    lives_on(&mut kept(folder, &url));
    lives_on(&mut before);
    // One that ends soon is warned of.
    put(folder, "third");
    let why = wait_for("the end to be near", || problem().filter(|why| why.contains("ends soon")));
    assert!(daemon.log().contains(&why), "{why}");
    assert_eq!(days(&daemon), 3.0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn without_a_client_certificate_only_probes_are_answered_where_one_is_asked_for() {
    let (service, daemon, url) = start("mutual", ", client_ca: client-ca.pem");
    let folder = &service.folder;
    certificate(folder, "client", "client-ca", 5);
    certificate(folder, "stranger", "other-ca", 5);
    let run = |arguments: &str| folder.driftgate(&format!("{arguments} --ca-file ca.pem --server {url}"));
    run("status").exits(2).says("this needs a client certificate");
    run("register mutual 1 --token-file op.token").exits(2).says("this needs a client certificate");
    run("status --client-certificate client.pem --client-key client.key").prints("mutual");
    run("status --client-certificate client.pem").exits(2).says("give --client-key");
    run("status --client-certificate stranger.pem --client-key stranger.key").exits(5);
    let anybody = client(folder, "ca").build().unwrap();
    let code = |client: &Client, path: &str| client.get(format!("{url}{path}")).send().unwrap().status().as_u16();
    assert_eq!(code(&anybody, "/live"), 200);
    assert!([200, 503].contains(&code(&anybody, "/ready")));
    for path in ["/", "/metrics", "/api/v1/status", "/live/", "//live", "/nowhere"] {
        assert_eq!(code(&anybody, path), 403, "{path}");
    }
    let pem = folder.read("client.pem") + &folder.read("client.key");
    let known = client(folder, "ca").identity(Identity::from_pem(pem.as_bytes()).unwrap()).build().unwrap();
    assert_eq!((code(&known, "/metrics"), code(&known, "/nowhere")), (200, 404));

    // Handshakes that never end hold up nobody, and are cut off.
    let mut silent: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(url.trim_start_matches("https://")).unwrap()).collect();
    silent.iter_mut().for_each(|s| s.write_all(&[0x16, 0x03, 0x01]).unwrap());
    assert_eq!(code(&known, "/live"), 200);
    wait_for("the handshakes' end", || {
        (daemon.metric("driftgate_http_timeouts_total{phase=\"handshake\"}")? >= 50.0).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_daemon_whose_certificate_cannot_be_used_says_why_and_does_not_start() {
    let service = Service::new("unsecured", "", CANARY, "");
    let folder = &service.folder;
    authority(folder, "ca");
    let config = folder.read("driftgate.yaml");
    let tls = "tokens_file: tokens, tls: {listen: \"127.0.0.1:0\", certificate: ca.pem, key: KEY}}";
    for (key, expected) in
        [("nowhere.key", "cannot be read"), ("ca.pem", "no private key"), ("other.key", "cannot be used")]
    {
        openssl(folder, "ecparam -name prime256v1 -genkey -noout -out other.key");
        folder.write("driftgate.yaml", config.replace("tokens_file: tokens}", &tls.replace("KEY", key)));
        folder.driftgate("run --config driftgate.yaml").exits(2).says("http.tls").says(expected);
    }
}

#[test]
fn the_command_line_warns_when_a_token_goes_in_clear_beyond_this_machine() {
    let folder = Folder::new();
    folder.write("op.token", token("op"));
    let warning = "warning: the token is sent to http://192.0.2.1:9 unencrypted";
    let daemon = "register m 1 --server http://192.0.2.1:9 --token-file op.token";
    let run = folder.driftgate(daemon).exits(5);
    assert_eq!(run.stderr.matches(warning).count(), 1, "{}", run.stderr);
    for quiet in [
        "register m 1 --server https://192.0.2.1:9 --token-file op.token",
        "register m 1 --server http://localhost:9 --token-file op.token",
        "status --server http://192.0.2.1:9",
    ] {
        let run = folder.driftgate(quiet).exits(5);
        assert!(!run.stderr.contains("unencrypted"), "{quiet}: {}", run.stderr);
    }
}
