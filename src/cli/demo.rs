//! `driftgate demo`: runs a year of flights through the daemon's pipeline, prints what happens, and serves the HTTP API meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::exit::{self, Failure};
use super::terminal::outln;
use super::{display, replay as replay_cli};
use crate::daemon::engine::new_model_view;
use crate::http::{self, Access, App, Tokens, Traffic};
use crate::ledger::Embedded;
use crate::replay::{self, Input, Observer};
use crate::sink::ingest::Ingest;
use crate::view::Shared;
use driftgate_core::decode::Reject;
use driftgate_core::event::EventKind;
use driftgate_core::intake::Setup;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Action, Signal, Status, Verdict};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::promotion::version::Registration;

/// Runs the pipeline over the flight data of the repository, without Kafka
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A model scores each flight from New York in 2013; a label arrives when the flight lands. Version 1 was trained on the winter and\nserves from March on; version 2 runs beside it from July. The drift is in the data: nothing was added.\n\nExamples:\n  driftgate demo\n  driftgate demo --speed 40 --listen 127.0.0.1:9464 --stay"
)]
pub struct Args {
    /// Folder with predictions.parquet, labels.parquet, policies and training snapshots
    #[arg(long, value_name = "DIR", default_value = "tests/data/flights")]
    data: PathBuf,
    /// Policy in that folder
    #[arg(long, value_name = "FILE", default_value = "policy-core.yaml")]
    policy: PathBuf,
    /// Days of flights per second; 0 means as fast as possible
    #[arg(long, value_name = "DAYS", default_value_t = 15.0)]
    speed: f64,
    /// Address of the HTTP API and the pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// Serves the HTTP API after the end of the data, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// The demo's clock: the event time that was reached. Freshness is measured by it, not by the wall.
static STREAM_TIME: AtomicI64 = AtomicI64::new(0);

/// Refuses a speed that is none, and a folder that is not there.
fn check(args: &Args) -> anyhow::Result<()> {
    if !args.speed.is_finite() || args.speed < 0.0 {
        return Err(anyhow!("--speed is {}; give days per second, or 0 for as fast as possible", args.speed));
    }
    if !args.data.is_dir() {
        return Err(anyhow!(
            "there is no folder {}; run the demo from the repository's root, or give --data",
            args.data.display()
        ));
    }
    Ok(())
}

/// Serves the HTTP API on a thread of its own, as long as the runtime lives.
fn serve(args: &Args, view: &Shared, registry: &Arc<Embedded>) -> anyhow::Result<(Runtime, SocketAddr)> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime
        .block_on(TcpListener::bind(args.listen))
        .with_context(|| format!("cannot listen on {}; give another --listen", args.listen))?;
    let address = listener.local_addr()?;
    let app = App {
        view: view.clone(),
        registry: Arc::clone(registry),
        access: Arc::new(Access::open(Tokens::default())),
        now_ms: || STREAM_TIME.load(Ordering::Relaxed),
        history: None,
        traffic: Traffic::default(),
        ingest: Ingest::default(),
        series: http::metrics::Options::default(),
    };
    runtime.spawn(http::serve(listener, app, std::future::pending()));
    Ok((runtime, address))
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    check(args)?;
    let policy = Arc::new(replay_cli::read_policy(&args.data.join(&args.policy))?);
    let registry: Arc<Embedded> = Arc::new(Embedded::in_memory()?);
    let view = Shared::default();
    view.write()
        .models
        .insert(policy.model.clone(), new_model_view(&Pipeline::new(Arc::clone(&policy), Setup::default(), 1)));
    let (runtime, address) = serve(args, &view, &registry)?;
    outln!("A year of flights out of New York, judged by {}.", args.data.join(&args.policy).display());
    outln!("The API serves meanwhile: http://{address}/ and http://{address}/metrics\n");
    let options = replay_cli::Options::new(&policy, None, 1)?;
    let file = |name: &str, kind| options.file(&args.data.join(name), kind);
    let input = Input {
        policy: Arc::clone(&policy),
        predictions: file("predictions.parquet", EventKind::Predictions),
        others: [(EventKind::Labels, file("labels.parquet", EventKind::Labels))].into(),
    };
    let mut story = Story {
        address,
        speed: args.speed,
        view: view.clone(),
        registry,
        started: None,
        explained: BTreeSet::new(),
        counts: BTreeMap::new(),
        verdicts: 0,
        staged: BTreeSet::new(),
    };
    let begun = Instant::now();
    view.write().started = true;
    let outcome = replay::run(&input, &mut story)?;
    story.end(&outcome, begun.elapsed());
    if args.stay {
        outln!("\nStill serving http://{address}/ until Ctrl-C.");
        runtime.block_on(tokio::signal::ctrl_c())?;
    }
    Ok(exit::PASS)
}

