//! The controllers of Argo Rollouts and Flagger as processes, and what they need of a cluster that has no nodes: somebody who says that pods are ready.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::kubernetes::{kubectl, kubectl_says};
use crate::support::Folder;

/// A controller, which ends with this.
pub struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Controller {
    /// Starts a program that `kube.sh controllers` built; what it says is in a file of the folder.
    pub fn start(folder: &Folder, program: &str, arguments: &str) -> Self {
        let config = PathBuf::from(std::env::var("DRIFTGATE_TEST_KUBE").expect("a kubeconfig: run make kube-test"));
        let log = std::fs::File::create(folder.path(&format!("{program}.log"))).unwrap();
        let child = Command::new(config.with_file_name(program))
            .arg("--kubeconfig")
            .arg(&config)
            .args(arguments.split_whitespace())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; tests/support/kube.sh controllers builds it"));
        Self(child)
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says of each workload of a namespace that all pods it asks for are ready, as the controllers and nodes of a whole cluster would.
pub struct Pods {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pods {
    pub fn start(namespace: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (ends, namespace) = (Arc::clone(&is_over), namespace.to_owned());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for kind in ["replicasets", "deployments"] {
                    ready(&namespace, kind);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ready(namespace: &str, kind: &str) {
    let Ok(listed) = kubectl_says(&format!("get {kind} --namespace {namespace} -o json"), "") else { return };
    let listed: Value = serde_json::from_str(&listed).unwrap();
    for object in listed["items"].as_array().unwrap() {
        let (name, generation) = (object["metadata"]["name"].as_str().unwrap(), &object["metadata"]["generation"]);
        let (wanted, status) = (&object["spec"]["replicas"], &object["status"]);
        let all = |status: &Value| {
            status["observedGeneration"] == *generation
                && status["readyReplicas"].as_i64().unwrap_or(0) == wanted.as_i64().unwrap_or(1)
        };
        if all(status) {
            continue;
        }
        let mut fresh = json!({"observedGeneration": generation, "replicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted});
        if kind == "deployments" {
            fresh["updatedReplicas"] = wanted.clone();
            fresh["conditions"] = json!([
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]);
        } else {
            fresh["fullyLabeledReplicas"] = wanted.clone();
        }
        let patch = json!({"status": fresh}).to_string();
        // An object that went or changed meanwhile is looked at again.
        let _ = kubectl_says(
            &format!("patch {kind} {name} --namespace {namespace} --subresource status --type merge --patch {patch}"),
            "",
        );
    }
}

/// An object of a namespace.
pub fn get(namespace: &str, object: &str) -> Value {
    serde_json::from_str(&kubectl(&format!("get {object} --namespace {namespace} -o json"), "")).unwrap()
}
