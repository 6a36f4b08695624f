//! The whole file: its sections, and what holds between them.

use std::time::Duration;

use super::cluster::INTERNAL;
use super::key::{Key, default, names, optional};
use super::reader::{ConfigReader, duration, given};
use super::registry::{self, RegistryConfig};
use super::routing::RoutingConfig;
use super::schemas::SourceFormat;
use super::sources::SourceConfig;
use super::types::{ClusterConfig, Config, Limits, PublishConfig};
use super::{files, limits, metrics, sources};
use crate::snapshot::places::Places;
use crate::stores::Stores;
use driftgate_core::yaml::{Item, Map};

pub const ROOT: [Key; 21] = [
    optional(
        "policies",
        "list of paths",
        "Policy files, one per model; `*` in the name of a file stands for any characters. Required with `kafka`. A pattern without a file is an error.",
    ),
    optional(
        "kafka",
        "mapping",
        "How to connect to Kafka. Without it only files can be read (`driftgate replay --config`).",
    ),
    optional("sources", "list", "Topics of events. Required with `kafka`."),
    optional(
        "schema_registry",
        "mapping",
        "The schema registry whose serializers write messages. Required by `format: avro` and `protobuf` without a `schema`.",
    ),
    default(
        "idle_after",
        "duration",
        "30s",
        "A partition that is silent for so long, while the brokers answer and it is read to its end, no longer holds the watermark back.",
    ),
    optional("registry", "mapping", "Where versions, stages and the audit log are kept."),
    optional("publish", "mapping", "Where results go. Nothing is published that has no target."),
    optional("state", "mapping", "Where checkpoints are kept."),
    optional(
        "history",
        "mapping or `none`",
        "Where results over time are kept, and how long. Without it they are kept in the state folder for 90 days; `none` keeps none.",
    ),
    optional("http", "mapping", "The HTTP server."),
    optional("metrics", "mapping", "Which series `/metrics` has of verdicts."),
    optional("limits", "mapping", "Bounds on what the daemon keeps in memory of the streams."),
    default(
        "snapshots",
        "list of folders and URLs",
        "[]",
        "Folders and URLs from which training snapshots may be read that registrations and tags name, beside the folder or bucket of a policy.",
    ),
    default(
        "artifacts",
        "list of folders and URLs",
        "[]",
        "Folders and URLs from which artifacts may be read that registrations name.",
    ),
    optional(
        "oci",
        "mapping",
        "Registries of OCI artifacts: how they are reached, and whether versions are attested there.",
    ),
    optional("prometheus", "list", "Prometheus queries whose samples become measurements. Needs `kafka`."),
    optional(
        "routing",
        "mapping",
        "How the traffic routers that policies name are reached. Without it: the API server of Kubernetes, where driftgate runs in a pod.",
    ),
    optional("audit", "mapping", "A topic that anchors the audit log. Needs `kafka`."),
    optional(
        "cluster",
        "mapping",
        "Several processes of one group, of which one counts at a time and the others take over. Needs `kafka`. Without it there is one process.",
    ),
    optional("otlp", "mapping", "An OpenTelemetry collector that receives traces and metrics."),
    optional(
        "tls",
        "mapping",
        "Authorities that are trusted beside those of the system: for MLflow, Prometheus, webhooks, the issuer of tokens, object stores and registries of artifacts.",
    ),
];

