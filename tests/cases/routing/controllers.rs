//! The controllers of Argo Rollouts and Flagger as processes, and what they need of a cluster that has no nodes: somebody who says that pods are ready.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::kubernetes::{kubectl, kubectl_says, make_namespace};
use crate::broker::Daemon;
use crate::service::{Service, Traffic, serving};
use crate::support::Folder;

/// A controller, which ends with this.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Controller {
    /// Starts a program that `kube.sh controllers` built; what it says is in a file of the folder.
    fn start(folder: &Folder, program: &str, arguments: &str) -> Self {
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

/// Says of each workload of a namespace that all pods it asks for are ready, as the controllers and nodes of a whole cluster would.
struct Pods {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pods {
    fn start(namespace: &str) -> Self {
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
        let are_ready = status["readyReplicas"].as_i64().unwrap_or(0) == wanted.as_i64().unwrap_or(1);
        if are_ready && status["observedGeneration"] == *generation {
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

/// An example for our users, each of these texts replaced; all have to be there.
pub fn example_with(name: &str, changed: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/examples").join(name);
    changed.iter().fold(std::fs::read_to_string(path).unwrap(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// A model whose version 7 follows 6, by a controller that moves the traffic in a namespace of its own.
pub struct Site {
    pub service: Service,
    pub daemon: Daemon,
    pub namespace: String,
    _pods: Pods,
    _controller: Controller,
}

impl Site {
    /// Starts a daemon that knows both versions, and the controller.
    pub fn start(model: &str, program: &str, arguments: &str) -> Self {
        let service = Service::new(model, "", "{controller: external, checks: [slo]}", "");
        let daemon = Daemon::start(&service.config(), &[]);
        service.register(&daemon, "6", "7");
        let namespace = format!("{}-{}", model.replace('_', "-"), std::process::id());
        make_namespace(&namespace);
        let pods = Pods::start(&namespace);
        let arguments = format!("--namespace {namespace} {arguments}");
        let controller = Controller::start(&service.folder, program, &arguments);
        Self { service, daemon, namespace, _pods: pods, _controller: controller }
    }

    /// Puts objects into the namespace.
    pub fn put(&self, objects: &str) {
        kubectl(&format!("apply --namespace {} -f -", self.namespace), objects);
    }

    /// Two hours of both versions, after which the gate waits for approvals alone.
    pub fn judge(&self) {
        let Self { service, daemon, .. } = self;
        service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
        service.wait_until_judged(daemon, "7", 120);
        service.wait_for_gate(daemon, "7", 4);
    }

    /// Both sign, and somebody asks for the promotion.
    pub fn promote(&self) {
        self.service.approve(&self.daemon, "7");
        self.service.run(&self.daemon, "op", &format!("promote {} 7", self.service.model)).exits(0);
    }

    /// Version 7 is slow until the gate refuses it.
    pub fn slow_down(&self) {
        let slow = Traffic { latency_ms: 250.0, ..serving("7", "canary") };
        self.service.minutes(121, 130, &[serving("6", "prod"), slow]);
        self.service.wait_for_gate(&self.daemon, "7", 1);
    }

    /// Version 6 serves prod, and the rollout has failed.
    pub fn assert_back(&self) {
        assert_eq!(self.service.standing(&self.daemon, "prod").as_deref(), Some("6"));
        let failed = self.service.status(&self.daemon)["rollout"].clone();
        assert_eq!(failed["phase"], "Failed", "{failed}");
    }
}
