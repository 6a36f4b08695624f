//! `driftgate gate`: may a version be promoted to a stage? Asked of a running daemon, or read from the embedded registry.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::client::{Client, ServerArgs};
use super::{Failure, exit, show};
use crate::clock::now_ms;
use crate::config::{self, Config, RegistryConfig};
use crate::gate::{self, Answer, GateVerdict, GroupVerdict, Question};
use crate::judge::read::verdict_from_json;
use crate::policy::{self, Policy};
use crate::registry::{Embedded, Registry as _};
use crate::yaml::units;

/// Between two questions of `--wait`.
const EVERY: Duration = Duration::from_secs(5);

/// Asks whether a version may be promoted to a stage
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 pass, 1 block, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate gate flight_delay 2 --to prod\n  driftgate gate flight_delay 2 --to prod --wait --timeout 30m --json\n  driftgate gate flight_delay 2 --to prod --config config/driftgate.yaml"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The stage to promote to
    #[arg(long, value_name = "STAGE")]
    to: String,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    /// Asks again every 5 s while the answer is inconclusive or waits for approval
    #[arg(long)]
    wait: bool,
    /// How long --wait waits
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = timeout)]
    timeout: Duration,
    /// Reads the registry and the policies that this configuration names, without a daemon
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    config: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let millis = units::duration(text)?;
    u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| format!("{text:?} is negative: write a time such as 1h"))
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let answer = if let Some(path) = &args.config {
        let config = read_config(path)?;
        wait(args, || ask_registry(&config, args))?
    } else {
        let client = Client::new(&args.server)?;
        let path = ["api", "v1", "gate", &args.model, &args.version];
        wait(args, || client.get(&path, &[("to", &args.to)]))?
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        println!("{answer}");
    }
    Ok(answer.verdict.exit_code())
}

/// Asks, and with `--wait` again until the answer is final or the time is up. A daemon that answered once may restart.
fn wait(args: &Args, ask: impl Fn() -> Result<Answer, Failure>) -> Result<Answer, Failure> {
    let mut answer = ask()?;
    if !args.wait || is_final(&answer) {
        return Ok(answer);
    }
    let started = Instant::now();
    let spinner = show::spinner("waiting");
    while !is_final(&answer) {
        let left = args.timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        spinner.set_message(format!(
            "{}: {}",
            answer.verdict.name(),
            answer.reasons.first().map_or("", String::as_str)
        ));
        thread::sleep(left.min(EVERY));
        match ask() {
            Ok(next) => answer = next,
            Err(failure) if failure.code == exit::UNREACHABLE && started.elapsed() < args.timeout => {
                spinner.set_message(format!("{:#}", failure.error));
            }
            Err(failure) => return Err(failure),
        }
    }
    spinner.finish_and_clear();
    Ok(answer)
}

fn is_final(answer: &Answer) -> bool {
    matches!(answer.verdict, GateVerdict::Pass | GateVerdict::Block)
}

/// Reads a daemon configuration.
pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    Ok(config::parse(&text, path)?)
}

/// The policy of a model among those that the configuration names.
pub fn policy_of(config: &Config, model: &str) -> anyhow::Result<Policy> {
    let mut models = Vec::new();
    for path in config.policy_files()? {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
        let policy = policy::parse(&text, &path)?;
        if policy.model == model {
            return Ok(policy);
        }
        models.push(policy.model);
    }
    let known = if models.is_empty() { "none".to_owned() } else { models.join(", ") };
    Err(anyhow!("no policy is for model {model:?}; the models are {known}"))
}

fn ask_registry(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let policy = policy_of(config, &args.model)?;
    let RegistryConfig::Embedded { path } = &config.registry;
    if !path.exists() {
        return Err(anyhow!(
            "there is no registry at {}: register a version, or let `driftgate run` make it",
            path.display()
        )
        .into());
    }
    let registry = Embedded::open(path)?;
    Ok(ask_embedded(&registry, &policy, &args.version, &args.to, now_ms())?)
}

