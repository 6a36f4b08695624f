//! The MLflow registry against a real server: what driftgate writes, reads, and leaves alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use driftgate::ledger::Op;
use driftgate::sink::external::Delivered;
use driftgate::sink::mlflow::client::ModelVersion;
use driftgate::sink::mlflow::ops::deliver;
use driftgate::sink::mlflow::pull::pull;
use driftgate::sink::mlflow::{Auth, Mlflow, RunCache};
use driftgate_core::fact::tags::{block_tags, rollback_tag};
use reqwest::Method;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "these tests need MLflow: run `make test`, or start two servers with tests/support/mlflow.sh, set \
             DRIFTGATE_TEST_MLFLOW to the address of one, and to that of one with --auth DRIFTGATE_TEST_MLFLOW_AUTH \
             and DRIFTGATE_TEST_MLFLOW_TOKEN_FILE"
        )
    })
}

/// The server that the test script started; it asks for no user.
pub fn mlflow_url() -> String {
    environment("DRIFTGATE_TEST_MLFLOW")
}

/// A real MLflow: driftgate's client of it, and what others do there.
pub struct Server {
    pub url: String,
    pub mlflow: Mlflow,
    /// `user:password`, where it asks for them.
    token: Option<String>,
    http: reqwest::blocking::Client,
}

impl Server {
    /// The one that asks for no user.
    pub fn open() -> Self {
        Self::at(mlflow_url(), None)
    }

    /// The one with users. Each call takes long: the password is hashed anew.
    pub fn with_auth() -> Self {
        let token = std::fs::read_to_string(environment("DRIFTGATE_TEST_MLFLOW_TOKEN_FILE")).unwrap();
        Self::at(environment("DRIFTGATE_TEST_MLFLOW_AUTH"), Some(token.trim().to_owned()))
    }

    fn at(url: String, token: Option<String>) -> Self {
        let auth = token.as_deref().map_or(Auth::None, |token| Auth::parse(token).unwrap());
        let mlflow = Mlflow::new(&url, auth, TIMEOUT).unwrap();
        let http = reqwest::blocking::Client::builder().timeout(TIMEOUT).no_proxy().build().unwrap();
        Self { url, mlflow, token, http }
    }