/// Prints what happens, and keeps the status view that the API serves.
struct Story {
    address: SocketAddr,
    speed: f64,
    view: Shared,
    registry: Arc<Embedded>,
    /// When the first verdict was printed, and its end.
    started: Option<(Instant, i64)>,
    /// What was explained once already.
    explained: BTreeSet<&'static str>,
    counts: BTreeMap<(String, Action), u64>,
    verdicts: u64,
    /// Stages and versions that are in the registry.
    staged: BTreeSet<(String, String)>,
}

impl Story {
    /// Waits until the stream's pace allows this event time.
    fn pace(&mut self, end: i64) {
        let (at, first) = *self.started.get_or_insert((Instant::now(), end));
        if self.speed > 0.0 {
            #[allow(clippy::cast_precision_loss, reason = "a year in ms is far below 2^53")]
            let seconds = (end - first).max(0) as f64 / 86_400_000.0 / self.speed;
            std::thread::sleep(Duration::from_secs_f64(seconds).saturating_sub(at.elapsed()));
        }
        STREAM_TIME.fetch_max(end, Ordering::Relaxed);
    }

    fn explain(&mut self, what: &'static str, text: &str) {
        if self.explained.insert(what) {
            outln!("            {text}");
        }
    }

    fn tell(&mut self, verdict: &Verdict, signal: &Signal) {
        let day = signal.ts.get(..10).unwrap_or(&signal.ts);
        let stage = signal.stage.as_deref().unwrap_or("no stage");
        let (model, version) = (signal.model.clone(), signal.version.clone());
        match signal.action {
            Action::Block => {
                let more = signal.reasons.len().saturating_sub(1);
                let first = signal.reasons.first().map_or("", String::as_str);
                let and = if more > 0 { format!(" (and {more} more)") } else { String::new() };
                outln!("{day}  BLOCK  {model} {version} ({stage}), {}: {first}{and}", signal.group);
                if stage == "prod" {
                    self.explain("prod", "next: an alert, since it serves already; retrain on newer data. Its successors stay free to be promoted.");
                } else {
                    self.explain("staging", "next: it cannot be promoted while this lasts; look at what moved:");
                    let url = format!(
                        "curl http://{}/api/v1/models/{model}/versions/{version}/verdicts?group={}",
                        self.address, signal.group
                    );
                    self.explain("curl", &url);
                }
                if let Some(worst) =
                    verdict.results.iter().find(|r| r.decides() == Status::Block && r.metric == "tpr_gap")
                {
                    let name = |key: &str| {
                        worst.get(key).as_ref().and_then(serde_json::Value::as_str).unwrap_or("?").to_owned()
                    };
                    self.explain(
                        "fairness",
                        &format!(
                            "{} finds late flights best, {} worst: the model serves them unequally.",
                            name("best"),
                            name("worst")
                        ),
                    );
                }
            }
            Action::Clear => {
                outln!("{day}  clear  {model} {version} ({stage}), {}: back within its limits", signal.group);
            }
            Action::Rollback => outln!(
                "{day}  ROLLBACK  {model} {version} to {}",
                signal.rollback_to.as_deref().unwrap_or("nothing: no stable version")
            ),
        }
    }

