//! `driftgate status`: the state of daemon and models, and the next step where there is a problem.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::display;
use super::exit::{self, Failure};
use super::output::Output;
use super::terminal::{self, outln, shown};
use crate::api::{ModelStatus, Status, VersionStatus};
use crate::clock::now_ms;
use crate::problems::Problem;
use driftgate_core::codec::number::short;
use driftgate_core::codec::time::utc;
use driftgate_core::promotion::version::PendingRollback;
use driftgate_core::rollout::State;

/// Prints problems, the worst first, and the state of the models
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 also if there are problems, 5 the daemon cannot be reached.\n\nExamples:\n  driftgate status\n  driftgate status --problems\n  driftgate status --watch\n  driftgate status fraud_detector --json\n  driftgate status --config config/driftgate.yaml"
)]
pub struct Args {
    /// Name of one model; default: all models
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// Prints the state again every few seconds, until it is interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", conflicts_with = "json",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// Prints only the problems, the worst first
    #[arg(long)]
    problems: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    match args.watch {
        None => print(args, &client)?,
        Some(seconds) => watch(args, &client, Duration::from_secs(seconds))?,
    }
    Ok(exit::PASS)
}

/// Prints the state again and again, until nobody reads it. A daemon that does not answer may come back.
fn watch(args: &Args, client: &Client, every: Duration) -> Result<(), Failure> {
    let mut answered = false;
    loop {
        if std::io::stdout().is_terminal() {
            terminal::clear();
        }
        outln!("{}  every {} s; end with Ctrl-C", utc(now_ms()), every.as_secs());
        match print(args, client) {
            Err(failure) if failure.code != exit::UNREACHABLE || !answered => return Err(failure),
            Err(failure) => outln!("{:#}", failure.error),
            Ok(()) => answered = true,
        }
        if terminal::is_gone() || terminal::is_lost() {
            return Ok(());
        }
        std::thread::sleep(every);
    }
}

fn print(args: &Args, client: &Client) -> Result<(), Failure> {
    let said: Value = match &args.model {
        Some(model) => client.get(&["api", "v1", "models", model, "status"], &[])?,
        None => client.get(&["api", "v1", "status"], &[])?,
    };
    let answer = if args.problems { said.get("problems").unwrap_or(&Value::Null) } else { &said };
    args.output.print(answer, || {
        Ok(match (&args.model, args.problems) {
            (Some(_), false) => model_text(&ModelStatus::deserialize(answer)?),
            (None, false) => all_text(&Status::deserialize(answer)?),
            (_, true) => problems_text(&Vec::<Problem>::deserialize(answer)?),
        })
    })
}

/// Text from outside on a line of its own: it must not look like two.
fn one_line(text: &str) -> String {
    shown(text).into_owned()
}

/// The first line: the worst problem, or that there is none.
fn headline(problems: &[Problem]) -> String {
    match problems {
        [] => "nothing is wrong".to_owned(),
        [only] => sentence(only),
        [worst, ..] => format!("{} ({} problems: driftgate status --problems)", sentence(worst), problems.len()),
    }
}

fn sentence(problem: &Problem) -> String {
    let Problem { model, problem, .. } = problem;
    one_line(&model.as_ref().map_or_else(|| problem.clone(), |model| format!("{model}: {problem}")))
}

fn problems_text(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(out, "{}", sentence(problem));
        if let Some(next) = &problem.next {
            let _ = writeln!(out, "  next: {}", one_line(next));
        }
    }
    out
}

fn all_text(all: &Status) -> String {
    let mut out = all.cluster.as_ref().map_or_else(String::new, |cluster| one_line(&cluster.sentence()) + "\n");
    out.push_str(&headline(&all.problems));
    out.push('\n');
    for problem in all.problems.iter().filter(|p| p.model.is_none()).skip_while(|p| Some(*p) == all.problems.first()) {
        let _ = writeln!(out, "{}", one_line(&problem.problem));
    }
    for model in &all.models {
        out.push('\n');
        out.push_str(&model_text(model));
    }
    out
}

fn model_text(model: &ModelStatus) -> String {
    let name = &model.model;
    let mut out = match model.problems.as_slice() {
        [] => format!("{name}: nothing is wrong\n"),
        [worst, ..] => format!("{}\n", sentence(worst)),
    };
    if let Some(frozen) = &model.frozen {
        let _ = writeln!(out, "  frozen {frozen}");
    }
    if let Some(rollout) = &model.rollout {
        let _ = writeln!(out, "  {}", rollout_line(rollout));
    }
    if let Some(pending) = &model.rollback_pending {
        let PendingRollback { from, to, since, .. } = pending;
        let _ = writeln!(out, "  rolled back from {from} to {to} at {since}, and {to} was not seen serving since");
    }
    if !model.versions.is_empty() {
        let _ = writeln!(out, "{}", table(&model.versions));
    }
    for problem in model.problems.iter().skip(1) {
        let _ = writeln!(out, "  also: {}", one_line(&problem.problem));
    }
    for next in model.problems.iter().filter_map(|p| p.next.as_ref()) {
        let _ = writeln!(out, "  next: {}", one_line(next));
    }
    out
}

