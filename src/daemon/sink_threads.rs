//! The threads that talk to other systems: deliveries to topics and webhooks, the mirror of the registry in an external one, and Prometheus
//! queries whose samples become measurements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use super::control::Control;
use super::threads::Threads;
use crate::artifact::Artifacts;
use crate::clock::wait;
use crate::config::{Config, ExternalConfig, MlflowConfig, PrometheusConfig, VersionFrom, WebhookConfig};
use crate::http_client::Calls;
use crate::ledger::home::{self, Home};
use crate::ledger::{Embedded, RegistryError, Sink};
use crate::router::{Follower, Receiver};
use crate::sink::attestations::Attestations;
use crate::sink::delivery::{Delivery, Route};
use crate::sink::external::ExternalRegistry;
use crate::sink::lane::{Body, Lane, Letter};
use crate::sink::mirror::Mirror;
use crate::sink::mlflow::{Auth, Mlflow, MlflowRegistry};
use crate::sink::sagemaker::{SageMakerRegistry, shared_group};
use crate::sink::signing::Secret;
use crate::sink::standing::Standing;
use crate::sink::template::Template;
use crate::sink::topic::TopicWriter;
use crate::sink::webhook::Webhook;
use crate::source::prometheus::{Polled, Poller, Query, Skipped, VersionOf};
use crate::telemetry::events::prometheus::{QueryUnanswered, QueryWarned};
use crate::telemetry::events::start::RegistryPlace;
use crate::view::Shared;
use crate::view::failing::Part;

/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a registry of several processes is waited for, that another one on this machine holds.
const SHARED_PATIENCE: Duration = Duration::from_secs(30);
/// How often a sleeping thread looks whether it should end.
const TICK: Duration = Duration::from_millis(200);

/// So many samples wait for their topic.
const MOST_SAMPLES: usize = 10_000;

/// Which sinks a configuration has.
#[must_use]
pub fn sinks(config: &Config) -> Vec<Sink> {
    let mut sinks = Vec::new();
    // Topics need brokers.
    let kafka = config.kafka.is_some();
    sinks.extend((kafka && config.publish.signals.is_some()).then_some(Sink::Signals));
    sinks.extend((kafka && config.publish.verdicts.is_some()).then_some(Sink::Verdicts));
    sinks.extend((0..config.publish.webhooks.len()).map(Sink::Webhook));
    sinks.extend(config.registry.external.as_ref().map(|external| Sink::Registry(external.of())));
    sinks.extend((kafka && config.audit_topic.is_some()).then_some(Sink::Anchor));
    sinks.extend(config.oci.attestations.then_some(Sink::Oci));
    sinks
}

/// Opens the registry of a configuration, which queues its changes for the sinks. One that a release before kept in the state folder is
/// moved to its place.
///
/// # Errors
/// A registry that cannot be opened.
pub fn registry(config: &Config) -> anyhow::Result<Embedded> {
    let at = place(config);
    Ok(told(Embedded::open(&at)?, config, &at))
}

/// The same for a process of a cluster, which signs with the key that all have.
///
/// # Errors
/// A registry that cannot be opened, or whose records another key signed.
pub fn shared_registry(config: &Config, audit_key: &Path) -> anyhow::Result<Embedded> {
    let at = place(config);
    Ok(told(Embedded::open_shared(&at, audit_key, SHARED_PATIENCE)?, config, &at))
}

/// Where the registry lies.
fn place(config: &Config) -> PathBuf {
    let path = &config.registry.path;
    match home::settle(path, &config.registry_before()) {
        Home::There => path.clone(),
        Home::Moved => {
            RegistryPlace::Moved { from: &config.registry_before(), to: path }.emit();
            path.clone()
        }
        Home::Stays(at, why) => {
            RegistryPlace::Stays { at: &at, to: path, why: &why }.emit();
            at
        }
        Home::Both(other) => {
            RegistryPlace::Both { used: path, other: &other }.emit();
            path.clone()
        }
    }
}

/// The same at its present place; waits no longer than this for other processes.
///
/// # Errors
/// As `registry`.
pub fn registry_within(config: &Config, patience: Duration) -> Result<Embedded, RegistryError> {
    let at = home::find(&config.registry.path, &config.registry_before());
    Ok(told(Embedded::open_within(&at, patience)?, config, &at))
}

