//! Servers whose certificates a company's own CA has signed: refused unless the configuration names that CA, and then each of
//! them is reached. The certificates are openssl's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::broker::{Daemon, topic, wait_for};
use crate::service::{CANARY, Service, serving};
use crate::support::Folder;

/// A CA and the certificate of this machine that it signed, as `ca.pem`, `server.pem` and `server.key`.
fn certificates(folder: &Folder) {
    let openssl = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder.path("")).output();
        let run = run.unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    };
    folder.write("server.ext", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {new} -keyout ca.key -out ca.pem -days 30 -subj /CN=company"));
    openssl(&format!("req {new} -keyout server.key -out server.csr -subj /CN=server"));
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.pem",
    );
}

/// MLflow, Prometheus, a webhook and an object store in one: answers each request by its path, and tells of it.
fn server(folder: &Folder) -> (u16, Receiver<String>) {
    let chain = CertificateDer::pem_file_iter(folder.path("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.path("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let snapshot = folder.read("train.csv");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, received) = channel();
    let send = Arc::new(Mutex::new(send));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, snapshot, send) = (Arc::clone(&config), snapshot.clone(), Arc::clone(&send));
            std::thread::spawn(move || {
                let session = ServerConnection::new(config).unwrap();
                let mut reader = BufReader::new(StreamOwned::new(session, stream));
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let length = head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                if head.is_empty() || reader.read_exact(&mut body).is_err() {
                    return;
                }
                let answer = if head.contains("/api/v1/query") {
                    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"version":"1"},"value":[1700000000,"0.5"]}]}}"#
                } else if head.contains("/training/") {
                    &snapshot
                } else {
                    "{}"
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"1\"\r\nlast-modified: Tue, 14 Nov 2023 22:13:20 GMT\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                let _ = reader.get_mut().write_all(answer.as_bytes());
                reader.get_mut().conn.send_close_notify();
                let _ = reader.get_mut().flush();
                let _ = send.lock().unwrap().send(head.lines().next().unwrap_or_default().to_owned());
            });
        }
    });
    (port, received)
}

/// A daemon that asks all of them, with a version whose snapshot lies in the store.
fn daemon(service: &Service, measurements: &str, port: u16, own: &str, all: &str) -> Daemon {
    let before = service.folder.read("driftgate.yaml");
    let url = format!("https://127.0.0.1:{port}");
    let config = before.replace("publish: {", &format!("publish: {{webhooks: [{{url: \"{url}/hook\"{own}}}], "));
    let more = format!(
        "registry: {{mlflow: {{url: \"{url}\", every: 1s{own}}}}}\n\
         prometheus: [{{url: \"{url}\", query: up, model: {}, metric: m, topic: \"{measurements}\", every: 1s{own}}}]\n\
         snapshots: [\"s3://training/\"]\n{all}",
        service.model
    );
    let file = service.folder.path("tls.yaml");
    std::fs::write(&file, config + &more).unwrap();
    let variables = [
        ("AWS_ENDPOINT", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "eu-west-1"),
    ];
    Daemon::start(&file, &variables)
}

#[test]
fn servers_of_a_private_ca_are_refused_until_the_configuration_names_it() {
    let service = Service::new("authorities", "", CANARY, "");
    certificates(&service.folder);
    let (port, heard) = server(&service.folder);
    let model = service.model.clone();

    let measurements = topic("authorities-measured", 1);
    let refused = daemon(&service, &measurements, port, "", "");
    service
        .run(&refused, "op", &format!("register {model} 5 --stage prod --snapshot s3://training/train.csv"))
        .exits(0);
    service.minutes(0, 1, &[serving("5", "prod")]);
    let remedy = "UnknownIssuer: no CA that is known here has signed its certificate; name the file of your CA as `tls: {ca_file: …}`";
    wait_for("each of them to be refused, and why", || {
        let log = refused.log();
        let said = |what: &str| log.lines().any(|line| line.contains(what) && line.contains("UnknownIssuer"));
        let told = ["MLflow", "a query has no answer", "webhook", "baseline"].map(said);
        (told == [true; 4] && log.contains(remedy)).then_some(())
    });
    assert!(heard.try_recv().is_err(), "nothing was said to a server that is not believed");
    assert_eq!(refused.stop(), Some(0));

    let own = ", tls: {ca_file: ca.pem}";
    for (version, own, all) in [("6", "", "tls: {ca_file: ca.pem}\n"), ("7", own, "")] {
        let daemon = daemon(&service, &measurements, port, own, all);
        let register = format!("register {model} {version} --stage canary --snapshot s3://training/train.csv");
        service.run(&daemon, "op", &register).exits(0);
        service.minutes(2, 3, &[serving(version, "canary")]);
        let mut asked = Vec::new();
        let wanted = ["/api/2.0/mlflow", "/api/v1/query", "POST /hook", "GET /training/train.csv"];
        // Of stores only the whole configuration says it.
        let wanted = &wanted[..if own.is_empty() { 4 } else { 3 }];
        wait_for("each of them to be asked", || {
            asked.extend(heard.try_iter());
            wanted.iter().all(|path| asked.iter().any(|line: &String| line.contains(path))).then_some(())
        });
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn a_file_that_holds_no_certificate_is_named_at_the_start() {
    let service = Service::new("authorities_none", "", CANARY, "");
    service.folder.write("nothing.pem", "no certificate\n");
    let more = "registry: {mlflow: {url: \"https://127.0.0.1:1\"}}\ntls: {ca_file: nothing.pem}\n";
    let config = service.folder.read("driftgate.yaml") + more;
    service.folder.write("driftgate.yaml", config);
    service.folder.driftgate("run --config driftgate.yaml").exits(2).says("nothing.pem holds no certificate in PEM");
}