impl ConfigReader<'_> {
    // Long: a line for each key of the file.
    pub fn config(mut self, root: &Item) -> Option<Config> {
        let map = root.map(const { &names(&ROOT) })?;
        let tls = map.get("tls").map_or(Some(None), |item| self.authorities(Some(&item)));
        self.ca_file = tls.clone().flatten();
        let policies = map.get("policies").map_or_else(|| Some(Vec::new()), |item| files::patterns(&item));
        let kafka = map.get("kafka").map(|item| self.kafka(&item));
        let sources = map.get("sources").map_or_else(|| Some(Vec::new()), |item| sources::sources(&self, &item));
        if kafka.is_some() {
            let _ = map.require("policies", "[\"policies/*.yaml\"]");
            let _ = map.require("sources", "[{topic: predictions, kind: predictions}]");
        }
        let schema_registry = map.get("schema_registry").map(|item| self.schema_registry(&item));
        if schema_registry.is_none() {
            needs_registry(&map, sources.as_deref());
        }
        let idle_after = map.get("idle_after").map_or(Some(Duration::from_secs(30)), |item| duration(&item));
        let registry = map.get("registry").map_or_else(
            || Some(RegistryConfig { path: self.directory.join(registry::REGISTRY), external: None }),
            |item| self.registry(&item),
        );
        let publish = map.get("publish").map_or_else(|| Some(PublishConfig::default()), |item| self.publish(&item));
        let state = self.state(map.get("state").as_ref());
        let history = state.as_ref().and_then(|state| self.history(map.get("history").as_ref(), &state.path));
        let http = self.http(map.get("http").as_ref());
        let metrics = metrics::metrics(map.get("metrics").as_ref());
        let limits = map.get("limits").map_or_else(|| Some(Limits::default()), |item| limits::limits(&item));
        let snapshots = map.get("snapshots").map_or_else(|| Some(Places::default()), |item| self.places(&item));
        let artifacts = map.get("artifacts").map_or_else(|| Some(Places::default()), |item| self.places(&item));
        let oci = self.oci(map.get("oci").as_ref());
        let prometheus = map.get("prometheus").map_or_else(|| Some(Vec::new()), |item| self.prometheus(&item));
        let routing = map.get("routing").map_or_else(|| Some(RoutingConfig::default()), |item| self.routing(&item));
        let audit = map.get("audit").map(|item| Self::audit(&item));
        let cluster = map.get("cluster").map(|item| self.cluster(&item));
        let otlp = map.get("otlp").map(|item| self.otlp(&item));
        if kafka.is_none() {
            needs_kafka(&map);
        }
        let (mut http, cluster) = (http?, given(cluster)?);
        if let Some(cluster) = &cluster {
            cluster.name_host(&mut http);
            own_topics_are_its_own(&map, cluster, sources.as_deref(), publish.as_ref())?;
        }
        Some(Config {
            prometheus: prometheus?,
            routing: routing?,
            audit_topic: given(audit)?,
            otlp: given(otlp)?,
            cluster,
            policies: policies?,
            kafka: given(kafka)?,
            sources: sources?,
            schema_registry: given(schema_registry)?,
            idle_after: idle_after?,
            registry: registry?,
            publish: publish?,
            state: state?,
            history: history?,
            http,
            metrics: metrics?,
            limits: limits?,
            snapshots: snapshots?,
            artifacts: artifacts?,
            oci: oci?,
            stores: Stores { ca_file: tls? },
            directory: self.directory,
        })
    }
}

/// Reports a source whose schemas nobody would give.
fn needs_registry(map: &Map, sources: Option<&[SourceConfig]>) {
    let framed = sources
        .into_iter()
        .flatten()
        .find(|source| matches!(source.format.data(), SourceFormat::Avro | SourceFormat::Protobuf));
    if let (Some(source), Some(item)) = (framed, map.get("sources")) {
        item.report(format!(
            "the messages of \"{}\" name schemas of a registry, and the configuration has none: add `schema_registry: {{url: …}}`, or `schema: {{file: …}}` to the source if they have no frame",
            source.topic
        ));
    }
}

/// Reports what has no use without Kafka.
fn needs_kafka(map: &Map) {
    if let Some(item) = map.get("audit").or(map.get("prometheus")) {
        item.report("this writes to a topic, and the configuration has no kafka section: add `kafka`, or remove this");
    }
    if let Some(item) = map.get("cluster") {
        item.report(
            "a cluster works by Kafka, and the configuration has no kafka section: add `kafka`, or remove this",
        );
    }
}

/// No topic that is read or published to is one of the cluster's own.
fn own_topics_are_its_own(
    map: &Map,
    cluster: &ClusterConfig,
    sources: Option<&[SourceConfig]>,
    publish: Option<&PublishConfig>,
) -> Option<()> {
    let read = sources.into_iter().flatten().map(|source| &source.topic);
    let written = publish.into_iter().flat_map(|publish| publish.verdicts.iter().chain(&publish.signals));
    let own = INTERNAL.map(|name| format!("{}{name}", cluster.prefix));
    match (read.chain(written).find(|topic| own.contains(topic)), map.get("cluster")) {
        (Some(topic), Some(item)) => item.fail(format!(
            "the topic \"{topic}\" is an internal one of the cluster, and is read or published to: write another name, or another `topics.prefix`"
        )),
        _ => Some(()),
    }
}
