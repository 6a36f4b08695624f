//! Artifacts in OCI registries: a gate reads which manifest a name has now, and what happens to a version is attested beside it. The registries
//! are real ones, which `make oci-test` builds: one lists what refers to a manifest, the other leaves that to its clients. cosign verifies.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use driftgate_core::codec::hash::sha256_hex;

use super::broker::{Daemon, wait_for};
use super::service::{Service, serving};

const PLAN: &str = "{controller: driftgate, steps: [{weight: 100, bake: 1h}], checks: [slo]}";
const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// A repository of a registry, as its own API has it.
struct Repository {
    host: String,
    /// Who may read and push there; none: everybody.
    login: Option<(&'static str, &'static str)>,
    name: &'static str,
    http: reqwest::blocking::Client,
}

impl Repository {
    /// The registry that lists referrers, or the one beside it, which asks for a login.
    fn new(name: &'static str, lists: bool) -> Self {
        let host = std::env::var("DRIFTGATE_TEST_OCI").expect("run `make oci-test`, which starts the registries");
        let (address, port) = host.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let host = format!("{address}:{}", if lists { port } else { port + 1 });
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        Self { host, login: (!lists).then_some(("pusher", "pushes-in-tests")), name, http }
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{}/{rest}", self.host, self.name)
    }

    /// A request with the login.
    fn ask(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.http.request(method, url);
        match self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    fn push_blob(&self, bytes: &[u8]) -> Value {
        let begun = self.ask(Method::POST, &self.url("blobs/uploads/")).send().unwrap();
        let to = begun.headers()["location"].to_str().unwrap().to_owned();
        let to = if to.starts_with('/') { format!("http://{}{to}", self.host) } else { to };
        let digest = format!("sha256:{}", sha256_hex(bytes));
        let mark = if to.contains('?') { '&' } else { '?' };
        let done = self.ask(Method::PUT, &format!("{to}{mark}digest={digest}")).body(bytes.to_vec()).send().unwrap();
        assert!(done.status().is_success(), "{done:?}");
        json!({"mediaType": "application/octet-stream", "digest": digest, "size": bytes.len()})
    }

    /// Packs weights as an artifact under a tag; its digest.
    fn push(&self, tag: &str, weights: &str) -> String {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.example.model", "config": self.push_blob(b"{}"), "layers": [self.push_blob(weights.as_bytes())],
        });
        let text = manifest.to_string();
        let put = self.ask(Method::PUT, &self.url(&format!("manifests/{tag}")));
        let put =
            put.header("content-type", "application/vnd.oci.image.manifest.v1+json").body(text.clone()).send().unwrap();
        assert!(put.status().is_success(), "{put:?}");
        sha256_hex(text.as_bytes())
    }

    fn get(&self, rest: &str) -> Option<Value> {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
        let got = self.ask(Method::GET, &self.url(rest)).header("accept", accept).send().unwrap();
        got.status().is_success().then(|| got.json().unwrap())
    }

    /// The statements attached to a manifest, the oldest first.
    fn statements(&self, digest: &str) -> Vec<Value> {
        let tagged = || self.get(&format!("manifests/sha256-{digest}"));
        let Some(listed) = self.get(&format!("referrers/sha256:{digest}")).or_else(tagged) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in listed["manifests"].as_array().unwrap() {
            let manifest = self.get(&format!("manifests/{}", entry["digest"].as_str().unwrap())).unwrap();
            assert_eq!(manifest["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json", "{manifest}");
            assert_eq!(manifest["subject"]["digest"], format!("sha256:{digest}"));
            let bundle = self.get(&format!("blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap())).unwrap();
            let payload = BASE64.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
            found.push(serde_json::from_slice::<Value>(&payload).unwrap());
        }
        found.sort_by_key(|statement| annotations(statement)["at"].as_str().unwrap().to_owned());
        found
    }

    /// Waits for the attestation of an event.
    fn wait_for(&self, digest: &str, event: &str) -> Value {
        wait_for(&format!("the attestation of the {event}"), || {
            self.statements(digest).into_iter().find(|statement| annotations(statement)["event"] == event)
        })
    }
}

fn annotations(statement: &Value) -> &Value {
    &statement["predicate"]["configuration"][0]["annotations"]
}

/// Whether cosign verifies an attestation of the artifact by the audit log's key; what it says.
fn cosign(service: &Service, image: &str, kind: &str) -> Result<String, String> {
    let public = service.folder.path("audit.pem");
    let key = service.folder.path("registry.audit-key");
    let written =
        Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public).status().unwrap();
    assert!(written.success());
    let program = PathBuf::from(std::env::var("DRIFTGATE_TEST_OCI_DIR").unwrap()).join("cosign");
    let mut cosign = Command::new(program);
    cosign.env("DOCKER_CONFIG", service.folder.path("login"));
    cosign.args(["verify-attestation", "--insecure-ignore-tlog", "--allow-http-registry", "--type", kind, "--key"]);
    let done = cosign.arg(&public).arg(image).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() { Ok(said) } else { Err(said) }
}

/// From a block to a promotion and back, over a kill, in a registry that lists what refers to a manifest or does not.
fn attested(name: &'static str, lists: bool) {
    let repository = Repository::new(name, lists);
    let location = |tag: &str| format!("oci://{}/{name}:{tag}", repository.host);
    let digest = repository.push("2", "weights of 2");
    let more = format!(
        "oci: {{attestations: true, auth_file: login/config.json}}\nartifacts: [\"oci://{}/{name}\"]\nregistry: {{embedded: {{path: registry.db}}}}\n",
        repository.host
    );
    let service = Service::new(&name.replace('-', "_"), "", PLAN, &more);
    let login =
        repository.login.map_or_else(String::new, |(user, password)| BASE64.encode(format!("{user}:{password}")));
    fs::create_dir(service.folder.path("login")).unwrap();
    let auths = if lists { json!({}) } else { json!({&repository.host: {"auth": login}}) };
    service.folder.write("login/config.json", json!({"auths": auths}).to_string());
    let model = service.model.clone();
    let mut daemon = Daemon::start(&service.config(), &[]);
    // The daemon's login is no business of the one who registers.
    let known = if lists { String::new() } else { format!(" --artifact-sha256 {digest}") };
    service.register_artifact(&daemon, "1", "2", &(location("2") + &known));
    let record: Value = serde_json::from_str(&daemon.get(&format!("/api/v1/models/{model}/versions/2")).1).unwrap();
    assert_eq!(record["registry"]["artifact_sha256"], digest, "it was read: {record}");

    service.shifted(0, 125, &[serving("1", "prod"), serving("2", "staging")], 50);
    let block = repository.wait_for(&digest, "block");
    assert_eq!((&block["predicateType"], &block["predicate"]["result"]), (&json!(PREDICATE), &json!("FAILED")));
    assert!(block["predicate"]["failedTests"][0].as_str().unwrap().starts_with("drift/psi x "), "{block}");

    service.shifted(125, 310, &[serving("1", "prod"), serving("2", "staging")], 0);
    service.wait_until_judged(&daemon, "2", 309);
    service.wait_for_gate(&daemon, "2", 4);
    service.approve(&daemon, "2");

    // Somebody moves the tag: the gate takes the artifact for another one until it is back.
    repository.push("2", "weights of another");
    service.wait_for_gate(&daemon, "2", 1);
    let gate = service.run(&daemon, "op", &format!("gate {model} 2 --to prod"));
    gate.exits(1).prints("the artifact is mutable");
    assert_eq!(repository.push("2", "weights of 2"), digest);
    service.wait_for_gate(&daemon, "2", 0);

    service.run(&daemon, "op", &format!("promote {model} 2")).exits(0);
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));
    let daemon = Daemon::start(&service.config(), &[]);
    let promoted = repository.wait_for(&digest, "promotion");
    let passed = promoted["predicate"]["passedTests"].as_array().unwrap();
    assert_eq!((&promoted["predicate"]["result"], passed.is_empty()), (&json!("PASSED"), false), "{promoted}");
    assert_eq!(annotations(&promoted)["approvers"], json!(["owner@company", "reviewer@company"]), "{promoted}");
    let image = format!("{}/{name}@sha256:{digest}", repository.host);
    let said = cosign(&service, &image, PREDICATE).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("Verified OK") || said.contains("The signatures were verified"), "{said}");
    cosign(&service, &image, "https://slsa.dev/provenance/v1").unwrap_err();

    service.run(&daemon, "op", &format!("rollback {model} --reason complaints")).exits(0);
    let back = repository.wait_for(&digest, "rollback");
    assert_eq!(
        (&back["predicate"]["result"], &back["predicate"]["failedTests"][0]),
        (&json!("FAILED"), &json!("complaints"))
    );
    let events: Vec<Value> = repository.statements(&digest).iter().map(|s| annotations(s)["event"].clone()).collect();
    assert_eq!(events.len(), 3, "each once: {events:?}");
    assert_eq!(daemon.stop(), Some(0));
    service
        .folder
        .driftgate(&format!("audit verify --config {}", service.config().display()))
        .exits(0)
        .prints("intact");
}

