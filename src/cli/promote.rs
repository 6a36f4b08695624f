//! `driftgate promote`, `approve`, `rollout` and `rollback`: moving a version between stages, and taking it back.

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use super::client::{Client, ServerArgs};
use super::terminal::{out, outln};
use super::{Failure, exit};
use driftgate_core::gate::Answer;
use driftgate_core::promotion::record;
use driftgate_core::rollout::State;

/// Promotes a version to a stage if the gate passes: at once, or by the policy's rollout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 promoted or the rollout began, 1 blocked, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate promote fraud_detector 7 --to prod --comment \"+3% AUC\"\n  driftgate promote fraud_detector 7 --to prod --note > promotion.md"
)]
pub struct PromoteArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The stage to promote to
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// What the promotion record says besides
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Why an artifact that was rolled back is tried again
    #[arg(long, value_name = "REASON")]
    retry: Option<String>,
    /// Prints the promotion note in Markdown
    #[arg(long, conflicts_with = "json")]
    note: bool,
    /// Prints answer, record and rollout as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn promote(args: &PromoteArgs) -> Result<u8, Failure> {
    let mut body = json!({"to": args.to});
    put(&mut body, "comment", args.comment.as_deref());
    put(&mut body, "retry", args.retry.as_deref());
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "promote"];
    let said: Value = Client::new(&args.server)?.post(&path, &body)?;
    let answer: Answer = serde_json::from_value(said.clone())?;
    let record = said.get("record").filter(|r| !r.is_null());
    match (args.json, args.note, record) {
        (true, ..) => outln!("{}", serde_json::to_string_pretty(&said)?),
        (false, true, Some(record)) => out!("{}", record::note(record)),
        _ => {
            outln!("{answer}");
            match said.get("rollout").filter(|r| !r.is_null()) {
                Some(rollout) => print_rollout(&serde_json::from_value(rollout.clone())?),
                None if answer.ok => outln!("{} of {} is in {} now", args.version, args.model, args.to),
                None => {}
            }
        }
    }
    Ok(answer.verdict.exit_code())
}

/// Approves a version for a stage; bound to its artifact, the policy and the evidence as they are now
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Who approves is whose token it is (--token-file, DRIFTGATE_TOKEN).\n\nExamples:\n  driftgate approve fraud_detector 7 --to prod --role owner --token-file owner.token"
)]
pub struct ApproveArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The stage it is approved for
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// As whom, if the token may approve as several
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What goes along with it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Prints approval and gate as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn approve(args: &ApproveArgs) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    if !client.has_token() {
        return Err(anyhow!(
            "an approval is somebody's: name a file with your token as --token-file, or set DRIFTGATE_TOKEN"
        )
        .into());
    }
    let mut body = json!({"to": args.to});
    put(&mut body, "role", args.role.as_deref());
    put(&mut body, "comment", args.comment.as_deref());
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "approvals"];
    let said: Value = client.post(&path, &body)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        let of = |key: &str| said.pointer(&format!("/approval/{key}")).and_then(Value::as_str).unwrap_or_default();
        outln!("{} approved {} version {} for {} as {}", of("actor"), args.model, args.version, args.to, of("role"));
        let answer: Answer = serde_json::from_value(said.get("gate").cloned().unwrap_or_default())?;
        outln!("{answer}");
    }
    Ok(exit::PASS)
}

/// Steers the rollout of a model that is under way
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollout status fraud_detector\n  driftgate rollout pause fraud_detector --reason \"incident 42\"\n  driftgate rollout abort fraud_detector --reason \"wrong artifact\""
)]
pub struct RolloutArgs {
    /// What to do with it
    #[arg(value_name = "ACTION")]
    action: RolloutAction,
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Prints the rollout as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RolloutAction {
    /// Shows where it stands
    Status,
    /// Holds it; breaches still end it
    Pause,
    /// Goes on after a pause
    Resume,
    /// Ends it: no traffic, or back from prod
    Abort,
    /// Skips what is left of the steps; the gate is asked all the same
    Promote,
    /// Says that another controller's rollout succeeded
    Succeeded,
    /// Says that another controller's rollout failed
    Failed,
}

pub fn rollout(args: &RolloutArgs) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let path = ["api", "v1", "models", &args.model, "rollout"];
    let state = if args.action == RolloutAction::Status {
        let said: Value = client.get(&path, &[])?;
        said.get("rollout").cloned().unwrap_or_default()
    } else {
        let mut body = json!({"action": format!("{:?}", args.action).to_lowercase()});
        put(&mut body, "reason", args.reason.as_deref());
        client.post(&path, &body)?
    };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&state)?);
    } else if state.is_null() {
        outln!("{} has had no rollout", args.model);
    } else {
        print_rollout(&serde_json::from_value(state)?);
    }
    Ok(exit::PASS)
}

