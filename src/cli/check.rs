//! `driftgate check`: validates policies and the daemon's configuration, and gives advice on both. What the advice is, is
//! `policy::lint` and `deployment`, `snapshot` and `chance` where training data is at hand, and `alarms` on what rules do
//! without drift; what a policy watches, for people, is `watch`, and what memory it takes at most `bound`. `kafka` asks the brokers.

pub(super) mod alarms;
mod bound;
mod chance;
mod deployment;
mod fleet;
mod kafka;
mod merged;
mod snapshot;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::display;
use super::exit::{self, Failure};
use super::output::Output;
use super::terminal::errln;
use super::threads::threads;
use crate::config::{self, Config};
use crate::daemon::sources;
use crate::http::Tokens;
use crate::policies;
use crate::sink::outbox;
use crate::source::kafka::fetched_ahead;
use crate::view::Keep;
use alarms::Alarm;
use bound::{Given, ModelBound};
use driftgate_core::event::EventKind;
use driftgate_core::policy::Policy;
use driftgate_core::policy::lint::{Lint, lint};
use fleet::FLEET;
use watch::Watch;

/// Validates policies and configurations, and warns of what is likely wrong
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 valid, 1 valid with warnings and --strict, 2 errors, 5 the brokers cannot be reached (--kafka).\n\nExamples:\n  driftgate check --config config/driftgate.yaml\n  driftgate check --policy policy.yaml --strict\n  driftgate check --policy policy.yaml --alarms\n  driftgate check --config config/driftgate.yaml --kafka"
)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Args {
    /// Configuration of the daemon; its policies are checked too
    #[arg(long, value_name = "FILE", group = "what")]
    config: Option<PathBuf>,
    /// Policy; can be given several times
    #[arg(long, value_name = "FILE", group = "what")]
    policy: Vec<PathBuf>,
    /// Exits with 1 if there are warnings
    #[arg(long)]
    strict: bool,
    /// Prints for each rule on how many days per month it blocks without drift, and how large a drift it detects
    #[arg(long)]
    alarms: bool,
    /// Asks the brokers whether the topics are there, what this user may do with them and with the group, and whether the internal
    /// topics of a cluster are right; nothing is changed but a transactional ID of its own that is used once
    #[arg(long, requires = "config")]
    kafka: bool,
    /// Prints each policy with what it extends and its variables filled in, and nothing else
    #[arg(long, conflicts_with_all = ["json", "alarms", "kafka", "strict"])]
    merged: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    if args.merged {
        return merged::print(args.config.as_deref(), &args.policy);
    }
    let mut report = Report { show_alarms: args.alarms, ..Report::new(args.config.as_deref(), &args.policy) };
    if args.kafka {
        report.ask_kafka()?;
    }
    args.output.print(&report.to_json(), || Ok(report.to_text()))?;
    if !args.output.json {
        report.errors.iter().for_each(|error| errln!("{error}"));
    }
    Ok(if !report.errors.is_empty() {
        exit::INPUT
    } else if args.strict && report.warnings() > 0 {
        exit::BLOCK
    } else {
        exit::PASS
    })
}

/// A policy that is valid.
struct Checked {
    file: PathBuf,
    policy: Policy,
    lints: Vec<Lint>,
    alarms: Vec<Alarm>,
}

/// Reading pauses while so much of results waits to be delivered.
const OUTBOX_BYTES: u64 = outbox::MOST_BYTES as u64;

/// Everything that was found.
#[derive(Default)]
struct Report {
    /// As they are shown: `file:line:column: path: message`.
    errors: Vec<String>,
    config: Option<(PathBuf, Vec<Lint>)>,
    /// The configuration, if it is valid.
    parsed: Option<Config>,
    /// What the brokers say, if they were asked.
    kafka: Option<kafka::Findings>,
    policies: Vec<Checked>,
    /// What the configuration says of the verdicts that are kept.
    keep: Keep,
    /// How many bytes of one model may wait to be joined.
    join_bytes: u64,
    /// What bounds the memory of a daemon, by the configuration.
    given: Option<Given>,
    /// What rules that other policies have, too, do without drift.
    simulated: alarms::Simulated,
    /// Whether the alarms of all rules are asked for.
    show_alarms: bool,
}

