//! Objects of a real API server, whose kubeconfig `DRIFTGATE_TEST_KUBE` names, by a service account that may get and patch them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{STEPS, begun, begun_at, wait_for_pause, wait_for_route};
use crate::broker::{Daemon, wait_for};
use crate::service::{Service, Traffic, serving};
use crate::support::Folder;

/// What kubectl says.
pub fn kubectl(arguments: &str, input: &str) -> String {
    kubectl_says(arguments, input).unwrap_or_else(|said| panic!("kubectl {arguments}: {said}"))
}

/// What kubectl says, or why it fails.
pub fn kubectl_says(arguments: &str, input: &str) -> Result<String, String> {
    let config = std::env::var("DRIFTGATE_TEST_KUBE").expect("DRIFTGATE_TEST_KUBE is a kubeconfig: run make kube-test");
    let mut child = Command::new("kubectl")
        .args(["--kubeconfig", &config])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = if done.status.success() { done.stdout } else { done.stderr };
    let said = String::from_utf8(said).unwrap();
    if done.status.success() { Ok(said) } else { Err(said) }
}

/// Makes a namespace, empty but for what is in it already.
pub fn make_namespace(name: &str) {
    kubectl("apply -f -", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"));
}

/// Makes a namespace anew, with these objects and a service account that may get and patch what `rules` say. Returns the
/// configuration that reaches the server as that account.
pub fn namespace(folder: &Folder, name: &str, objects: &str, rules: &str) -> String {
    kubectl(&format!("delete namespace {name} --ignore-not-found --wait=false"), "");
    // Without a controller nothing takes away a namespace's finalizer or its objects: each test has its own.
    make_namespace(name);
    kubectl(&format!("apply --namespace {name} -f -"), objects);
    let account = format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: driftgate}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: \
         {{name: driftgate}}\nrules: {rules}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: driftgate}}\nroleRef: \
         {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: driftgate}}\nsubjects: [{{kind: ServiceAccount, name: driftgate, namespace: {name}}}]\n"
    );
    kubectl(&format!("apply --namespace {name} -f -"), &account);
    let token = kubectl(&format!("create token driftgate --namespace {name}"), "");
    let server = kubectl("config view --minify -o jsonpath={.clusters[0].cluster.server}", "");
    folder.write_secret(
        "kubeconfig",
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts: [{{name: test, context: {{cluster: test, user: driftgate}}}}]\n\
             clusters: [{{name: test, cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}}}]\nusers: [{{name: driftgate, user: {{token: \"{}\"}}}}]\n",
            token.trim()
        ),
    );
    "routing: {kubeconfig: kubeconfig, every: 1s}\n".to_owned()
}

/// An object as the server has it.
fn object(path: &str) -> Value {
    serde_json::from_str(&kubectl(&format!("get --raw {path}"), "")).unwrap()
}

/// An object of each kind, with all traffic at the champion; the first is the `HTTPRoute`.
pub const OBJECTS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: fraud}
spec:
  rules:
  - backendRefs: [{name: fraud-6, port: 80, weight: 100}, {name: fraud-7, port: 80, weight: 0}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fraud}
spec:
  hosts: [fraud]
  http:
  - route:
    - {destination: {host: fraud, subset: v6}, weight: 100}
    - {destination: {host: fraud, subset: v7}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: fraud}
spec: {predictor: {model: {modelFormat: {name: sklearn}}, canaryTrafficPercent: 0}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: fraud-raw}
spec: {predictor: {model: {modelFormat: {name: sklearn}}}, canary: [{trafficPercent: 0, predictor: {name: fraud-7}}]}
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Experiment
metadata: {name: fraud}
spec: {default: fraud-6, candidates: [{name: fraud-6, weight: 100}, {name: fraud-7, weight: 0}]}
";

const RULES: &str = "[{apiGroups: [gateway.networking.k8s.io], resources: [httproutes], resourceNames: [fraud], verbs: [get, patch]}, \
                     {apiGroups: [networking.istio.io], resources: [virtualservices], resourceNames: [fraud], verbs: [get, patch]}, \
                     {apiGroups: [serving.kserve.io], resources: [inferenceservices], resourceNames: [fraud, fraud-raw], verbs: [get, patch]}, \
                     {apiGroups: [mlops.seldon.io], resources: [experiments], resourceNames: [fraud], verbs: [get, patch]}]";

/// Where each kind has the candidate's weight.
const WEIGHTS: [(&str, &str, &str); 5] = [
    ("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes/fraud /spec/rules/0/backendRefs/1/weight"),
    ("VirtualService", "networking.istio.io/v1", "virtualservices/fraud /spec/http/0/route/1/weight"),
    ("InferenceService", "serving.kserve.io/v1beta1", "inferenceservices/fraud /spec/predictor/canaryTrafficPercent"),
    ("InferenceService", "serving.kserve.io/v1beta1", "inferenceservices/fraud-raw /spec/canary/0/trafficPercent"),
    ("Experiment", "mlops.seldon.io/v1alpha1", "experiments/fraud /spec/candidates/1/weight"),
];

/// The candidate's weight in each object.
fn weights(namespace: &str) -> Vec<i64> {
    let of = |(_, version, place): &(&str, &str, &str)| {
        let (name, pointer) = place.split_once(' ').unwrap();
        let object = object(&format!("/apis/{version}/namespaces/{namespace}/{name}"));
        object.pointer(pointer).and_then(Value::as_i64).unwrap_or(-1)
    };
    WEIGHTS.iter().map(of).collect()
}

fn wait_for_weights(namespace: &str, percent: i64) {
    wait_for(&format!("every router at {percent}"), || (weights(namespace) == [percent; 5]).then_some(()));
}

fn policy(namespace: &str) -> String {
    let named = "stable: \"fraud-{champion}\", canary: \"fraud-{version}\"";
    format!(
        "{{{STEPS}, traffic: [{{gateway_api: {{route: fraud, namespace: {namespace}, {named}}}}}, \
         {{istio: {{virtual_service: fraud, namespace: {namespace}, host: fraud, stable: \"v{{champion}}\", canary: \"v{{version}}\"}}}}, \
         {{kserve: {{inference_service: fraud, namespace: {namespace}}}}}, \
         {{kserve: {{inference_service: fraud-raw, namespace: {namespace}, predictor: \"fraud-{{version}}\"}}}}, \
         {{seldon: {{experiment: fraud, namespace: {namespace}, {named}}}}}]}}"
    )
}

#[test]
#[ignore = "needs an API server: make kube-test"]
fn every_router_follows_and_what_others_change_pauses_the_rollout_and_names_them() {
    let folder = Folder::new();
    let namespace_name = format!("routers-{}", std::process::id());
    let routing = namespace(&folder, &namespace_name, OBJECTS, RULES);
    let service = Service::new("fraud_kube", "", &policy(&namespace_name), &routing);
    std::fs::copy(folder.path("kubeconfig"), service.folder.path("kubeconfig")).unwrap();
    let daemon = Daemon::start(&service.config(), &[]);
    begun(&service, &daemon);
    wait_for_weights(&namespace_name, 10);
    let fields = object(&format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace_name}/httproutes/fraud"));
    assert!(fields["metadata"]["managedFields"].to_string().contains("\"driftgate\""), "{fields}");
    service
        .run(&daemon, "op", "rollout status fraud_kube")
        .exits(0)
        .prints(&format!("HTTPRoute {namespace_name}/fraud has 10%"));

    // Somebody else moves the traffic: the rollout waits, and leaves the object as it is.
    let forty =
        "[{\"op\": \"replace\", \"path\": \"/spec/rules/0/backendRefs/1/weight\", \"value\": 60}]".replace(' ', "");
    kubectl(
        &format!("patch httproute fraud --namespace {namespace_name} --type=json --field-manager=argocd -p {forty}"),
        "",
    );
    let why = wait_for_pause(&service, &daemon, "changed by argocd at ");
    assert!(
        why.starts_with(&format!(
            "HTTPRoute {namespace_name}/fraud gives 40% of the traffic to version 7 in place of 10%"
        )),
        "{why}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(weights(&namespace_name), [60, 10, 10, 10, 10]);
    service.run(&daemon, "op", "rollout resume fraud_kube").exits(0);
    wait_for_weights(&namespace_name, 10);
    assert!(service.status(&daemon)["rollout"]["paused"].is_null());

    // Killed while the weight changes: the next process ends what it began.
    service.minutes(121, 155, &[serving("6", "prod"), serving("7", "canary")]);
    service.wait_for_rollout(&daemon, "Progressing", 50.0);
    daemon.signal("KILL");
    drop(daemon);
    let daemon = Daemon::start(&service.config(), &[]);
    wait_for_weights(&namespace_name, 50);

    // Five minutes too slow: every router goes back within two seconds of the events that say so.
    wait_for_route(&service, &daemon, &format!("Experiment {namespace_name}/fraud"), 50.0);
    let slow = Traffic { latency_ms: 120.0, ..serving("7", "canary") };
    service.minutes(155, 162, &[serving("6", "prod"), slow]);
    let since = Instant::now();
    let route = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace_name}/httproutes/fraud");
    while object(&route).pointer("/spec/rules/0/backendRefs/1/weight") != Some(&0.into()) {
        assert!(since.elapsed() < Duration::from_secs(30), "the traffic does not go back");
    }
    let took = since.elapsed();
    eprintln!("from the last event of the breach to the route's weight: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    wait_for_weights(&namespace_name, 0);
    let failed = service.wait_for_rollout(&daemon, "Failed", 0.0);
    assert!(failed["why"].as_str().unwrap().contains("slo/p95"), "{failed}");

    // What is over belongs to others again.
    kubectl(&format!("patch httproute fraud --namespace {namespace_name} --type=json -p {forty}"), "");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(weights(&namespace_name)[0], 60);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
#[ignore = "needs an API server: make kube-test"]
fn a_shadow_step_mirrors_the_traffic_and_the_next_one_does_not() {
    let folder = Folder::new();
    let name = format!("mirrors-{}", std::process::id());
    let routing = namespace(&folder, &name, OBJECTS, RULES);
    let named = "stable: \"fraud-{champion}\", canary: \"fraud-{version}\"";
    let plan = format!(
        "{{{STEPS}, shadow: 10m, traffic: [{{gateway_api: {{route: fraud, namespace: {name}, {named}}}}}, \
         {{istio: {{virtual_service: fraud, namespace: {name}, host: fraud, stable: \"v{{champion}}\", canary: \"v{{version}}\"}}}}, \
         {{seldon: {{experiment: fraud, namespace: {name}, {named}}}}}]}}"
    );
    let service = Service::new("fraud_mirrored", "", &plan, &routing);
    std::fs::copy(folder.path("kubeconfig"), service.folder.path("kubeconfig")).unwrap();
    let daemon = Daemon::start(&service.config(), &[]);
    begun_at(&service, &daemon, 0.0);
    let route = || object(&format!("/apis/gateway.networking.k8s.io/v1/namespaces/{name}/httproutes/fraud"));
    let mesh = || object(&format!("/apis/networking.istio.io/v1/namespaces/{name}/virtualservices/fraud"));
    let rule = |object: &Value, path: &str| object.pointer(path).cloned().unwrap_or_default();
    let experiment = || object(&format!("/apis/mlops.seldon.io/v1alpha1/namespaces/{name}/experiments/fraud"));
    wait_for("all mirrors", || {
        let filter = rule(&route(), "/spec/rules/0/filters/0/requestMirror/backendRef/name");
        let mirror = rule(&experiment(), "/spec/mirror/name");
        let all = filter == "fraud-7" && mirror == "fraud-7" && rule(&mesh(), "/spec/http/0/mirror/subset") == "v7";
        all.then_some(())
    });
    assert!(rule(&experiment(), "/spec/candidates/1").is_null());
    assert_eq!(rule(&route(), "/spec/rules/0/backendRefs/1/weight"), 0);
    service.minutes(121, 133, &[serving("6", "prod"), serving("7", "shadow")]);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    wait_for_route(&service, &daemon, &format!("HTTPRoute {name}/fraud"), 10.0);
    wait_for_route(&service, &daemon, &format!("VirtualService {name}/fraud"), 10.0);
    assert!(rule(&route(), "/spec/rules/0/filters/0").is_null() && rule(&mesh(), "/spec/http/0/mirror").is_null());
    wait_for_route(&service, &daemon, &format!("Experiment {name}/fraud"), 10.0);
    let experiment = experiment();
    assert_eq!(
        (rule(&experiment, "/spec/candidates/1/weight"), rule(&experiment, "/spec/mirror")),
        (10.into(), Value::Null)
    );
    service.run(&daemon, "op", "rollout abort fraud_mirrored --reason enough").exits(0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
#[ignore = "needs an API server: make kube-test"]
fn what_is_not_there_or_not_allowed_is_said_and_mended_without_a_restart() {
    let folder = Folder::new();
    let name = format!("missing-{}", std::process::id());
    let rules = RULES.replace("[fraud]", "[other]");
    let routing = namespace(&folder, &name, OBJECTS, &rules);
    let plan =
        format!("{{{STEPS}, traffic: [{{gateway_api: {{route: fraud, namespace: {name}, stable: a, canary: b}}}}]}}");
    let service = Service::new("fraud_refused", "", &plan, &routing);
    std::fs::copy(folder.path("kubeconfig"), service.folder.path("kubeconfig")).unwrap();
    let daemon = Daemon::start(&service.config(), &[]);
    begun(&service, &daemon);
    let says = |words: &str| {
        wait_for(words, || service.run(&daemon, "op", "status").stdout.lines().next()?.contains(words).then_some(()));
    };
    says("allow get and patch of it to driftgate's service account");
    kubectl(&format!("apply --namespace {name} -f -"), &role_of(RULES));
    says("no rule has both a and b: rule 0 has fraud-6, fraud-7");
    kubectl(&format!("delete httproute fraud --namespace {name}"), "");
    says("is not there");
    let there = OBJECTS.split("---").next().unwrap().replace("fraud-6", "a").replace("fraud-7", "b");
    kubectl(&format!("apply --namespace {name} -f -"), &there);
    wait_for_route(&service, &daemon, &format!("HTTPRoute {name}/fraud"), 10.0);
    wait_for("a status without it", || {
        (!service.run(&daemon, "op", "status").stdout.contains("does not follow")).then_some(())
    });
    assert!(Path::new(&service.config()).exists());
    assert_eq!(daemon.stop(), Some(0));
}

fn role_of(rules: &str) -> String {
    format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: driftgate}}\nrules: {rules}\n")
}