    /// Somebody else's call, below `/api/`.
    #[track_caller]
    pub fn call(&self, method: Method, call: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}/api/{call}", self.url)).json(body);
        let user = self.token.as_deref().and_then(|token| token.split_once(':'));
        let request = user.into_iter().fold(request, |request, (user, pw)| request.basic_auth(user, Some(pw)));
        let answer = request.send().unwrap();
        let (status, text) = (answer.status(), answer.text().unwrap());
        assert!(status.is_success(), "{call} answered {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a registered model with a name nobody else uses.
    pub fn model(&self, name: &str) -> String {
        let unique = format!("{name}-{}-{:x}", std::process::id(), std::ptr::from_ref(&name).addr());
        assert_eq!(self.mlflow.create_model(&unique), Ok(true));
        unique
    }

    /// Makes a version.
    pub fn version(&self, model: &str, run_id: Option<&str>, tags: &[(&str, &str)]) -> ModelVersion {
        self.mlflow.create_version(model, "s3://models/x", run_id, &owned(tags)).unwrap()
    }

    /// Logs a run as a training job does; its id.
    pub fn run(&self, commit: &str, metrics: &[(&str, f64)], params: &[(&str, &str)]) -> String {
        let tags = json!([{"key": "mlflow.source.git.commit", "value": commit}]);
        let made = self.call(Method::POST, "2.0/mlflow/runs/create", &json!({"experiment_id": "0", "tags": tags}));
        let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        for (key, value) in metrics {
            self.metric(&id, key, &json!(value));
        }
        for (key, value) in params {
            self.call(
                Method::POST,
                "2.0/mlflow/runs/log-parameter",
                &json!({"run_id": id, "key": key, "value": value}),
            );
        }
        id
    }

    pub fn metric(&self, run_id: &str, key: &str, value: &Value) {
        let body = json!({"run_id": run_id, "key": key, "value": value, "timestamp": 1, "step": 0});
        self.call(Method::POST, "2.0/mlflow/runs/log-metric", &body);
    }

    pub fn finish(&self, run_id: &str) {
        self.call(Method::POST, "2.0/mlflow/runs/update", &json!({"run_id": run_id, "status": "FINISHED"}));
    }

    /// Aliases as they stand now.
    pub fn aliases(&self, model: &str) -> BTreeMap<String, String> {
        self.mlflow.model(model).unwrap().unwrap().aliases
    }

    /// Runs Python that knows this server, with `client = mlflow.MlflowClient()`; what it prints, as JSON.
    pub fn python(&self, code: &str, arguments: &[&str]) -> Value {
        let venv = std::env::var_os("MLFLOW_VENV")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/mlflow"), PathBuf::from);
        let (user, password) = self.token.as_deref().and_then(|token| token.split_once(':')).unwrap_or_default();
        let output = Command::new(venv.join("bin/python"))
            .arg("-c")
            .arg(format!("import json, sys, mlflow\nclient = mlflow.MlflowClient()\n{code}"))
            .args(arguments)
            .env("MLFLOW_TRACKING_URI", &self.url)
            .env("MLFLOW_TRACKING_USERNAME", user)
            .env("MLFLOW_TRACKING_PASSWORD", password)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

pub fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn set_alias(of: &ModelVersion, alias: &str, expected: Option<&str>) -> Op {
    Op::SetAlias {
        model: of.name.clone(),
        alias: alias.to_owned(),
        version: of.version.clone(),
        expected: expected.map(str::to_owned),
        created_ms: of.creation_timestamp,
    }
}

fn set_tags(of: &ModelVersion, tags: Vec<(String, String)>) -> Op {
    Op::SetTags { model: of.name.clone(), version: of.version.clone(), tags, created_ms: of.creation_timestamp }
}

#[test]
fn an_operation_delivered_twice_is_done_once() {
    let server = Server::open();
    let model = server.model("twice");
    let (first, second) = (server.version(&model, None, &[]), server.version(&model, None, &[]));
    assert_eq!((first.version.as_str(), second.version.as_str(), second.status.as_str()), ("1", "2", "READY"));
    assert_eq!(server.mlflow.create_model(&model), Ok(false));

    for op in [set_alias(&first, "prod", None), set_alias(&second, "prod", Some("1"))] {
        assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Done));
        assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Already));
    }
    assert_eq!(server.aliases(&model), BTreeMap::from([("prod".to_owned(), "2".to_owned())]));

    let at = "2013-03-08T00:00:00Z";
    let block = block_tags("drift é#", "block", &["psi 0.31 >= 0.2".to_owned()], at);
    let rollback = rollback_tag("2", Some("1"), "slo/p95", at);
    let mut odd = owned(&[("empty", ""), ("../up/", "x")]);
    odd.push(("k".repeat(300), "ä".repeat(4000)));
    for op in [set_tags(&second, block), set_tags(&second, vec![rollback]), set_tags(&second, odd)] {
        assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Done));
        assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Already));
    }

    // As MLflow's own client reads them.
    let code = "v = client.get_model_version_by_alias(sys.argv[1], 'prod')\nprint(json.dumps([v.version, v.tags]))";
    let read = server.python(code, &[&model]);
    assert_eq!(read[0].to_string().trim_matches('"'), "2");
    let tags = &read[1];
    assert_eq!(tags["gate.check.drift __"], "block");
    assert_eq!(tags["gate.check.drift __.reasons"], "psi 0.31 >= 0.2");
    let rollback: Value = serde_json::from_str(tags["gate.rollback"].as_str().unwrap()).unwrap();
    assert_eq!(rollback, json!({"from": "2", "to": "1", "trigger": "slo/p95", "at": "2013-03-08T00:00:00Z"}));
    assert_eq!((&tags["empty"], &tags["__/up"]), (&json!(""), &json!("x")));
    let long = tags["k".repeat(250)].as_str().unwrap();
    assert!(long.len() <= 5000 && long.ends_with("ä…"), "{} bytes", long.len());
}

#[test]
fn an_alias_that_somebody_moved_is_reported_and_stays() {
    let server = Server::open();
    let model = server.model("drift");
    let versions: Vec<_> = (0..3).map(|_| server.version(&model, None, &[])).collect();
    assert_eq!(deliver(&server.mlflow, &set_alias(&versions[0], "prod", None)), Ok(Delivered::Done));
    let theirs = json!({"name": model, "alias": "prod", "version": "3"});
    server.call(Method::POST, "2.0/mlflow/registered-models/alias", &theirs);
    let found = pull(&server.mlflow, &model, &mut RunCache::default()).unwrap();
    assert_eq!(found.aliases, BTreeMap::from([("prod".to_owned(), "3".to_owned())]));

    let op = set_alias(&versions[1], "prod", Some("1"));
    assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Drift { found: Some("3".to_owned()) }));
    assert_eq!(server.aliases(&model)["prod"], "3");

    // Deleted: nothing stands in the way.
    server.call(Method::DELETE, "2.0/mlflow/registered-models/alias", &json!({"name": model, "alias": "prod"}));
    assert_eq!(server.aliases(&model), BTreeMap::new());
    assert_eq!(deliver(&server.mlflow, &op), Ok(Delivered::Done));
}