/// Takes prod back to the last stable version, or to one that was in prod; gates are not asked
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollback fraud_detector --reason \"support tickets\"\n  driftgate rollback fraud_detector --to 5 --reason \"6 is broken, too\"\n  driftgate rollback fraud_detector --reason drill --drill"
)]
pub struct RollbackArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// The version to take out of prod; by default the one that stands there
    #[arg(value_name = "VERSION")]
    version: Option<String>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The version to return to; by default the last stable one
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Only says where it would go, and writes down that it was practised
    #[arg(long)]
    drill: bool,
    /// Prints what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn rollback(args: &RollbackArgs) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => in_prod(&client, &args.model)?,
    };
    let mut body = json!({"reason": args.reason, "drill": args.drill});
    put(&mut body, "to", args.to.as_deref());
    let path = ["api", "v1", "models", &args.model, "versions", &version, "rollback"];
    let said: Value = client.post(&path, &body)?;
    let to = said.get("to").and_then(Value::as_str);
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        match (to, args.drill) {
            (Some(to), true) => {
                outln!("drill: prod of {} would go from version {version} to {to}; nothing moved", args.model);
            }
            (Some(to), false) => outln!(
                "prod of {} went from version {version} to {to}; pending until the stream shows it serving",
                args.model
            ),
            (None, _) => {
                outln!("no former prod version of {} is stable: nothing moved; name one with --to", args.model);
            }
        }
    }
    Ok(if to.is_some() { exit::PASS } else { exit::BLOCK })
}

/// The version that stands in prod.
fn in_prod(client: &Client, model: &str) -> Result<String, Failure> {
    let status: Value = client.get(&["api", "v1", "models", model, "status"], &[])?;
    let versions = status.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let stands = versions.iter().find(|v| {
        v.get("stages")
            .and_then(Value::as_array)
            .is_some_and(|stages| stages.iter().any(|s| s == crate::registry::PROD))
    });
    stands
        .and_then(|v| v.get("version")?.as_str())
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("prod of {model:?} stands on no version: nothing to roll back").into())
}

/// Takes a rule out of the gate's decision for a while; verdicts stay as they are
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate override fraud_detector 7 --rule drift/psi --subject temp --for 24h --reason \"sensor was replaced\""
)]
pub struct OverrideArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The rule, as group/id
    #[arg(long, value_name = "RULE")]
    rule: String,
    /// The subject; without it every subject of the rule
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// How long
    #[arg(long = "for", value_name = "TIME", required_unless_present = "until")]
    span: Option<String>,
    /// Until when, RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "span")]
    until: Option<String>,
    /// Why; it goes into the gate's answer and the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Prints it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn override_rule(args: &OverrideArgs) -> Result<u8, Failure> {
    let mut body = json!({"rule": args.rule, "reason": args.reason});
    put(&mut body, "subject", args.subject.as_deref());
    put(&mut body, "for", args.span.as_deref());
    put(&mut body, "until", args.until.as_deref());
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "overrides"];
    let said: Value = Client::new(&args.server)?.post(&path, &body)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        let until = said.get("until").and_then(Value::as_str).unwrap_or_default();
        outln!(
            "{} {} does not hold up {} version {} until {until}",
            args.rule,
            args.subject.as_deref().unwrap_or("(every subject)"),
            args.model,
            args.version
        );
    }
    Ok(exit::PASS)
}

/// Stops automatic actions on a model: promotions, rollbacks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate freeze fraud_detector --reason \"incident 42\"")]
pub struct FreezeArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn freeze(args: &FreezeArgs) -> Result<u8, Failure> {
    let path = ["api", "v1", "models", &args.model, "freeze"];
    let said: Value = Client::new(&args.server)?.post(&path, &json!({"reason": args.reason}))?;
    outln!("{} is frozen {}", args.model, said.get("frozen").and_then(Value::as_str).unwrap_or_default());
    Ok(exit::PASS)
}

/// Lets automatic actions on a model happen again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate resume fraud_detector")]
pub struct ResumeArgs {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn resume(args: &ResumeArgs) -> Result<u8, Failure> {
    let path = ["api", "v1", "models", &args.model, "resume"];
    let said: Value = Client::new(&args.server)?.post(&path, &json!({}))?;
    let was = said.get("changed").and_then(Value::as_bool).unwrap_or_default();
    outln!("{} {}", args.model, if was { "goes on by itself again" } else { "was not frozen" });
    Ok(exit::PASS)
}

/// Adds a field that was given.
pub(super) fn put(body: &mut Value, key: &str, value: Option<&str>) {
    if let (Some(fields), Some(value)) = (body.as_object_mut() as Option<&mut Map<String, Value>>, value) {
        fields.insert(key.to_owned(), value.into());
    }
}

fn print_rollout(state: &State) {
    let paused = state.paused.as_ref().map_or_else(String::new, |why| format!(", paused: {why}"));
    outln!(
        "rollout of {} version {}: {}, {}% of the traffic{paused}\n  {}",
        state.model,
        state.candidate,
        state.phase.name(),
        state.weight,
        state.why
    );
}