fn rollout_line(state: &State) -> String {
    let State { candidate, to, phase, weight, why, .. } = state;
    let against = state.champion.as_ref().map_or_else(String::new, |champion| format!(" (after {champion})"));
    let step = if phase.is_over() {
        String::new()
    } else {
        format!(", step {}, {}% of the traffic", state.step + 1, short(*weight))
    };
    let paused = state.paused.as_ref().map_or_else(String::new, |why| format!("; paused: {why}"));
    let dry = if state.dry_run { " (dry run)" } else { "" };
    format!("rollout of {candidate}{against} to {to}{dry}: {}{step}: {why}{paused}", phase.name())
}

fn table(versions: &[VersionStatus]) -> comfy_table::Table {
    let mut table = display::table(&["version", "stages", "predictions", "latest verdicts", "first reason", "blocked"]);
    for v in versions {
        let verdict = match &v.worst {
            None => "none".to_owned(),
            Some(worst) => format!("{} by {}, {}", worst.status.name(), worst.group, worst.window_end),
        };
        let reason = v.worst.as_ref().and_then(|w| w.reasons.first()).cloned().unwrap_or_default();
        let mut blocked: Vec<String> = v.blocks.iter().map(|b| format!("{} since {}", b.group, b.since)).collect();
        blocked.extend(v.rolled_back.iter().map(|when| format!("rolled back {when}")));
        let blocked: Vec<_> = blocked.iter().map(|line| shown(line)).collect();
        table.add_row([
            shown(&v.version).into_owned(),
            shown(&v.stages.join(", ")).into_owned(),
            display::count(v.predictions),
            shown(&verdict).into_owned(),
            shown(&reason).into_owned(),
            blocked.join("\n"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::trust::Trust;

    fn version(version: &str, stages: &[&str], blocks: &Value, status: &str) -> Value {
        let worst = json!({"group": "drift", "status": status, "window_end": "2026-01-02T00:00:00Z",
            "reasons": if status == "pass" { json!([]) } else { json!(["drift/psi temp 0.31 breaks lt 0.2"]) }});
        json!({"version": version, "stages": stages, "blocks": blocks, "rolled_back": null, "predictions": 6012, "worst": worst})
    }

    fn model(change: impl FnOnce(&mut Value)) -> String {
        let mut model = json!({"model": "m", "problems": [], "frozen": null, "rollout": null, "rollback_pending": null,
            "versions": [version("6", &["prod"], &json!([]), "pass"), version("7", &["staging"], &json!([]), "pass")]});
        change(&mut model);
        model_text(&serde_json::from_value(model).unwrap())
    }

    fn problem(model: Option<&str>, what: &str) -> Value {
        json!({"severity": "production", "model": model, "version": null, "problem": what, "next": format!("mend {what}")})
    }

    #[test]
    fn a_quiet_model_asks_for_nothing() {
        let text = model(|_| {});
        assert!(text.starts_with("m: nothing is wrong\n") && !text.contains("next: "), "{text}");
        assert!(text.contains("6,012") && text.contains("pass by drift, 2026-01-02T00:00:00Z"), "{text}");
    }

    #[test]
    fn the_first_line_is_the_worst_and_each_problem_has_a_next_step() {
        let block = json!([{"group": "drift", "since": "2026-01-02T00:00:00Z", "reasons": [], "signal_id": "s", "verdict_id": "v"}]);
        let text = model(|m| {
            m["versions"][0] = version("6", &["prod"], &block, "block");
            m["frozen"] = json!("since 2026-01-02T00:00:00Z: by ana: incident 42");
            m["rollback_pending"] = json!({"model": "m", "from": "7", "to": "6", "since": "2026-01-02T00:00:00Z"});
            m["problems"] = json!([problem(Some("m"), "version 6 is blocked"), problem(Some("m"), "frozen")]);
        });
        assert!(
            text.starts_with("m: version 6 is blocked\n") && text.contains("drift since 2026-01-02T00:00:00Z"),
            "{text}"
        );
        assert!(text.contains("  also: frozen\n  next: mend version 6 is blocked\n  next: mend frozen\n"), "{text}");
        assert!(text.contains("frozen since 2026-01-02T00:00:00Z: by ana: incident 42"), "{text}");
        insta::assert_snapshot!(text);
        let all = json!({"models": [], "problems": [problem(None, "not ready: kafka: no broker answers"),
            problem(Some("m"), "version 6 is blocked"), problem(None, "3 messages wait for webhook")]});
        let text = all_text(&serde_json::from_value(all.clone()).unwrap());
        assert_eq!(
            text,
            "not ready: kafka: no broker answers (3 problems: driftgate status --problems)\n3 messages wait for webhook\n"
        );
        let problems: Vec<Problem> = serde_json::from_value(all["problems"].clone()).unwrap();
        assert_eq!(
            problems_text(&problems[1..]),
            "m: version 6 is blocked\n  next: mend version 6 is blocked\n\
             3 messages wait for webhook\n  next: mend 3 messages wait for webhook\n"
        );
        assert_eq!(
            all_text(&serde_json::from_value(json!({"models": [], "problems": []})).unwrap()),
            "nothing is wrong\n"
        );
    }

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [temp]}
checks: {slo: {window: {size: 1m, slide: 1m}, rules: [{latency_p95_ms: {id: p95, lt: 80}}]}}
transitions: [{from: staging, to: prod, checks: [slo], rollout: {steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo]}}]
";

    #[test]
    fn a_rollout_is_a_line() {
        let policy = driftgate_core::policy::parse(POLICY, std::path::Path::new("p.yaml")).unwrap();
        let plan = policy.transitions[0].rollout.as_ref().unwrap();
        let identity = driftgate_core::rollout::Identity {
            id: "r".into(),
            model: "m".into(),
            candidate: "7".into(),
            champion: Some("6".into()),
            from: "staging".into(),
            to: "prod".into(),
        };
        let (mut state, _) = driftgate_core::rollout::start(identity, &policy, plan, 0);
        let text = model(|m| m["rollout"] = json!(state));
        assert!(text.contains("  rollout of 7 (after 6) to prod: Progressing, step 1, 10% of the traffic: "), "{text}");
        state.paused = Some("incident 42".into());
        let text = model(|m| m["rollout"] = json!(state));
        assert!(text.contains("; paused: incident 42\n"), "{text}");
    }

    #[test]
    fn a_registry_is_asked_without_a_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("d.yaml");
        std::fs::write(folder.path().join("p.yaml"), POLICY).unwrap();
        std::fs::write(&config, "policies: [p.yaml]\nregistry: {embedded: {path: registry.db}}\n").unwrap();
        let server = ServerArgs {
            server: "http://127.0.0.1:1".into(),
            token_file: None,
            config: Some(config),
            trust: Trust::default(),
        };
        let ask = |model: Option<&str>, json| {
            run(&Args {
                model: model.map(str::to_owned),
                output: Output { json },
                problems: json,
                watch: None,
                server: server.clone(),
            })
        };
        for (model, json) in [(None, false), (Some("m"), false), (None, true), (Some("m"), true)] {
            assert_eq!(ask(model, json).unwrap(), exit::PASS);
        }
        assert_eq!(ask(Some("other"), false).unwrap_err().code, exit::INPUT);
        let nobody = ServerArgs { config: None, ..server.clone() };
        assert_eq!(
            run(&Args { model: None, output: Output::default(), problems: true, watch: None, server: nobody })
                .unwrap_err()
                .code,
            exit::UNREACHABLE
        );
    }

    #[test]
    fn the_copy_of_a_clusters_process_is_read_and_never_changed_or_promoted_by() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("d.yaml");
        std::fs::write(folder.path().join("p.yaml"), POLICY).unwrap();
        let text = "policies: [p.yaml]\nregistry: {embedded: {path: registry.db}}\nkafka: {brokers: \"127.0.0.1:1\"}\n\
                    sources: [{topic: p, kind: predictions}]\ncluster: {instance: a, advertise: \"http://a:1\", audit_key: key.pem}\n";
        std::fs::write(&config, text).unwrap();
        let trust = Trust::default();
        let server = ServerArgs { server: "http://127.0.0.1:1".into(), token_file: None, config: Some(config), trust };
        let client = Client::new(&server).unwrap();
        let gate: Value = client.get(&["api", "v1", "gate", "m", "1"], &[("to", "prod")]).unwrap();
        assert_eq!((&gate["verdict"], &gate["copy"]["owner"]), (&json!("inconclusive"), &Value::Null));
        assert!(gate["reasons"][0].as_str().unwrap().contains("--server"), "{gate}");
        let change: Result<Value, _> = client.post(&["api", "v1", "models", "m", "freeze"], &json!({"reason": "x"}));
        let failure = change.unwrap_err();
        assert_eq!(failure.code, exit::INPUT);
        assert!(format!("{:#}", failure.error).contains("whose registry is a copy"), "{:#}", failure.error);
    }

    #[test]
    fn the_first_line_of_a_clusters_process_says_what_it_does() {
        let cluster = json!({"instance": "b", "advertise": "http://b:1", "role": "standby", "unit": "all", "owner": "a",
            "members": [{"instance": "a", "advertise": "http://a:1", "host": "", "owns": true}], "claim": null, "ledger_seq": 4,
            "copy_age_ms": 1200, "checked_age_ms": 10, "lag": null, "takeovers": 0, "session_ms": 6000});
        let all = json!({"cluster": cluster, "models": [], "problems": []});
        assert_eq!(
            all_text(&serde_json::from_value(all).unwrap()),
            "b stands by; a (http://a:1) owns the ledger, and its copy of the registry is 1 s old\nnothing is wrong\n"
        );
    }

    #[test]
    fn names_from_outside_do_not_steer_the_terminal() {}
}
