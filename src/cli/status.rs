//! `driftgate status`: what is going on with the models, and what to do next where something is wrong.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Client, ServerArgs};
use super::terminal::{out, outln};
use super::{Failure, exit, show};
use crate::judge::verdict::{Status, short};
use crate::registry::{ActiveBlock, PROD, PendingRollback};
use crate::rollout::{Phase, State};

/// Shows what is going on with the models: stages, verdicts, blocks, rollouts, freezes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 whatever the models are like, 5 the daemon cannot be reached.\n\nExamples:\n  driftgate status\n  driftgate status fraud_detector --json\n  driftgate status --config config/driftgate.yaml"
)]
pub struct Args {
    /// One model; all of them by default
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// Prints it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is said of every model together.
#[derive(Deserialize)]
struct All {
    ready: bool,
    not_ready: Map<String, Value>,
    /// Things that wait, by sink.
    undelivered: Map<String, Value>,
    /// What is worth a look in the events that count.
    #[serde(default)]
    remarks: Vec<String>,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    model: String,
    /// Since when and why.
    frozen: Option<String>,
    /// The last one, under way or ended.
    rollout: Option<State>,
    rollback_pending: Option<PendingRollback>,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    stages: Vec<String>,
    blocks: Vec<ActiveBlock>,
    rolled_back: Option<String>,
    predictions: u64,
    worst: Option<Worst>,
}

/// The worst of the latest verdicts.
#[derive(Deserialize)]
struct Worst {
    group: String,
    status: Status,
    window_end: String,
    reasons: Vec<String>,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let said: Value = match &args.model {
        Some(model) => client.get(&["api", "v1", "models", model, "status"], &[])?,
        None => client.get(&["api", "v1", "status"], &[])?,
    };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
        return Ok(exit::PASS);
    }
    let text = match &args.model {
        Some(_) => model_text(&serde_json::from_value(said)?),
        None => all_text(&serde_json::from_value(said)?),
    };
    out!("{}", printable(&text));
    Ok(exit::PASS)
}

/// Text for a terminal: names and values come from outside, and must not steer it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn all_text(all: &All) -> String {
    let mut out = String::new();
    if !all.ready {
        let waits: Vec<String> =
            all.not_ready.iter().map(|(what, why)| format!("{what}: {}", why.as_str().unwrap_or("waits"))).collect();
        let _ = writeln!(
            out,
            "not ready: {}",
            if waits.is_empty() { "it is starting".to_owned() } else { waits.join("; ") }
        );
    }
    for (sink, count) in all.undelivered.iter().filter(|(_, count)| count.as_u64() != Some(0)) {
        let _ = writeln!(out, "{count} messages wait for {sink}: it does not take them, see the daemon's log");
    }
    for remark in &all.remarks {
        let _ = writeln!(out, "look at {remark}");
    }
    if all.models.is_empty() {
        out.push_str("no models: the configuration names no policy\n");
    }
    for (at, model) in all.models.iter().enumerate() {
        if at > 0 || !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&model_text(model));
    }
    out
}