/// The gate's answer by what the registry keeps: the latest verdict of each group and the active blocks.
fn ask_embedded(registry: &Embedded, policy: &Policy, version: &str, to: &str, now_ms: i64) -> anyhow::Result<Answer> {
    let record = registry.version(&policy.model, version)?;
    let texts = registry.verdicts(&policy.model, version)?;
    let latest = texts.iter().map(|text| stored(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let blocks = record.as_ref().map(|r| r.blocks.as_slice()).unwrap_or_default();
    let known = record.is_some() || !latest.is_empty();
    Ok(gate::decide(&Question { policy, to, version, now_ms, latest, blocks, known })?)
}

/// A verdict as the gate takes it, so that its own rules (mutes, pending breaches, sentences) hold for kept ones too.
fn stored(json: &str) -> anyhow::Result<GroupVerdict> {
    let verdict = verdict_from_json(json).context(
        "the registry holds a verdict that this driftgate cannot read: use the driftgate that wrote it, or a newer one",
    )?;
    Ok(GroupVerdict::from_verdict(&verdict))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
    use crate::registry::Registration;

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a, b]}
checks:
  drift:
    window: {size: 2h, slide: 1h}
    stale_after: 3h
    rules: [{psi: {of: features, lt: 0.2}}]
";
    const END: i64 = 1_772_366_400_000;

    fn result(subject: &str, status: Status) -> RuleResult {
        RuleResult {
            rule: "drift/psi".into(),
            metric: "psi",
            subject: subject.into(),
            status,
            value: Some(0.31),
            evidence: vec![("limit", json!({"lt": 0.2})), ("n", 10.into())],
            reason: None,
            since: Some(END),
            pending: false,
            muted: false,
            bins: Some(json!([])),
        }
    }

    fn verdict(results: Vec<RuleResult>) -> Verdict {
        Verdict {
            verdict_id: "v".into(),
            model: "m".into(),
            version: "2".into(),
            stage: Some("staging".into()),
            group: "drift".into(),
            window: WindowSpan { start: END - 7_200_000, end: END, complete: true },
            status: results.iter().map(|r| r.status).max().unwrap_or(Status::Pass),
            results,
            counted: Counted { predictions: 10, labels: 0 },
            policy_sha256: "p".into(),
            baseline_sha256: Some("b".into()),
        }
    }

    #[test]
    fn a_kept_verdict_is_what_it_was() {
        let blocked = result("a", Status::Block);
        let cases = [
            vec![],
            vec![blocked.clone(), result("b", Status::Pass)],
            vec![RuleResult { muted: true, ..blocked.clone() }],
            vec![RuleResult { pending: true, ..blocked.clone() }],
            vec![RuleResult {
                value: None,
                reason: Some("3 of 200 samples".into()),
                ..result("a", Status::Insufficient)
            }],
        ];
        for results in cases {
            let verdict = verdict(results);
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(stored(&json).unwrap(), GroupVerdict::from_verdict(&verdict), "{json}");
        }
        assert!(format!("{:#}", stored("{}").unwrap_err()).contains("cannot read"));
    }

    #[test]
    fn the_registry_answers_without_a_daemon() {
        let policy = policy::parse(POLICY, Path::new("p.yaml")).unwrap();
        let registry = Embedded::in_memory().unwrap();
        let ask = |now| ask_embedded(&registry, &policy, "2", "prod", now).unwrap();
        assert!(ask(END).reasons.iter().any(|r| r.contains("neither registered nor seen")));
        registry
            .register(&Registration { model: "m".into(), version: "2".into(), ..Registration::default() }, "t", 0)
            .unwrap();
        assert_eq!(ask(END).verdict, GateVerdict::Inconclusive);
        let keep = |end, results| {
            registry
                .record_verdict("m", "2", "drift", end, &serde_json::to_string(&verdict(results)).unwrap())
                .unwrap();
        };
        keep(END, vec![result("a", Status::Pass)]);
        assert_eq!(ask(END + 60_000).verdict, GateVerdict::Pass);
        assert_eq!(ask(END + 4 * 3_600_000).verdict, GateVerdict::Inconclusive);
        keep(END + 1, vec![result("a", Status::Block)]);
        let answer = ask(END + 60_000);
        assert_eq!((answer.verdict, answer.reasons.len()), (GateVerdict::Block, 1));
        assert!(answer.reasons[0].starts_with("drift/psi a 0.31 breaks lt 0.2"), "{:?}", answer.reasons);
    }

    #[test]
    fn waiting_has_an_end() {
        assert_eq!(timeout("90m"), Ok(Duration::from_secs(5400)));
        assert!(timeout("1").is_err() && timeout("-1h").is_err());
    }
}