impl Report {
    fn new(config: Option<&Path>, policies: &[PathBuf]) -> Self {
        let mut report = Self::default();
        let mut files = BTreeSet::new();
        let parsed = config.and_then(|path| Some((path, report.config(path)?)));
        if let Some((_, config)) = &parsed {
            report.keep = sources::keep(&config.limits);
            report.join_bytes = config.limits.events.join_bytes as u64;
            report.given = Some(given(config, report.keep));
            match config.policy_files() {
                Ok(found) => found.iter().for_each(|file| report.policy(file, &mut files)),
                Err(error) => report.errors.push(error.to_string()),
            }
            report.one_policy_a_model();
        }
        if let Some((path, config)) = parsed {
            let policies: Vec<&Policy> = report.policies.iter().map(|c| &c.policy).collect();
            // A policy that cannot be read is not a model that is not known.
            let unknown =
                if report.errors.is_empty() { deployment::unknown_models(&config, &policies) } else { Vec::new() };
            let tokens = match Tokens::load(config.http.tokens_file.as_deref()) {
                Err(e) if e.is_content() => {
                    report.errors.push(e.to_string());
                    Ok(true)
                }
                read => read.map(|t| !t.is_empty()).map_err(|e| e.to_string()),
            };
            let lints = deployment::lint(&config, &policies, tokens);
            report.errors.extend(unknown.into_iter().map(|l| format!("{}: {}: {}", path.display(), l.path, l.message)));
            report.config = Some((path.to_owned(), lints));
            report.parsed = Some(config);
        }
        for file in policies {
            report.policy(file, &mut files);
        }
        report
    }

    /// Asks the brokers, too. Of a configuration that is not valid there is nothing to ask.
    fn ask_kafka(&mut self) -> Result<(), Failure> {
        let (Some(config), Some((path, lints))) = (&self.parsed, &mut self.config) else { return Ok(()) };
        let policies: Vec<Arc<Policy>> = self.policies.iter().map(|c| Arc::new(c.policy.clone())).collect();
        let mut found = kafka::ask(config, &policies)?;
        let errors = std::mem::take(&mut found.errors);
        self.errors.extend(errors.into_iter().map(|l| format!("{}: {}: {}", path.display(), l.path, l.message)));
        lints.append(&mut found.warnings);
        self.kafka = Some(found);
        Ok(())
    }

    fn config(&mut self, path: &Path) -> Option<Config> {
        let text = self.read(path, "configuration")?;
        let config = config::parse(&text, path).map_err(|e| self.errors.push(e.to_string())).ok()?;
        // What the daemon reads at its start.
        let sources = config.sources.iter().enumerate();
        let unusable = sources.filter_map(|(at, source)| Some((at, sources::wire(source, None).err()?)));
        self.errors.extend(unusable.map(|(at, e)| format!("{}: sources[{at}]: {e:#}", path.display())));
        Some(config)
    }

