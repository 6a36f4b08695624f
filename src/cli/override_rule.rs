//! `driftgate override`: takes a rule out of the gate's decision for a while.

use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::{Overridden, OverrideRequest};

/// Takes a rule out of the gate's decision for a while; verdicts stay as they are
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate override fraud_detector 7 --rule drift/psi --subject temp --for 24h --reason \"sensor was replaced\""
)]
pub struct Args {
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

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = OverrideRequest {
        rule: args.rule.clone(),
        subject: args.subject.clone(),
        r#for: args.span.clone(),
        until: args.until.clone(),
        reason: args.reason.clone(),
    };
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "overrides"];
    let said: Value = Client::new(&args.server)?.post(&path, &body)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        let Overridden { until, .. } = serde_json::from_value(said)?;
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
