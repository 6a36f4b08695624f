//! Bearer tokens of a real issuer (oidc-provider): what they may do, tokens that nobody should take, an issuer that is asked
//! too often, is away, or exchanges its keys; and people who sign in there with a browser.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, now_ms, token};
use crate::support::Folder;

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/issuer.sh")
}

/// What the script prints.
fn issuer_sh(arguments: &[&str]) -> String {
    let run = Command::new(script()).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

/// An issuer on a port of its own; it ends with its value.
struct Issuer {
    child: Option<Child>,
    folder: Folder,
    port: String,
    /// Where the client of the pages has the browser sent to, if there is one.
    callback: Option<String>,
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

impl Issuer {
    /// With two key pairs; it does not run yet.
    fn new() -> Self {
        let issuer = Self { child: None, folder: Folder::new(), port: free_port(), callback: None };
        issuer.folder.write("requests", "");
        // The second pretends to be the first.
        for (file, kid) in [("first", "first"), ("second", "second"), ("forger", "first")] {
            issuer_sh(&["keys", &issuer.file(file), kid]);
        }
        issuer
    }

    fn file(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(&mut self, key: &str) {
        let (key, requests) = (self.file(key), self.file("requests"));
        let mut command = Command::new(script());
        command
            .args(["serve", &self.port, &key, &requests])
            .args(&self.callback)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let listens = || std::net::TcpStream::connect(format!("127.0.0.1:{}", self.port)).ok();
        wait_for("the issuer", listens);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A token of the issuer for one of its clients.
    fn token(&self, client: &str) -> String {
        let http = Client::builder().no_proxy().build().unwrap();
        let form = "grant_type=client_credentials&resource=urn:driftgate";
        let request = http.post(format!("{}/token", self.url())).basic_auth(client, Some(format!("{client}-secret")));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value = serde_json::from_str(&request.send().unwrap().text().unwrap()).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A token that is signed here, by a key of the issuer's or another.
    fn signed(&self, key: &str, header: &Value, changes: &Value) -> String {
        let now = now_ms() / 1000;
        let mut claims = json!({
            "iss": self.url(), "aud": "driftgate", "sub": "mallory", "iat": now, "exp": now + 300,
            "realm_access": {"roles": ["ml-operators"]},
        });
        let all = claims.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        issuer_sh(&["sign", &self.file(key), &header.to_string(), &claims.to_string()])
    }

    fn times_asked(&self) -> usize {
        self.folder.read("requests").lines().filter(|path| path.contains("jwks")).count()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn daemon(service: &Service, issuer: &Issuer) -> Daemon {
    daemon_with(service, issuer, "", "0")
}

/// With more keys of the issuer, on a port.
fn daemon_with(service: &Service, issuer: &Issuer, more: &str, port: &str) -> Daemon {
    let oidc = format!(
        "tokens_file: tokens, read: token, oidc: {{issuer: \"{}\", audience: driftgate, claim: realm_access.roles, roles: {{\
         ml-operators: {{role: operator, models: \"*\"}}, fraud-owners: {{role: \"approver:owner\", models: \"fraud_*\"}}, \
         readers: {{role: viewer, models: \"{}\"}}}}{more}}}",
        issuer.url(),
        service.model
    );
    let config = service.folder.read("driftgate.yaml").replace("tokens_file: tokens", &oidc);
    let config = config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    service.folder.write("other.yaml", config);
    Daemon::start(&service.folder.path("other.yaml"), &[])
}

struct Asks<'d> {
    daemon: &'d Daemon,
    model: &'d str,
    http: Client,
}

impl<'d> Asks<'d> {
    fn new(daemon: &'d Daemon, service: &'d Service) -> Self {
        Self { daemon, model: &service.model, http: Client::builder().no_proxy().build().unwrap() }
    }

    fn told(answer: Response) -> (u16, String) {
        (answer.status().as_u16(), answer.text().unwrap())
    }

    fn freeze(&self, token: &str) -> (u16, String) {
        let url = format!("{}/api/v1/models/{}/freeze", self.daemon.url, self.model);
        Self::told(self.http.post(url).body("{\"reason\": \"drill\"}").bearer_auth(token).send().unwrap())
    }

    fn read(&self, token: &str) -> (u16, String) {
        let url = format!("{}/api/v1/models/{}", self.daemon.url, self.model);
        Self::told(self.http.get(url).bearer_auth(token).send().unwrap())
    }
}

#[test]
fn a_token_does_what_its_claim_gives_and_one_that_is_not_the_issuers_does_nothing() {
    let mut issuer = Issuer::new();
    issuer.start("first");
    let service = Service::new("fromissuer", "", CANARY, "");
    let daemon = daemon(&service, &issuer);
    let asks = Asks::new(&daemon, &service);
    let operator = issuer.token("ml-operators");
    wait_for("the issuer's keys", || (asks.freeze(&operator).0 == 200).then_some(()));
    assert_eq!(asks.read(&operator).0, 200);
    let reader = issuer.token("readers");
    assert_eq!(asks.read(&reader).0, 200);
    let (code, why) = asks.freeze(&reader);
    assert!(code == 403 && why.contains("has the role viewer, this needs operator"), "{code} {why}");
    let (code, why) = asks.read(&issuer.token("fraud-owners"));
    assert!(code == 403 && why.contains(r#"is for models \"fraud_*\", not for"#), "{code} {why}");
    let (code, why) = asks.read(&issuer.token("strangers"));
    assert!(code == 403 && why.contains("gives no role here"), "{code} {why}");
    // Tokens of the file hold beside them, and the audit log tells both apart.
    assert_eq!(asks.freeze(&token("op")).0, 200);
    service.folder.write_secret("jwt.token", &operator);
    let server = format!("--server {} --token-file jwt.token", daemon.url);
    service.folder.driftgate(&format!("resume fromissuer {server}")).exits(0);
    let actor = format!("oidc:{}#ml-operators", issuer.url());
    service.folder.driftgate(&format!("history fromissuer {server}")).exits(0).prints(&actor);

    let first = json!({"alg": "RS256", "kid": "first"});
    let (now, none) = (now_ms() / 1000, json!({}));
    let good = issuer.signed("first", &first, &none);
    assert_eq!(asks.freeze(&good).0, 200, "what is signed here is as good as the issuer's");
    let parts: Vec<&str> = good.split('.').collect();
    let stranger = issuer.signed("first", &first, &json!({"realm_access": {"roles": ["readers"]}}));
    for (what, attack, why) in [
        ("expired", issuer.signed("first", &first, &json!({"exp": now - 60})), "it has expired"),
        ("not yet", issuer.signed("first", &first, &json!({"nbf": now + 120})), "does not hold yet"),
        ("for ever", issuer.signed("first", &first, &json!({"exp": null})), "no claim \\\"exp\\\""),
        ("audience", issuer.signed("first", &first, &json!({"aud": "billing"})), "another audience"),
        ("audiences", issuer.signed("first", &first, &json!({"aud": ["billing", "mail"]})), "another audience"),
        ("no audience", issuer.signed("first", &first, &json!({"aud": null})), "no claim \\\"aud\\\""),
        ("issuer", issuer.signed("first", &first, &json!({"iss": "https://evil.example.com"})), "another issuer"),
        (
            "issuer with a slash",
            issuer.signed("first", &first, &json!({"iss": format!("{}/", issuer.url())})),
            "another issuer",
        ),
        ("no issuer", issuer.signed("first", &first, &json!({"iss": null})), "no claim \\\"iss\\\""),
        ("no subject", issuer.signed("first", &first, &json!({"sub": null})), "no claim \\\"sub\\\""),
        ("another key of that name", issuer.signed("forger", &first, &none), "signature"),
        (
            "HS256 by the public key",
            issuer.signed("first", &json!({"alg": "HS256", "kid": "first"}), &none),
            "HS256 is not taken",
        ),
        ("none", issuer.signed("first", &json!({"alg": "none", "kid": "first"}), &none), "cannot be read"),
        ("None", issuer.signed("first", &json!({"alg": "NoNe"}), &none), "cannot be read"),
        (
            "PS256 by a key for RS256",
            issuer.signed("first", &json!({"alg": "PS256", "kid": "first"}), &none),
            "other algorithms",
        ),
        (
            "extensions",
            issuer.signed("first", &json!({"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": true}), &none),
            "crit",
        ),
        ("other claims", format!("{}.{}.{}", parts[0], parts[1], stranger.split('.').nth(2).unwrap()), "signature"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "signature"),
        ("long", format!("{}.{}.{}", parts[0], "A".repeat(20_000), parts[2]), "longer than"),
        ("a name of control characters", issuer.signed("first", &first, &json!({"sub": "a\u{1b}[2J"})), "audit log"),
    ] {
        let (code, told) = asks.freeze(&attack);
        // A request head of that length is refused before.
        let is_refused = code == 401 && told.contains(why) || what == "long" && code == 431;
        assert!(is_refused && !told.contains(&attack), "{what}: {code} {told}");
    }
    // Names of keys that nobody has do not lead to the issuer each time, and nobody waits for long.
    let before = issuer.times_asked();
    let started = std::time::Instant::now();
    let unknown = issuer.signed("forger", &json!({"alg": "RS256", "kid": "x"}), &none);
    let rest = unknown.split_once('.').unwrap().1.to_owned();
    for n in 0..200 {
        let header = json!({"alg": "RS256", "kid": format!("key-{n}")}).to_string();
        let (code, told) = asks.freeze(&format!("{}.{rest}", base64_url(header.as_bytes())));
        assert!(code == 401 && told.contains("does not list the key"), "{code} {told}");
    }
    let (asked, took) = (issuer.times_asked() - before, started.elapsed().as_secs());
    assert!(asked <= 2 + usize::try_from(took).unwrap() / 10 && took < 15, "{asked} times in {took} s");
    assert_eq!(asks.freeze(&operator).0, 200);
    assert!(!daemon.log().contains(&operator) && !daemon.log().contains(&good));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_issuer_that_is_away_or_exchanges_its_keys_lets_in_whom_it_should() {
    let mut issuer = Issuer::new();
    let service = Service::new("rotation", "", CANARY, "");
    // It is away as the daemon starts.
    let daemon = daemon(&service, &issuer);
    let asks = Asks::new(&daemon, &service);
    let first = issuer.signed("first", &json!({"alg": "RS256", "kid": "first"}), &json!({}));
    let (code, why) = asks.freeze(&first);
    assert!(code == 503 && why.contains("its keys are not known"), "{code} {why}");
    assert_eq!(asks.freeze(&token("op")).0, 200, "tokens of the file hold");
    wait_for("the problem", || (daemon.metric("driftgate_failing{part=\"issuer\"}") == Some(1.0)).then_some(()));
    issuer.start("first");
    wait_for("the first keys", || (asks.freeze(&first).0 == 200).then_some(()));
    assert_eq!(daemon.metric("driftgate_failing{part=\"issuer\"}"), None);
    // Away again: its keys are known.
    issuer.stop();
    let operator = issuer.signed("first", &json!({"alg": "RS256", "kid": "first"}), &json!({"sub": "ann"}));
    assert_eq!(asks.freeze(&operator).0, 200);
    let second = issuer.signed("second", &json!({"alg": "RS256", "kid": "second"}), &json!({}));
    assert_eq!(asks.freeze(&second).0, 401);
    // It is back with another key: the first token that names it has the issuer asked, and the old key is gone.
    issuer.start("second");
    let rotated = issuer.token("ml-operators");
    wait_for("the second key", || (asks.freeze(&rotated).0 == 200).then_some(()));
    assert_eq!((asks.freeze(&second).0, asks.freeze(&first).0), (200, 401));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_person_signs_in_at_the_issuer_and_nobody_by_an_answer_to_somebody_else() {
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let mut issuer = Issuer::new();
    issuer.callback = Some(format!("{base}/sign-in/callback"));
    issuer.start("first");
    let service = Service::new("signin", "", CANARY, "");
    service.folder.write_secret("client", "pages-secret\n");
    let sign_in = format!(
        ", sign_in: {{client_id: pages, url: \"{base}\", client_secret_file: client, after_sign_out: \"{base}/sign-in\"}}"
    );
    let daemon = daemon_with(&service, &issuer, &sign_in, &port);
    service.register(&daemon, "1", "2");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser.sh");
    let ran = Command::new(script).args(["sign_in", &base, &issuer.url(), "signin", "2"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && ran.stdout.ends_with(b"as it should be\n"), "{said}\n{}", daemon.log());
    for secret in ["pages-secret", "driftgate_session", "eyJ"] {
        assert!(!daemon.log().contains(secret), "{secret}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        let used = chunk.len() + 1;
        out.extend((0..used).map(|i| char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize])));
    }
    out
}
