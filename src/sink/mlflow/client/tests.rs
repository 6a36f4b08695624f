use std::net::TcpListener;

use super::*;
use crate::sink::mlflow::stub::Stub;

fn client(url: &str, auth: Auth) -> Result<Mlflow, MlflowError> {
    Mlflow::new(url, auth, Duration::from_millis(300))
}

#[test]
fn a_token_file_holds_user_and_password_or_a_bearer_token() {
    let basic = |user: &str, password: &str| Auth::Basic { user: user.into(), password: password.into() };
    assert_eq!(Auth::parse(" ana:pass:word \n"), Ok(basic("ana", "pass:word")));
    assert_eq!(Auth::parse("abc.def\n"), Ok(Auth::Bearer("abc.def".into())));
    for bad in ["", " \n", ":hidden", "two hidden", "ana:hidden\nben:hidden"] {
        let said = Auth::parse(bad).unwrap_err().to_string();
        assert!(said.starts_with("MLflow's token cannot be used: it "), "{said}");
        assert!(!said.contains("hidden"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let said = Auth::from_file(&file).unwrap_err().to_string();
    assert!(said.contains("MLflow's token file cannot be used: ") && said.contains("token cannot be read: "), "{said}");
    std::fs::write(&file, "ana:secret\n").unwrap();
    assert_eq!(Auth::from_file(&file), Ok(basic("ana", "secret")));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    for (auth, header) in [
        (Auth::Bearer("s3cret".into()), "authorization: bearer s3cret\r\n"),
        // ana:s3cret
        (Auth::parse("ana:s3cret").unwrap(), "authorization: basic yw5honmzy3jlda==\r\n"),
    ] {
        let stub = Stub::answering([(401, "You are not authenticated.")]);
        let mlflow = client(&stub.url, auth).unwrap();
        let error = mlflow.model("m").unwrap_err();
        assert!(!format!("{mlflow:?} {error:?} {error}").contains("s3cret"), "{mlflow:?} {error:?}");
        assert!(error.is_denied() && error.to_string().contains(&stub.url));
        let asked = stub.asked();
        assert!(asked[0].headers.contains(header), "{}", asked[0].headers);
    }
}

#[test]
fn an_address_that_cannot_be_asked_is_said_before() {
    let said = |url| client(url, Auth::None).unwrap_err().to_string();
    assert!(said("localhost:5000").contains("not http:// or https://"));
    assert!(said("5000").contains("such as http://127.0.0.1:5000"));
    let text = said("http://ana:hidden@localhost:5000");
    assert!(text.contains("token file") && !text.contains("hidden"), "{text}");
}

#[test]
fn names_are_values_and_never_syntax() {
    let model = r#"{"registered_model":{"name":"o'b&x","aliases":[{"alias":"prod","version":"2"}]}}"#;
    let stub = Stub::answering([(200, model), (200, "{}"), (200, "{}")]);
    let mlflow = client(&format!("{}/", stub.url), Auth::None).unwrap();
    let found = mlflow.model("o'b&x=").unwrap().unwrap();
    assert_eq!(found.aliases.get("prod").map(String::as_str), Some("2"));
    mlflow.set_alias("m\"", "prod", "1").unwrap();
    assert_eq!(mlflow.versions("o'b").unwrap(), []);
    let asked = stub.asked();
    assert_eq!(asked[0].line, "GET registered-models/get?name=o%27b%26x%3D");
    assert_eq!(asked[1].body, json!({"name": "m\"", "alias": "prod", "version": "1"}));
    assert!(asked[2].line.contains("filter=name%3D%22o%27b%22&"), "{}", asked[2].line);
    assert_eq!(name_filter("a b"), "name='a b'");
    assert_eq!(name_filter("a\"b"), "name='a\"b'");
    assert_eq!(name_filter("a\"b'c"), "name LIKE 'a\"b_c'");
}

#[test]
fn a_path_before_the_api_stays() {
    let stub = Stub::answering([(200, "{}")]);
    client(&format!("{}/ml/?x#y", stub.url), Auth::None).unwrap().set_model_tag("m", "k", "v").unwrap();
    assert_eq!(stub.lines(), ["POST /ml/api/2.0/mlflow/registered-models/set-tag"]);
}

#[test]
fn every_page_is_read_and_only_this_model_kept() {
    let page = |names: &[(&str, &str)], next: Option<&str>| {
        let all: Vec<Value> = names.iter().map(|(name, v)| json!({"name": name, "version": v})).collect();
        (200, json!({"model_versions": all, "next_page_token": next}).to_string())
    };
    let stub = Stub::answering([
        page(&[("m", "10"), ("M", "1")], Some("a=")),
        page(&[("m", "2"), ("m", "10")], Some("b")),
        page(&[("m", "1")], Some("")),
    ]);
    let versions = stub.client().versions("m").unwrap();
    assert_eq!(versions.iter().map(ModelVersion::number).collect::<Vec<_>>(), [1, 2, 10]);
    let lines = stub.lines();
    assert!(!lines[0].contains("page_token") && lines[1].ends_with("&page_token=a%3D"), "{lines:?}");

    let stub = Stub::answering([page(&[], Some("a")), page(&[], Some("a"))]);
    let error = stub.client().versions("m").unwrap_err();
    assert!(error.to_string().contains("lead back to themselves") && !error.is_transient(), "{error}");
}

#[test]
fn what_is_there_or_missing_is_no_error() {
    let exists = r#"{"error_code":"RESOURCE_ALREADY_EXISTS","message":"there"}"#;
    let missing = r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"not there"}"#;
    let stub = Stub::answering([(400, exists), (200, "{}"), (404, missing), (404, missing), (404, missing)]);
    let mlflow = stub.client();
    assert_eq!(mlflow.create_model("m"), Ok(false));
    assert_eq!(mlflow.create_model("m"), Ok(true));
    assert_eq!(mlflow.model("m"), Ok(None));
    assert_eq!(mlflow.version("m", "1"), Ok(None));
    // MLflow has numbers only: nothing is asked.
    assert_eq!(mlflow.version("m", "v1"), Ok(None));
    assert_eq!(mlflow.run("r").unwrap(), None);
    assert_eq!(stub.asked().len(), 5);
}

#[test]
fn another_servers_page_is_neither_missing_nor_read() {
    let stub = Stub::answering([(404, "<title>404 Not Found</title>"), (200, "<html>Log in"), (200, "[]"), (302, "")]);
    let mlflow = stub.client();
    let said = |error: MlflowError| {
        assert!(!error.is_transient() && !error.is_missing(), "{error:?}");
        error.to_string()
    };
    assert!(said(mlflow.model("m").unwrap_err()).contains("with 404: an HTML page"));
    let text = said(mlflow.model("m").unwrap_err());
    assert!(text.contains("with 200, but not as MLflow does: an HTML page; check that the address"), "{text}");
    assert!(said(mlflow.model("m").unwrap_err()).contains("not as MLflow does: []"));
    assert!(said(mlflow.model("m").unwrap_err()).contains("redirects are not followed"));
    stub.asked();
}

#[test]
fn a_server_that_is_silent_or_gone_may_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = client(&url, Auth::None).unwrap().model("m").unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no answer within 0.3 s"), "{error}");
    drop(listener);
    let error = client(&url, Auth::None).unwrap().model("m").unwrap_err();
    let text = error.to_string();
    assert!(error.is_transient() && text.contains("refused"), "{text}");
    assert!(text.starts_with(&format!("MLflow at {url} cannot be reached (registered-models/get): ")), "{text}");
}

#[test]
fn numbers_come_as_numbers_or_text() {
    let run = |metrics: Value| json!({"run": {"info": {"run_id": "r"}, "data": {"metrics": metrics}}}).to_string();
    let version = |created: Value| {
        json!({"model_version": {"name": "m", "version": "1", "creation_timestamp": created, "run_id": ""}}).to_string()
    };
    let metrics = json!([{"key": "a", "value": 0.5}, {"key": "b", "value": 1}, {"key": "c", "value": "NaN"}, {"key": "d", "value": f64::MAX}]);
    let stub = Stub::answering([
        (200, run(metrics)),
        (200, version(json!(5))),
        (200, version(json!("6"))),
        (200, version(json!("x"))),
    ]);
    let mlflow = stub.client();
    let metrics = mlflow.run("r").unwrap().unwrap().data.metrics;
    assert_eq!(metrics.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 0.5), ("b".to_owned(), 1.0)]);
    let five = mlflow.version("m", "1").unwrap().unwrap();
    assert_eq!((five.creation_timestamp, five.run_id), (Some(5), None));
    assert_eq!(mlflow.version("m", "1").unwrap().unwrap().creation_timestamp, Some(6));
    assert!(mlflow.version("m", "1").unwrap_err().to_string().contains("a timestamp is not an integer"));
    stub.asked();
}
