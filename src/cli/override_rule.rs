//! `driftgate override`: takes a rule out of the gate's decision for a while.

use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::api::{Overridden, OverrideRequest};

/// Keeps a rule out of the gate's decision until a time; verdicts stay as they are
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate override fraud_detector 7 --rule drift/psi --subject temp --for 24h --reason \"sensor was replaced\""
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Rule, as group/id
    #[arg(long, value_name = "RULE")]
    rule: String,
    /// Subject of the rule; default: all of its subjects
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// How long the override lasts, such as 24h or 7d
    #[arg(long = "for", value_name = "TIME", required_unless_present = "until")]
    span: Option<String>,
    /// When the override ends, as RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "span")]
    until: Option<String>,
    /// Reason, which the gate's answer and the audit log contain
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    output: Output,
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
    let said: Value = Client::new(&args.server)?.post(&args.of.path("overrides"), &body)?;
    args.output.print(&said, || {
        let Overridden { until, .. } = Overridden::deserialize(&said)?;
        let (VersionArgs { model, version }, rule) = (&args.of, &args.rule);
        let subject = args.subject.as_deref().unwrap_or("(every subject)");
        Ok(format!("{rule} {subject} does not hold up {model} version {version} until {until}\n"))
    })?;
    Ok(exit::PASS)
}
