//! HTTP beside the counting threads: ports, routes, and what is read again without waiting for counting. Probes are answered
//! from the start, so it runs on a runtime of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::control::Control;
use super::{health, ports, reload};
use crate::clock::now_ms;
use crate::config::Config;
use crate::history::History;
use crate::http::{self, Access, App, Traffic};
use crate::ledger::Embedded;
use crate::sink::ingest::Ingest;
use crate::telemetry::events::http::{AccessWarned, IssuerAway};
use crate::telemetry::otlp::Export;
use crate::view::Shared;
use crate::view::failing::Part;

/// How long requests that are under way are waited for at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// And work that they have begun on threads.
const LAST_WORK: Duration = Duration::from_millis(500);

/// What requests are answered from.
#[derive(Clone, Copy)]
pub struct Seen<'s> {
    pub registry: &'s Arc<Embedded>,
    pub view: &'s Shared,
    pub history: Option<&'s History>,
}

/// A server that runs.
pub struct Serving {
    runtime: Runtime,
    end: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    app: App,
}

impl Serving {
    /// Opens the ports and begins to answer.
    ///
    /// # Errors
    /// An address that is taken, a certificate that cannot be used, and a system without threads.
    pub fn start(
        config: &Config,
        descriptors: Option<u64>,
        access: Arc<Access>,
        seen: Seen<'_>,
        control: &Control,
    ) -> anyhow::Result<Self> {
        let Seen { registry, view, history } = seen;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (ports, traffic) = ports::open(&config.http, descriptors, &runtime, view)?;
        watch_access(&access, config, view, control)?;
        if let Some(port) = ports.first() {
            control.serves_at(port.listener.local_addr()?);
        }
        let ingest = ingest(config, &traffic, view)?;
        let app = App {
            view: view.clone(),
            registry: Arc::clone(registry),
            history: history.map(History::reader),
            access: Arc::clone(&access),
            now_ms,
            traffic: traffic.clone(),
            ingest: ingest.clone(),
            series: config.metrics,
        };
        let (end, ends) = oneshot::channel::<()>();
        let server = runtime.spawn(http::server::serve(ports, http::router(app.clone()), traffic.connections, async {
            let _ = ends.await;
        }));
        let (to_reload, asked) = (view.clone(), control.clone());
        runtime.spawn(async move {
            loop {
                asked.reload_asked().await;
                reload::tokens(&access, &ingest, &to_reload);
                asked.reload_policies();
            }
        });
        runtime.spawn(health::watch_checkpoint(view.clone()));
        Ok(Self { runtime, end, server, app })
    }

    /// Exports what `/metrics` shows.
    ///
    /// # Errors
    /// A collector that cannot be reached by what is configured.
    pub fn export(&self, export: &Export, view: &Shared) -> anyhow::Result<()> {
        view.write().exports = Some(export.exports());
        let measured = self.app.clone();
        export.measure(move || measured.metrics().unwrap_or_default())?;
        Ok(())
    }

    /// Ends the server once the requests that are under way are answered, or have taken too long.
    pub fn end(self) {
        let Self { runtime, end, server, .. } = self;
        let _ = end.send(());
        runtime.block_on(async {
            let _ = tokio::time::timeout(LAST_REQUESTS, server).await;
        });
        runtime.shutdown_timeout(LAST_WORK);
    }
}

/// The sources that take events over HTTP. Requests that wait for Kafka leave connections for others.
fn ingest(config: &Config, traffic: &Traffic, view: &Shared) -> anyhow::Result<Ingest> {
    let most = traffic.connections.bounds().all / 4;
    let Some(kafka) = &config.kafka else { return Ok(Ingest::default()) };
    let named = config.sources.iter().filter_map(|source| Some((source.topic.as_str(), source.http.as_ref()?)));
    Ingest::start(&named.collect::<Vec<_>>(), || Ok(kafka.client_properties()?), most, view)
}

/// Warns if no caller could be let in, and keeps the keys of the tokens' issuer.
fn watch_access(access: &Access, config: &Config, view: &Shared, control: &Control) -> anyhow::Result<()> {
    if let Some(warning) = access.warning(config.http.outermost()) {
        AccessWarned { warning }.emit();
    }
    let Some(issuer) = access.issuer() else { return Ok(()) };
    let (view, control) = (view.clone(), control.clone());
    let tell = move |found: Result<(), String>| match found {
        Ok(()) => view.works(&Part::Issuer),
        Err(why) => {
            IssuerAway { why: &why }.emit();
            view.fails(Part::Issuer, why);
        }
    };
    issuer.watch(tell, move || control.is_stopping()).context("no thread for the issuer of tokens")
}