fn model_text(model: &Model) -> String {
    let name = &model.model;
    let next = next(model);
    let mut out = format!("{name}: {}\n", if next.is_empty() { "nothing is wrong" } else { "needs a look" });
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
    if model.versions.is_empty() {
        out.push_str("  no versions: none is registered, and no event names one\n");
    } else {
        let _ = writeln!(out, "{}", table(&model.versions));
    }
    for line in next {
        let _ = writeln!(out, "  next: {line}");
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

fn table(versions: &[Version]) -> comfy_table::Table {
    let mut table = show::table(&["version", "stages", "predictions", "latest verdicts", "first reason", "blocked"]);
    for v in versions {
        let verdict = match &v.worst {
            None => "none".to_owned(),
            Some(worst) => format!("{} by {}, {}", worst.status.name(), worst.group, worst.window_end),
        };
        let reason = v.worst.as_ref().and_then(|w| w.reasons.first()).cloned().unwrap_or_default();
        let mut blocked: Vec<String> = v.blocks.iter().map(|b| format!("{} since {}", b.group, b.since)).collect();
        blocked.extend(v.rolled_back.iter().map(|when| format!("rolled back {when}")));
        table.add_row([
            v.version.clone(),
            v.stages.join(", "),
            show::count(v.predictions),
            verdict,
            reason,
            blocked.join("\n"),
        ]);
    }
    table
}

/// What an operator does next, a line for everything that is wrong, the most urgent first.
fn next(model: &Model) -> Vec<String> {
    let name = &model.model;
    let mut next = Vec::new();
    if let Some(PendingRollback { from, to, .. }) = &model.rollback_pending {
        next.push(format!("make sure that {to} serves instead of {from}: the traffic does not show it yet"));
    }
    let blocked = |v: &&Version| !v.blocks.is_empty() || v.worst.as_ref().is_some_and(|w| w.status == Status::Block);
    let unsure = |v: &&Version| v.worst.as_ref().is_none_or(|w| w.status == Status::Insufficient);
    let in_prod = |v: &&Version| v.stages.iter().any(|stage| stage == PROD);
    let staged = |v: &&Version| !v.stages.is_empty();
    let explain =
        |v: &Version, why: &str| format!("driftgate explain {} {}   # {why}", quoted(name), quoted(&v.version));
    if let Some(v) = model.versions.iter().find(|v| in_prod(v) && blocked(v)) {
        next.push(explain(v, "what is wrong with the version in prod"));
    }
    if let Some(why) = model.frozen.as_ref().map(|_| "nothing moves by itself until then") {
        next.push(format!("driftgate resume {}   # once the cause is known: {why}", quoted(name)));
    }
    if let Some(state) = model.rollout.as_ref().filter(|state| !state.phase.is_over()) {
        let act = |action: &str, why: &str| format!("driftgate rollout {action} {}   # {why}", quoted(name));
        if state.paused.is_some() {
            next.push(act("resume", "or abort, once it is clear why it stands still"));
        } else if state.phase == Phase::WaitingPromotion && !state.confirmed {
            next.push(act("promote", "it waits for somebody, or for the gate"));
        }
    }
    if let Some(v) = model.versions.iter().rfind(|v| staged(v) && !in_prod(v) && blocked(v)) {
        next.push(explain(v, "why it is blocked"));
    }
    if let Some(v) = model.versions.iter().find(|v| in_prod(v) && !blocked(v) && unsure(v)) {
        next.push(explain(v, "why nothing can be said of the version in prod"));
    }
    next
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(version: &str, stages: &[&str], blocks: &Value, status: &str) -> Value {
        let worst = json!({"group": "drift", "status": status, "window_end": "2026-01-02T00:00:00Z",
            "reasons": if status == "pass" { json!([]) } else { json!(["drift/psi temp 0.31 breaks lt 0.2"]) }});
        json!({"version": version, "stages": stages, "blocks": blocks, "rolled_back": null, "predictions": 6012, "worst": worst})
    }

    fn model(change: impl FnOnce(&mut Value)) -> String {
        let mut model = json!({"model": "m", "frozen": null, "rollout": null, "rollback_pending": null,
            "versions": [version("6", &["prod"], &json!([]), "pass"), version("7", &["staging"], &json!([]), "pass")]});
        change(&mut model);
        model_text(&serde_json::from_value(model).unwrap())
    }

    fn next_of(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("  next: ")).collect()
    }

    #[test]
    fn a_quiet_model_asks_for_nothing() {
        let text = model(|_| {});
        assert!(text.starts_with("m: nothing is wrong\n") && next_of(&text).is_empty(), "{text}");
        assert!(text.contains("6,012") && text.contains("pass by drift, 2026-01-02T00:00:00Z"), "{text}");
    }

    #[test]
    fn what_is_wrong_has_a_next_step() {
        let block = json!([{"group": "drift", "since": "2026-01-02T00:00:00Z", "reasons": [], "signal_id": "s", "verdict_id": "v"}]);
        let text = model(|m| m["versions"][1] = version("7", &["staging"], &block, "block"));
        assert!(text.starts_with("m: needs a look\n") && text.contains("drift since 2026-01-02T00:00:00Z"), "{text}");
        assert_eq!(next_of(&text), ["driftgate explain m 7   # why it is blocked"]);
        let text = model(|m| {
            m["versions"][0] = version("6", &["prod"], &block, "block");
            m["frozen"] = json!("since 2026-01-02T00:00:00Z: by ana: incident 42");
            m["rollback_pending"] = json!({"model": "m", "from": "7", "to": "6", "since": "2026-01-02T00:00:00Z"});
        });
        let next = next_of(&text);
        assert_eq!(next.len(), 3, "{text}");
        assert!(next[0].starts_with("make sure that 6 serves instead of 7"), "{text}");
        assert!(next[1].starts_with("driftgate explain m 6 ") && next[2].starts_with("driftgate resume m "), "{text}");
        assert!(text.contains("frozen since 2026-01-02T00:00:00Z: by ana: incident 42"), "{text}");
        let text = model(|m| m["versions"][0]["worst"] = Value::Null);
        assert_eq!(next_of(&text), ["driftgate explain m 6   # why nothing can be said of the version in prod"]);
    }

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [temp]}
checks: {slo: {window: {size: 1m, slide: 1m}, rules: [{latency_p95_ms: {id: p95, lt: 80}}]}}
transitions: [{from: staging, to: prod, checks: [slo], rollout: {steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo]}}]
";

    #[test]
    fn a_rollout_is_a_line() {
        let policy = crate::policy::parse(POLICY, std::path::Path::new("p.yaml")).unwrap();
        let plan = policy.transitions[0].rollout.as_ref().unwrap();
        let identity = crate::rollout::Identity {
            id: "r".into(),
            model: "m".into(),
            candidate: "7".into(),
            champion: Some("6".into()),
            from: "staging".into(),
            to: "prod".into(),
        };
        let (mut state, _) = crate::rollout::start(identity, &policy, plan, 0);
        let text = model(|m| m["rollout"] = json!(state));
        assert!(text.contains("  rollout of 7 (after 6) to prod: Progressing, step 1, 10% of the traffic: "), "{text}");
        assert!(next_of(&text).is_empty(), "{text}");
        state.paused = Some("incident 42".into());
        let text = model(|m| m["rollout"] = json!(state));
        assert!(
            text.contains("; paused: incident 42\n") && next_of(&text)[0].starts_with("driftgate rollout resume m "),
            "{text}"
        );
    }

    #[test]
    fn a_registry_is_asked_without_a_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("d.yaml");
        std::fs::write(folder.path().join("p.yaml"), POLICY).unwrap();
        std::fs::write(&config, "policies: [p.yaml]\nregistry: {embedded: {path: registry.db}}\n").unwrap();
        let server = ServerArgs { server: "http://127.0.0.1:1".into(), token_file: None, config: Some(config) };
        let ask =
            |model: Option<&str>, json| run(&Args { model: model.map(str::to_owned), json, server: server.clone() });
        for (model, json) in [(None, false), (Some("m"), false), (None, true), (Some("m"), true)] {
            assert_eq!(ask(model, json).unwrap(), exit::PASS);
        }
        assert_eq!(ask(Some("other"), false).unwrap_err().code, exit::INPUT);
        let nobody = ServerArgs { config: None, ..server.clone() };
        assert_eq!(run(&Args { model: None, json: false, server: nobody }).unwrap_err().code, exit::UNREACHABLE);
    }

    #[test]
    fn a_daemon_that_is_not_ready_says_why() {
        let all = json!({"ready": false, "not_ready": {"predictions": "no broker answers"},
            "undelivered": {"webhook": 3, "signals": 0}, "models": []});
        let text = all_text(&serde_json::from_value(all).unwrap());
        assert_eq!(
            text,
            "not ready: predictions: no broker answers\n\
             3 messages wait for webhook: it does not take them, see the daemon's log\n\
             no models: the configuration names no policy\n"
        );
    }

    #[test]
    fn names_from_outside_steer_neither_terminal_nor_shell() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\nc");
        assert_eq!(
            [quoted("fraud_detector"), quoted("a b"), quoted("a'; rm")],
            ["fraud_detector", "'a b'", r"'a'\''; rm'"]
        );
    }
}
