//! `driftgate history`: who did what to a model, one line per record of the audit log; and `driftgate history export`.

mod export;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::ModelArg;
use super::output::Output;
use crate::api::{AuditRecord, History};
use driftgate_core::audit::Event;

/// Prints the audit log of a model: who did what, the newest record last
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  driftgate history fraud_detector\n  driftgate history fraud_detector --limit 1000 --json\n  driftgate history fraud_detector --config config/driftgate.yaml"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    of: Option<ModelArg>,
    /// Number of records to print, counted from the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(export::Args),
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let of = match (&args.command, &args.of) {
        (Some(Command::Export(args)), _) => return export::run(args),
        (None, Some(of)) => of,
        (None, None) => return Err(anyhow::anyhow!("name a model: driftgate history MODEL").into()),
    };
    let records = records(args, of)?;
    let answer = json!({ "history": records });
    args.output.print(&answer, || as_text(&of.model, records, args.limit))?;
    Ok(exit::PASS)
}

/// As many as are asked for: one answer holds no more than its bytes.
fn records(args: &Args, of: &ModelArg) -> Result<Vec<Value>, Failure> {
    let client = Client::new(&args.server)?;
    let path = of.path("history");
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut found: Vec<Value> = Vec::new();
    loop {
        let asked = limit.saturating_sub(found.len()).to_string();
        let before = found.first().and_then(|first| first.get("seq")).map(Value::to_string);
        let mut query = vec![("limit", asked.as_str())];
        query.extend(before.as_deref().map(|before| ("before", before)));
        let History { history: mut older, left_out } = client.get(&path, &query)?;
        let ends = !left_out || older.is_empty();
        older.append(&mut found);
        found = older;
        if ends || found.len() >= limit {
            return Ok(found);
        }
    }
}

fn as_text(model: &str, records: Vec<Value>, limit: u32) -> anyhow::Result<String> {
    let records: Vec<AuditRecord> = records.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    if records.is_empty() {
        return Ok(format!("nothing was recorded of {model} yet\n"));
    }
    let rows: Vec<[String; 5]> = records
        .iter()
        .map(|r| {
            let version = r.version.clone().unwrap_or_else(|| "–".to_owned());
            [seconds(&r.ts), r.actor.clone(), r.event.clone(), version, Event::read(&r.event, &r.payload).to_string()]
        })
        .collect();
    let mut out = String::new();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|t| t.chars().count()).max();
    let widths: Vec<usize> = (0..4).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        for (text, width) in row.iter().zip(&widths) {
            let _ = write!(out, "{text:<width$}  ");
        }
        out.push_str(row.last().map_or("", String::as_str));
        out.push('\n');
    }
    if u32::try_from(rows.len()) == Ok(limit) {
        let _ = writeln!(out, "the last {limit} records; --limit shows more");
    }
    Ok(out)
}

/// A time without its fraction of a second.
fn seconds(ts: &str) -> String {
    match ts.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => ts.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Embedded;
    use driftgate_core::judge::verdict::{Action, Signal};
    use driftgate_core::promotion::version::Registration;

    #[test]
    fn a_line_a_record() {
        let registry = Embedded::in_memory().unwrap();
        let registration = Registration {
            model: "m".into(),
            version: "6".into(),
            stage: Some("prod".into()),
            ..Registration::default()
        };
        registry.register(&registration, "ana@org", 1000).unwrap();
        registry.register(&Registration { version: "7".into(), ..registration }, "ana@org", 2500).unwrap();
        let signal = Signal {
            signal_id: "s".into(),
            ts: "2026-01-01T00:00:00Z".into(),
            model: "m".into(),
            version: "7".into(),
            group: "slo".into(),
            action: Action::Rollback,
            stage: None,
            rollback_to: None,
            reasons: vec!["slo/p95 latency_ms 95 breaks lt 80".into()],
            verdict_id: "v".into(),
            policy_sha256: "p".into(),
        };
        registry.apply(&signal, 3000).unwrap();
        let said = registry.audit(Some("m"), 100).unwrap();
        let text = as_text("m", said.clone(), 100).unwrap();
        insta::assert_snapshot!(text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1970-01-01T00:00:01Z  ana@org    register  6  registered");
        assert_eq!(lines[3], "1970-01-01T00:00:02Z  ana@org    stage     7  prod: 6 → 7 (registered)");
        assert!(
            lines.contains(&"1970-01-01T00:00:03Z  driftgate  rollback  7  prod goes back from 7 to 6, by itself: slo/p95 latency_ms 95 breaks lt 80"),
            "{text}"
        );
        assert_eq!(as_text("m", said, u32::try_from(lines.len()).unwrap()).unwrap().lines().count(), lines.len() + 1);
    }

    #[test]
    fn no_records_are_said_to_be_none() {
        assert_eq!(as_text("m", Vec::new(), 100).unwrap(), "nothing was recorded of m yet\n");
    }
}