#[test]
fn a_version_that_is_missing_or_made_anew_is_refused() {
    let server = Server::open();
    let model = server.model("anew");
    let before = server.version(&model, None, &[]);
    server.call(Method::DELETE, "2.0/mlflow/registered-models/delete", &json!({ "name": model }));
    let refused = |op: &Op, part: &str| match deliver(&server.mlflow, op).unwrap() {
        Delivered::Refused(why) => assert!(why.contains(part), "{why}"),
        other => panic!("{other:?}"),
    };
    for op in [set_alias(&before, "prod", None), set_tags(&before, owned(&[("a", "b")]))] {
        refused(&op, "no version \"1\"");
    }
    assert_eq!(server.mlflow.create_model(&model), Ok(true));
    let after = server.version(&model, None, &[]);
    assert_eq!(after.version, before.version);
    for op in [set_alias(&before, "prod", None), set_tags(&before, owned(&[("a", "b")]))] {
        refused(&op, "made anew");
    }
    let found = pull(&server.mlflow, &model, &mut RunCache::default()).unwrap();
    assert!(found.aliases.is_empty() && server.mlflow.version(&model, "1").unwrap().unwrap().tags.is_empty());
    refused(&set_alias(&after, "latest", None), "400 INVALID_PARAMETER_VALUE");
    let named = ModelVersion { version: "v1".into(), ..after };
    refused(&set_alias(&named, "prod", None), "numbers versions itself");
}