/// The registry with what a configuration says of sinks and artifacts.
fn told(registry: Embedded, config: &Config, at: &Path) -> Embedded {
    let artifacts = Artifacts::new(config.artifacts.clone(), config.stores.clone(), Some(at));
    let artifacts = artifacts.in_registries(config.oci.registries.clone()).but_not(config.own_files(at));
    registry.telling(sinks(config)).with_artifacts(artifacts)
}

/// A client of the MLflow that a configuration names.
///
/// # Errors
/// A token file that cannot be read, or a URL that is none.
pub fn mlflow(config: &MlflowConfig) -> anyhow::Result<Mlflow> {
    let auth = match &config.token_file {
        Some(path) => Auth::from_file(path)?,
        None => Auth::None,
    };
    Ok(Mlflow::new(&config.url, auth, calls(config.ca_file.as_ref()))?)
}

/// The external registry that a configuration names, for these models.
fn external(config: &ExternalConfig, models: &[String]) -> anyhow::Result<Box<dyn ExternalRegistry>> {
    Ok(match config {
        ExternalConfig::Mlflow(config) => Box::new(MlflowRegistry::from(mlflow(config)?)),
        ExternalConfig::SageMaker(config) => {
            if let Some((one, other, group)) = shared_group(models, &config.groups) {
                anyhow::bail!(
                    "the models {one} and {other} have the same model package group {group}: name another group for one of them \
                     under registry.sagemaker.groups"
                );
            }
            let region = config.region.as_deref();
            Box::new(SageMakerRegistry::new(region, config.groups.clone(), &calls(None))?)
        }
    })
}

fn calls(ca_file: Option<&PathBuf>) -> Calls {
    Calls { timeout: TIMEOUT, ca_file: ca_file.cloned() }
}

/// Starts every thread that the configuration asks for.
///
/// # Errors
/// Secrets that cannot be read, URLs that are none.
pub fn start(
    config: &Config,
    models: &[String],
    properties: &BTreeMap<String, String>,
    registry: &Arc<Embedded>,
    view: &Shared,
    control: &Control,
) -> anyhow::Result<Threads> {
    let mut threads = Threads::default();
    for sink in sinks(config) {
        let topic = |topic: &Option<String>| {
            let (writer, standing) =
                (TopicWriter::new(properties)?, Standing::new(Part::Sink(sink.name()), view.clone()));
            anyhow::Ok(Route::Topic(Box::new(Lane::new(writer, topic.clone().unwrap_or_default(), standing))))
        };
        view.write().undeliverable.entry(sink.name()).or_default();
        let route = match sink {
            Sink::Signals => topic(&config.publish.signals)?,
            Sink::Anchor => topic(&config.audit_topic)?,
            Sink::Webhook(at) => match config.publish.webhooks.get(at) {
                Some(hook) => Route::Webhook(Box::new(webhook(hook)?)),
                None => continue,
            },
            // Started below, kept in step below, and carried by the outbox.
            Sink::Oci | Sink::Registry(_) | Sink::Verdicts => continue,
        };
        let (registry, view) = (Arc::clone(registry), view.clone());
        let control = control.clone();
        threads.add(Delivery { sink, route, registry, view }.start(move || control.is_stopping())?);
    }
    if config.oci.attestations {
        let (registries, registry, view) = (config.oci.registries.clone(), Arc::clone(registry), view.clone());
        let (places, control) = (config.artifacts.clone(), control.clone());
        threads.add(Attestations { registries, places, registry, view }.start(move || control.is_stopping())?);
    }
    if let Some(at) = &config.registry.external {
        let (registry, view, control) = (Arc::clone(registry), view.clone(), control.clone());
        let (external, models) = (external(at, models)?, models.to_vec());
        let mirror = Mirror { external, every: at.every(), models, registry, view };
        threads.add(mirror.start(move || control.is_stopping())?);
    }
    let follower = follower(config, registry, view)?;
    let stops = control.clone();
    for thread in follower.start(&move || stops.is_stopping())? {
        threads.add(thread);
    }
    for query in &config.prometheus {
        let standing = Standing::new(Part::Query(query.metric.clone()), view.clone());
        let lane = Lane::new(TopicWriter::new(properties)?, query.topic.clone(), standing);
        threads.add(poll(query, lane, view.clone(), control.clone())?);
    }
    Ok(threads)
}

