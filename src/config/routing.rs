//! `routing:`, how the traffic routers of policies are reached.

use std::path::PathBuf;
use std::time::Duration;

use super::key::{Key, default, names, optional, required};
use super::reader::{ConfigReader, duration, url};
use crate::router::Access;
use driftgate_core::yaml::Item;

/// How traffic routers are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingConfig {
    /// The API server of Kubernetes; `None`: this is no pod, and no file is named.
    pub access: Option<Access>,
    pub webhooks: Vec<RouterWebhookConfig>,
    /// How often routers are asked whether somebody else changed them.
    pub every: Duration,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self { access: Access::here(), webhooks: Vec::new(), every: EVERY }
    }
}

/// A receiver of weights that policies name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterWebhookConfig {
    pub name: String,
    pub url: String,
    /// Holds the key that messages are signed with.
    pub secret_file: Option<PathBuf>,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
}

const EVERY: Duration = Duration::from_secs(10);

pub const ROUTING: [Key; 4] = [
    optional(
        "kubeconfig",
        "path",
        "File that says how the API server of Kubernetes is reached. Without it the service account of the pod is used, where driftgate runs in one.",
    ),
    optional("context", "text", "The context of that file; its current one if left out."),
    default("every", "duration", "10s", "How often routers are asked whether somebody else changed their weights."),
    optional("webhooks", "list", "Receivers of weights that policies name."),
];

pub const ROUTER_WEBHOOK: [Key; 4] = [
    required("name", "text", "What the policies call it."),
    required("url", "URL", "Address that receives each weight as a POST, until it answers 2xx."),
    optional("secret_file", "path", "File with the key that messages are signed with."),
    optional("tls", "mapping", "`{ca_file: …}` in place of the configuration's `tls`."),
];

impl ConfigReader<'_> {
    pub(super) fn routing(&self, item: &Item) -> Option<RoutingConfig> {
        let map = item.map(const { &names(&ROUTING) })?;
        let path = map.get("kubeconfig").map(|item| self.path(&item));
        let context = map.get("context").map(|item| item.name("a context").map(str::to_owned));
        if let (Some(item), None) = (map.get("context"), &path) {
            item.report("a context is one of a kubeconfig: name that as `kubeconfig`, or remove this");
        }
        let access = match (path, context) {
            (None, _) => Access::here(),
            (Some(path), None) => Some(Access::Kubeconfig { path: path?, context: None }),
            (Some(path), Some(context)) => Some(Access::Kubeconfig { path: path?, context: Some(context?) }),
        };
        let every = map.get("every").map_or(Some(EVERY), |item| duration(&item));
        let webhooks = map.get("webhooks").map_or_else(|| Some(Vec::new()), |item| self.router_webhooks(&item));
        Some(RoutingConfig { access, webhooks: webhooks?, every: every? })
    }

    fn router_webhooks(&self, item: &Item) -> Option<Vec<RouterWebhookConfig>> {
        let mut webhooks: Vec<Option<RouterWebhookConfig>> = Vec::new();
        for item in item.list("receivers of weights")? {
            let webhook = self.router_webhook(&item);
            if let Some(new) = &webhook
                && webhooks.iter().flatten().any(|other| other.name == new.name)
            {
                item.report(format!("\"{}\" is written twice: keep one", new.name));
            }
            webhooks.push(webhook);
        }
        webhooks.into_iter().collect()
    }

    fn router_webhook(&self, item: &Item) -> Option<RouterWebhookConfig> {
        let map = item.map(const { &names(&ROUTER_WEBHOOK) })?;
        let name = map.require("name", "edge").and_then(|item| item.slug("a name"));
        let url = map.require("url", "https://edge.example.com/weights").and_then(|item| url(&item));
        let secret_file = match map.get("secret_file") {
            Some(item) => Some(self.path(&item)?),
            None => None,
        };
        let ca_file = self.authorities(map.get("tls").as_ref());
        Some(RouterWebhookConfig { name: name?.to_owned(), url: url?, secret_file, ca_file: ca_file? })
    }
}