    fn end(&self, outcome: &replay::ReplayOutcome, took: Duration) {
        let c = &outcome.counters;
        outln!(
            "\n{} predictions and {} labels in {:.1} s: {} windows judged.",
            display::count(c.predictions),
            display::count(c.labels),
            took.as_secs_f64(),
            display::count(self.verdicts)
        );
        let mut table = display::table(&["version", "blocks", "clears", "now"]);
        let view = self.view.read();
        for (name, version) in view.models.values().flat_map(|m| &m.versions) {
            let n = |action| display::count(self.counts.get(&(name.clone(), action)).copied().unwrap_or(0));
            let blocked: Vec<&str> = version.blocks.keys().map(String::as_str).collect();
            let now = if blocked.is_empty() {
                "free to be promoted".to_owned()
            } else {
                format!("blocked by {}", blocked.join(", "))
            };
            display::row(&mut table, [name.clone(), n(Action::Block), n(Action::Clear), now]);
        }
        outln!("{table}");
        outln!("Next: driftgate replay --help for your own files, config/driftgate.yaml for your own Kafka.");
    }
}

impl Observer for Story {
    fn verdict(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()> {
        if !verdict.window.complete {
            return Ok(());
        }
        self.pace(verdict.window.end);
        self.verdicts += 1;
        if let Some(stage) = &verdict.stage
            && self.staged.insert((stage.clone(), verdict.version.clone()))
        {
            // The events name the stage a version serves in; the demo's registry follows them.
            let now = crate::clock::now_ms();
            let (model, version) = (verdict.model.clone(), verdict.version.clone());
            self.registry.register(&Registration { model, version, ..Registration::default() }, "demo", now)?;
            self.registry.set_stage(&verdict.model, stage, &verdict.version, "demo", "as the events say", now)?;
        }
        for signal in signals {
            let mut signal = signal.clone();
            if let driftgate_core::promotion::version::Applied::Done { rollback_to } =
                self.registry.apply(&signal, crate::clock::now_ms())?
            {
                signal.rollback_to = rollback_to;
            }
            *self.counts.entry((signal.version.clone(), signal.action)).or_default() += 1;
            self.tell(verdict, &signal);
            *self.view.write().signals.entry((signal.action, "registry".into(), "ok")).or_default() += 1;
            if let Some(v) = self.view.write().version_mut(&signal.model, &signal.version) {
                match signal.action {
                    Action::Block => drop(v.blocks.insert(signal.group.clone(), signal.reasons.clone())),
                    Action::Clear => drop(v.blocks.remove(&signal.group)),
                    Action::Rollback => {}
                }
            }
        }
        self.view.write().push(Arc::new(verdict.clone()));
        Ok(())
    }

    fn reject(&mut self, file: &Path, line: u64, reject: &Reject, _payload: &[u8]) -> anyhow::Result<()> {
        outln!("rejected {}:{line}: {reject}", file.display());
        Ok(())
    }

    fn reference(&mut self, version: &str, reference: &Reference) {
        match reference {
            Reference::Baseline { baseline, sha256 } => {
                outln!("version {version}: baseline of {} training rows", display::count(baseline.rows));
                if let Some(v) = self.view.write().version_mut(&baseline.model, version) {
                    v.baseline = Some(Ok(sha256.to_string()));
                    v.reference_rows = Some(baseline.rows);
                }
            }
            Reference::Failed(why) => outln!("version {version}: no baseline: {why}"),
            Reference::Unknown => {}
        }
    }

    fn progress(&mut self, pipeline: &Pipeline, _read: u64, _total: Option<u64>) -> anyhow::Result<()> {
        let mut view = self.view.write();
        let policy = &pipeline.policy;
        if let Some(model) = view.models.get_mut(&policy.model) {
            model.counters = pipeline.counters();
            let intake = pipeline.intake();
            model.waiting = intake.waiting();
            model.closed = policy
                .groups
                .iter()
                .zip(intake.closed())
                .filter(|(_, c)| **c > i64::MIN)
                .map(|(g, c)| (g.name.clone(), *c))
                .collect();
            for (_, name, version) in intake.versions() {
                model.versions.entry(name.to_owned()).or_default().predictions = version.predictions;
            }
        }
        Ok(())
    }
}