#[test]
#[ignore = "its registries are built by `make oci-test`"]
fn what_happens_to_a_version_is_attested_where_its_registry_lists_it() {
    attested("listed-model", true);
}

#[test]
#[ignore = "its registries are built by `make oci-test`"]
fn what_happens_to_a_version_is_attested_where_clients_keep_the_list() {
    attested("tagged-model", false);
}

#[test]
#[ignore = "its registries are built by `make oci-test`"]
fn one_registry_that_is_away_holds_up_no_other() {
    let repository = Repository::new("reachable-model", true);
    let digest = repository.push("2", "weights of 2");
    let more = format!(
        "oci: {{attestations: true}}\nartifacts: [\"oci://{}/\", \"oci://127.0.0.1:1/\"]\nregistry: {{embedded: {{path: registry.db}}}}\n",
        repository.host
    );
    let service = Service::new("reachable_model", "", PLAN, &more);
    let daemon = Daemon::start(&service.config(), &[]);
    let known = format!("oci://127.0.0.1:1/away:1 --artifact-sha256 {}", "ab".repeat(32));
    service.run(&daemon, "op", &format!("register reachable_model 1 --stage prod --artifact {known}")).exits(0);
    service.register_artifact(&daemon, "1", "2", &format!("oci://{}/reachable-model:2", repository.host));
    service.shifted(0, 125, &[serving("1", "prod"), serving("2", "staging")], 50);
    assert_eq!(repository.wait_for(&digest, "block")["predicate"]["result"], "FAILED");
    wait_for("the status to tell", || {
        let told = service.run(&daemon, "op", "status").stdout.clone();
        (told.contains("oci 127.0.0.1:1") && told.contains("the attestation of version 1 of reachable_model"))
            .then_some(())
    });
    let metrics = daemon.get("/metrics").1;
    assert!(metrics.contains("driftgate_delivery_failures_total{sink=\"oci 127.0.0.1:1\"}"), "{metrics}");
    assert_eq!(daemon.stop(), Some(0));
}