#[test]
fn a_pull_reads_versions_with_their_runs() {
    let server = Server::open();
    let model = server.model("pull");
    let run = server.run("c0ffee", &[("auc", 0.8), ("f1", 0.0)], &[("depth", "3")]);
    for (key, value) in [("nan", "NaN"), ("inf", "Infinity")] {
        server.metric(&run, key, &json!(value));
    }
    let read = server.mlflow.run(&run).unwrap().unwrap();
    assert_eq!((read.data.params["depth"].as_str(), read.info.status.as_str()), ("3", "RUNNING"));

    server.version(&model, Some(&run), &[]);
    let digest = "ab".repeat(32);
    let tags = [
        ("driftgate.snapshot", "train_v2.parquet"),
        ("snapshot_sha256", &digest),
        ("artifact_sha256", &digest),
        ("code_commit", "beef"),
        ("baseline_version", "1"),
        ("metric.auc", "0.93"),
    ];
    let second = server.version(&model, Some(&run), &tags);
    server.version(&model, None, &[]);
    assert_eq!(deliver(&server.mlflow, &set_alias(&second, "staging", None)), Ok(Delivered::Done));

    let mut runs = RunCache::default();
    let found = pull(&server.mlflow, &model, &mut runs).unwrap();
    assert!(found.exists && found.aliases["staging"] == "2");
    let [one, two, three] = &found.versions[..] else { panic!("{found:?}") };
    let offline = |pairs: &[(&str, f64)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect::<BTreeMap<_, _>>();
    assert_eq!(one.offline, offline(&[("auc", 0.8), ("f1", 0.0)]));
    assert_eq!((one.code_commit.as_deref(), one.snapshot.as_deref()), (Some("c0ffee"), None));
    assert_eq!(two.offline, offline(&[("auc", 0.93), ("f1", 0.0)]));
    assert_eq!((two.code_commit.as_deref(), two.snapshot.as_deref()), (Some("beef"), Some("train_v2.parquet")));
    assert_eq!((two.snapshot_sha256.as_ref(), two.artifact_sha256.as_ref()), (Some(&digest), Some(&digest)));
    assert_eq!((two.baseline_version.as_deref(), two.source.as_deref()), (Some("1"), Some("s3://models/x")));
    assert_eq!((two.created_ms, two.status.as_str()), (second.creation_timestamp, "READY"));
    assert_eq!((three.run_id.as_ref(), three.offline.len(), three.problems.len()), (None, 0, 0));

    // A run that goes on is read again, one that is over is not.
    let auc = |runs: &mut RunCache| pull(&server.mlflow, &model, runs).unwrap().versions[0].offline["auc"].to_string();
    server.metric(&run, "auc", &json!(0.85));
    server.finish(&run);
    assert_eq!(auc(&mut runs), "0.85");
    server.metric(&run, "auc", &json!(0.86));
    assert_eq!((auc(&mut runs).as_str(), auc(&mut RunCache::default()).as_str()), ("0.85", "0.86"));
}

#[test]
fn names_with_quotes_and_many_pages_are_found() {
    let server = Server::open();
    for name in ["it's", "a \"b\"", "o'b\"r `x and name='y", "per%cent_é"] {
        let model = server.model(name);
        for _ in 0..3 {
            server.version(&model, None, &[("t", "'")]);
        }
        assert_eq!(
            deliver(&server.mlflow, &set_alias(&server.mlflow.version(&model, "2").unwrap().unwrap(), "prod", None)),
            Ok(Delivered::Done)
        );
        let numbers: Vec<_> = server.mlflow.versions_by(&model, 2).unwrap().iter().map(ModelVersion::number).collect();
        assert_eq!(numbers, [1, 2, 3], "{model}");
        assert_eq!(server.aliases(&model)["prod"], "2");
    }
    let found = pull(&server.mlflow, "nobody made this", &mut RunCache::default()).unwrap();
    assert!(!found.exists && found.versions.is_empty());
}

#[test]
fn every_refusal_says_what_it_is() {
    let server = Server::open();
    let model = server.model("refusals");
    // A path that MLflow does not know: a page.
    let wrong = Mlflow::new(&format!("{}/elsewhere", server.url), Auth::None, TIMEOUT).unwrap();
    let error = wrong.model(&model).unwrap_err();
    assert!(!error.is_missing() && !error.is_transient());
    assert!(error.to_string().contains("with 404: an HTML page, \"404 Not Found\"; check that the address"), "{error}");
    // Its own refusals: JSON.
    let error = server.mlflow.create_model("a/b").unwrap_err();
    assert_eq!((error.error_code(), error.is_transient()), (Some("INVALID_PARAMETER_VALUE"), false));
    let error = server.mlflow.set_alias(&model, "prod", "7").unwrap_err();
    assert!(
        error.is_missing() && error.to_string().contains("registered-models/alias with 404 RESOURCE_DOES_NOT_EXIST")
    );
    let error = server.mlflow.set_model_tag(&model, "a#b", "x").unwrap_err();
    assert!(error.to_string().contains("400 INVALID_PARAMETER_VALUE: Invalid value \"a#b\""), "{error}");
    // An alias that is not there is no error where the model is read.
    assert_eq!(server.aliases(&model).get("prod"), None);
    // Nobody there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Mlflow::new(&format!("http://127.0.0.1:{port}"), Auth::None, TIMEOUT).unwrap().model("m").unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("refused"), "{error}");
    // Too late.
    let hasty = Mlflow::new(&server.url, Auth::None, Duration::from_nanos(1)).unwrap();
    let error = hasty.model("m").unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no answer within"), "{error}");
}

#[test]
fn users_and_rights_are_asked_for() {
    let server = Server::with_auth();
    let model = server.model("rights");
    let version = server.version(&model, None, &[]);
    let client = |token: &str| Mlflow::new(&server.url, Auth::parse(token).unwrap(), TIMEOUT).unwrap();
    let anonymous = Mlflow::new(&server.url, Auth::None, TIMEOUT).unwrap();
    for wrong in [anonymous, client("admin:hidden"), client("hidden")] {
        let error = wrong.model(&model).unwrap_err();
        let text = error.to_string();
        assert!(error.is_denied() && !error.is_transient() && !error.is_missing(), "{error:?}");
        assert!(text.contains("with 401: You are not authenticated.") && text.ends_with("or a bearer token"), "{text}");
        assert!(!format!("{text} {error:?} {wrong:?}").contains("hidden"));
    }

    // Who may edit may set aliases and tags; who may only read may not.
    let user = format!("user-{}", std::process::id());
    server.call(
        Method::POST,
        "2.0/mlflow/users/create",
        &json!({"username": user, "password": "only-for-these-tests"}),
    );
    let reader = client(&format!("{user}:only-for-these-tests"));
    let error = deliver(&reader, &set_alias(&version, "prod", None)).unwrap_err();
    assert!(error.is_denied() && error.to_string().contains("403: Permission denied; the user needs EDIT"), "{error}");
    let right =
        json!({"username": user, "resource_type": "registered_model", "resource_id": model, "permission": "EDIT"});
    server.call(Method::POST, "3.0/mlflow/users/permissions/grant", &right);
    assert_eq!(deliver(&reader, &set_alias(&version, "prod", None)), Ok(Delivered::Done));
    assert_eq!(deliver(&reader, &set_tags(&version, owned(&[("a", "b")]))), Ok(Delivered::Done));
}