/// What brings traffic routers to the weights of rollouts.
fn follower(config: &Config, registry: &Arc<Embedded>, view: &Shared) -> anyhow::Result<Follower> {
    let mut receivers = Vec::new();
    for hook in &config.routing.webhooks {
        let secret = hook.secret_file.as_ref().map(secret).transpose()?;
        let webhook = Webhook::new(
            &hook.url,
            secret.as_deref().map(|text| Secret::new(text.trim())),
            calls(hook.ca_file.as_ref()),
        )?;
        receivers.push(Receiver { name: hook.name.clone(), webhook });
    }
    let (registry, view) = (Arc::clone(registry), view.clone());
    Ok(Follower {
        access: config.routing.access.clone(),
        receivers,
        every: config.routing.every,
        calls: calls(config.stores.ca_file.as_ref()),
        registry,
        view,
    })
}

fn secret(path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("the webhook's secret {} cannot be read", path.display()))
}

fn webhook(hook: &WebhookConfig) -> anyhow::Result<Webhook> {
    let text = hook.secret_file.as_ref().map(secret).transpose()?;
    let text = text.as_deref().map(str::trim);
    // A pager takes no signature: its key stands in the body.
    let (secret, key) = if hook.template == Template::PagerDuty { (None, text) } else { (text, None) };
    let webhook = Webhook::new(&hook.url, secret.map(Secret::new), calls(hook.ca_file.as_ref()))?;
    Ok(webhook.writing(hook.template, key))
}

/// Sleeps, unless the daemon ends meanwhile; whether it goes on.
fn sleep(control: &Control, span: Duration) -> bool {
    wait(span, TICK, || control.is_stopping())
}

/// Makes measurements of a Prometheus query's samples, in the topic that they are read from.
fn poll(
    query: &PrometheusConfig,
    mut lane: Lane<()>,
    view: Shared,
    control: Control,
) -> anyhow::Result<JoinHandle<()>> {
    let version = match &query.version {
        VersionFrom::Fixed(version) => VersionOf::Fixed(version.clone()),
        VersionFrom::Label(label) => VersionOf::Label(label.clone()),
    };
    let asked = Query {
        url: query.url.clone(),
        query: query.query.clone(),
        model: query.model.clone(),
        version,
        metric: query.metric.clone(),
    };
    let poller = Poller::new(asked, query.token_file.clone(), calls(query.ca_file.as_ref()))?;
    let (metric, every) = (query.metric.clone(), query.every);
    let part = Part::Query(metric.clone());
    let work = move || loop {
        match poller.poll() {
            Ok(answer) => match take(&metric, &answer, &mut lane) {
                Some(why) => view.fails(part.clone(), why),
                None if lane.is_empty() => view.works(&part),
                None => {}
            },
            Err(e) => {
                QueryUnanswered { metric: &metric, error: &e }.emit();
                view.fails(part.clone(), e.to_string());
            }
        }
        if !sleep(&control, every) {
            return;
        }
    };
    Ok(thread::Builder::new().name("poll-prometheus".into()).spawn(work)?)
}

/// Sends the samples of an answer to their topic; returns what is wrong with the answer.
fn take(metric: &str, answer: &Polled, lane: &mut Lane<()>) -> Option<String> {
    for warning in &answer.warnings {
        QueryWarned { metric, warning }.emit();
    }
    for measured in &answer.measured {
        let key = format!("{}/{}", measured.model, measured.version);
        lane.push(Letter::new((), key, Body::Text(measured.to_json())));
    }
    while lane.len() > MOST_SAMPLES && lane.pop().is_some() {
        lane.standing.dropped(1, "the oldest of too many samples that wait for their topic");
    }
    // What fails waits for the next question.
    while !lane.is_empty() && lane.turn().pause.is_none() {}
    // A ratio without requests is no number and no failure, as long as other samples are.
    let Skipped { not_finite, without_version, histograms } = answer.skipped;
    (answer.measured.is_empty() || without_version + histograms > 0).then(|| {
        format!(
            "{} samples count; {not_finite} are no numbers, {without_version} name no version, {histograms} are histograms",
            answer.measured.len()
        )
    })
}