    fn policy(&mut self, file: &Path, seen: &mut BTreeSet<PathBuf>) {
        if !seen.insert(std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())) {
            return;
        }
        let Some(text) = self.read(file, "policy") else { return };
        match policies::parse(&text, file) {
            Ok(policy) => {
                let mut lints = lint(&policy);
                let watch = Watch::new(&policy, self.keep);
                if let Some(location) = watch.missing_snapshot() {
                    let message = format!(
                        "{location} does not exist: versions would have no baseline, unless they are registered with their own"
                    );
                    lints.push(Lint { path: "baseline.snapshot".to_owned(), message });
                }
                let sample = watch.sample();
                let found = sample.map(|(version, location)| snapshot::read(&policy, &version, &location));
                let found = found.unwrap_or_default();
                lints.extend(found.lints);
                let chance = chance::lint(&policy, found.baseline.as_ref());
                let alarms = alarms::alarms(&policy, found.baseline.as_ref(), &self.simulated);
                // One line a rule.
                let noisy = alarms.iter().filter_map(Alarm::lint).filter(|l| chance.iter().all(|c| c.path != l.path));
                let noisy: Vec<Lint> = noisy.collect();
                lints.extend(chance.into_iter().chain(noisy));
                self.policies.push(Checked { file: file.to_owned(), policy, lints, alarms });
            }
            Err(errors) => self.errors.push(errors.to_string()),
        }
    }

    fn read(&mut self, path: &Path, what: &str) -> Option<String> {
        let read = std::fs::read_to_string(path);
        read.map_err(|e| self.errors.push(format!("{}: the {what} cannot be read: {e}", path.display()))).ok()
    }

    fn one_policy_a_model(&mut self) {
        let mut errors = Vec::new();
        for (at, second) in self.policies.iter().enumerate() {
            if let Some(first) = self.policies.iter().take(at).find(|c| c.policy.model == second.policy.model) {
                let (model, first) = (&second.policy.model, first.file.display());
                errors.push(format!(
                    "{}: model {model:?} has its policy in {first} already: keep one",
                    second.file.display()
                ));
            }
        }
        self.errors.append(&mut errors);
    }

    fn warnings(&self) -> usize {
        let of_config = self.config.as_ref().map_or(0, |(_, lints)| lints.len());
        of_config + self.policies.iter().map(|c| c.lints.len()).sum::<usize>()
    }

    fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let warn = |out: &mut String, file: &Path, lints: &[Lint]| {
            for Lint { path, message } in lints {
                let _ = writeln!(out, "warning: {}: {path}: {message}", file.display());
            }
        };
        if let Some((file, lints)) = &self.config {
            let _ = writeln!(out, "{}: the daemon's configuration, {} policies", file.display(), self.policies.len());
            let _ = writeln!(out, "{}", self.bound());
            if (1..=FLEET).contains(&self.policies.len()) {
                let models: Vec<ModelBound> =
                    self.policies.iter().filter_map(|c| self.model_bound(&c.policy)).collect();
                let _ = writeln!(out, "{}", bound::table(&models));
            }
            if let Some(kafka::Findings { notes, partitions, .. }) = &self.kafka {
                let _ = writeln!(out, "Kafka: {} topics are there", partitions.len());
                for note in notes {
                    let _ = writeln!(out, "note: {note}");
                }
            }
            warn(&mut out, file, lints);
        }
        let is_fleet = self.policies.len() > FLEET && !self.show_alarms;
        if is_fleet {
            out.push_str(&fleet::text(&self.policies.iter().map(|checked| self.line(checked)).collect::<Vec<_>>()));
            self.policies.iter().for_each(|c| warn(&mut out, &c.file, &c.lints));
        }
        for Checked { file, policy, lints, alarms } in self.policies.iter().filter(|_| !is_fleet) {
            let watch = Watch::new(policy, self.keep);
            let _ = writeln!(out, "{}: {}", file.display(), watch.summary());
            let _ = writeln!(out, "{}", watch.table());
            if self.show_alarms {
                let _ = writeln!(out, "{}", alarms::table(alarms));
            }
            warn(&mut out, file, lints);
        }
        let warnings = self.warnings();
        if self.errors.is_empty() {
            let said = match warnings {
                0 => "valid".to_owned(),
                1 => "valid, with 1 warning".to_owned(),
                n => format!("valid, with {} warnings", display::count(n as u64)),
            };
            let _ = writeln!(out, "{said}");
        }
        out
    }

    /// What the daemon may hold, beside what each version takes.
    fn bound(&self) -> String {
        let joined = self.policies.iter().filter(|c| c.policy.labels.is_some()).count() as u64;
        let mut parts = vec![format!("{} of results that are not delivered yet", watch::size(OUTBOX_BYTES))];
        if joined > 0 {
            let each = watch::size(self.join_bytes);
            parts.push(format!(
                "{each} of predictions and labels that wait for each other, for each of {joined} models"
            ));
        }
        let halves = self.given.map_or(0, |given| given.halves);
        if halves > 0 {
            parts.push(format!("{} of requests and responses that wait for each other", watch::size(halves)));
        }
        let memory = format!("memory: what each version takes (below), and at most {}", parts.join(" and "));
        let tail = if self.policies.len() > FLEET {
            self.total_bound()
                .map_or_else(String::new, |all| format!("; with 1,000 versions of each model {}", watch::size(all)))
        } else {
            ", and per model (of all this up to a quarter more, which was given back):".to_owned()
        };
        let (process, partition) =
            self.given.map_or((bound::process(1), 0), |given| (given.process(), given.partition));
        format!(
            "{memory}\nmemory at most: {} whatever is read, {} per partition{tail}",
            watch::size(process),
            watch::size(partition)
        )
    }

    /// What is said of a policy of many.
    fn line(&self, checked: &Checked) -> fleet::Line {
        let Checked { policy, lints, .. } = checked;
        let memory = Watch::new(policy, self.keep).memory();
        fleet::Line {
            model: policy.model.clone(),
            groups: policy.groups.len(),
            rules: policy.rules().count(),
            features: policy.features.numeric.len() + policy.features.categorical.len(),
            version: memory.map_or_else(|| "by the snapshot".to_owned(), watch::size),
            warnings: lints.len(),
            digest: policy.sha256.clone(),
        }
    }

    fn model_bound(&self, policy: &Policy) -> Option<ModelBound> {
        self.given.as_ref().map(|given| ModelBound::new(policy, given))
    }

    /// The bound of everything, with a thousand versions of each model, as far as policies say it.
    fn total_bound(&self) -> Option<u64> {
        let given = self.given?;
        let models = self.policies.iter().map(|c| ModelBound::new(&c.policy, &given).total(bound::VERSIONS));
        let models = models.sum::<Option<u64>>()?;
        Some(bound::resident(models.saturating_add(given.process())))
    }

    fn to_json(&self) -> Value {
        let policies = self.policies.iter().map(|Checked { file, policy, lints, alarms }| {
            let mut watch = Watch::new(policy, self.keep).to_json();
            if let Some(watch) = watch.as_object_mut() {
                watch.insert("file".to_owned(), file.display().to_string().into());
                watch.insert("warnings".to_owned(), json!(lints));
                if let Some(bound) = self.model_bound(policy) {
                    watch.insert("memory_at_most".to_owned(), bound.to_json());
                }
                if self.show_alarms {
                    watch.insert("alarms".to_owned(), alarms.iter().map(Alarm::to_json).collect());
                }
            }
            watch
        });
        let policies: Vec<Value> = policies.collect();
        // One text holds all errors of a file, a line each.
        let errors: Vec<&str> = self.errors.iter().flat_map(|e| e.lines()).collect();
        let config = self.config.as_ref().map(|(file, lints)| {
            json!({
                "file": file.display().to_string(), "warnings": lints,
                "memory": {
                    "undelivered_bytes": OUTBOX_BYTES, "join_bytes": self.join_bytes,
                    "process_bytes": self.given.map(|given| given.process()),
                    "halves_bytes": self.given.map(|given| given.halves),
                    "partition_bytes": self.given.map(|given| given.partition),
                    "most_bytes": self.total_bound(),
                },
            })
        });
        let mut all = json!({"valid": errors.is_empty(), "errors": errors, "warnings": self.warnings(), "config": config, "policies": policies});
        if let (Some(found), Some(all)) = (&self.kafka, all.as_object_mut()) {
            all.insert("kafka".to_owned(), json!({"partitions": found.partitions, "notes": found.notes}));
        }
        all
    }
}

/// What bounds the memory of a daemon that has every core.
fn given(config: &Config, keep: Keep) -> Given {
    Given {
        limits: config.limits.events,
        keep,
        has_features: config.sources.iter().any(|s| s.kind == EventKind::Features),
        sources: config.sources.len() as u64,
        workers: threads(None) as u64,
        halves: config.sources.iter().map(bound::halves).sum(),
        partition: fetched_ahead(config.kafka.as_ref().map_or(&BTreeMap::new(), |kafka| &kafka.properties)),
    }
}

#[cfg(test)]
mod tests;
