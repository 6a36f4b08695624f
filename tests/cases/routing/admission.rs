//! The validating webhook between a real API server and a daemon: nobody deploys a version that the gate does not pass.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::json;

use super::kubernetes::{kubectl, kubectl_says, make_namespace};
use super::{STEPS, begun};
use crate::broker::{Daemon, wait_for};
use crate::service::Service;

/// The webhook, which ends with this; what it says is read on.
struct Webhook(Child, #[expect(dead_code, reason = "a pipe that nobody reads would be broken")] BufReader<ChildStderr>);

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the webhook before a daemon, with a certificate of its own, and returns its address.
fn webhook(service: &Service, daemon: &Daemon) -> (Webhook, String) {
    let [key, certificate] = ["webhook.key", "webhook.crt"].map(|name| service.folder.path(name));
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1".split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_driftgate"))
        .args(["admission", "--listen", "127.0.0.1:0", "--server", &daemon.url])
        .arg("--certificate")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    let listens: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    (Webhook(child, said), listens["address"].as_str().unwrap().to_owned())
}

fn deployment(model: &str, version: &str, replicas: u32) -> String {
    let labels = json!({"driftgate.io/model": model, "driftgate.io/version": version});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("{}-{version}", model.replace('_', "-"))},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": {
            "metadata": {"labels": {"app": "a"}, "annotations": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}})
    .to_string()
}

#[test]
#[ignore = "needs an API server: make kube-test"]
fn an_object_of_a_version_that_the_gate_does_not_pass_is_refused_with_the_reasons() {
    let service = Service::new("fraud_admitted", "", &format!("{{{STEPS}}}"), "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    let namespace = format!("admission-{}", std::process::id());
    make_namespace(&namespace);
    let (running, address) = webhook(&service, &daemon);
    let authority = service.folder.read("webhook.crt");
    let authority = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority);
    let configured = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace}, "webhooks": [{
            "name": "gate.driftgate.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": format!("https://{address}/validate"), "caBundle": authority},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]}]});
    kubectl("apply -f -", &configured.to_string());
    let apply = |version: &str, replicas: u32| {
        kubectl_says(&format!("apply --namespace {namespace} -f -"), &deployment("fraud_admitted", version, replicas))
    };
    let refused = |version: &str, words: &str| {
        wait_for(words, || {
            let said = apply(version, 1).err()?;
            said.contains(words).then_some(())
        });
    };
    // The API server learns of its webhooks after a while.
    refused("7", "version 7 of fraud_admitted may not be promoted to prod");
    refused("8", "driftgate: ");
    apply("6", 1).unwrap();
    begun(&service, &daemon);
    // Its rollout has begun, so its gate has passed.
    apply("7", 1).unwrap();
    drop(daemon);
    // What changes nothing of the version passes, whoever can be asked.
    apply("7", 2).unwrap();
    refused("9", "driftgate: ");
    drop(running);
    refused("9", "failed calling webhook");
    kubectl(&format!("delete validatingwebhookconfiguration {namespace}"), "");
}
