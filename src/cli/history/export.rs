//! `driftgate history export`: results over time in one file, asked for a day at a time.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::cli::client::{Client, ServerArgs};
use crate::cli::exit::{self, Failure};
use crate::cli::terminal::outln;
use crate::clock::now_ms;
use crate::history::columns::DayFile;
use crate::history::export::Export;
use crate::history::{DAY_MS, time_of};
use driftgate_core::codec::time::utc;

/// Days before the end, unless a beginning is given.
const DAYS: i64 = 90;

/// Writes the results of a version over time into a Parquet or CSV file
///
/// One row per window, rule and subject: status, value, bounds, limit, n and the counts of the distribution.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate history export --model fraud_detector --version 7 --out psi.parquet\n  driftgate history export --model fraud_detector --version 7 --rule drift/psi --from 2026-11-01 --to 2026-12-01 --out psi.csv"
)]
pub struct Args {
    /// Name of the model
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Version of the model
    #[arg(long, value_name = "VERSION")]
    version: String,
    /// Windows that end at this time or later: RFC 3339, or a date; default: 90 days before --to
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Windows that end before this time; default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
    /// Only this rule, as group/id
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// File to write; it ends in .parquet or .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

fn time(text: &str) -> Result<i64, String> {
    time_of(text)
        .ok_or_else(|| "it is no time: write one such as 2026-11-28T06:00:00Z, or a date such as 2026-11-28".to_owned())
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let to = args.to.unwrap_or_else(now_ms);
    let from = args.from.unwrap_or_else(|| to.saturating_sub(DAYS * DAY_MS));
    if from >= to {
        return Err(anyhow!("--from {} is not before --to {}", utc(from), utc(to)).into());
    }
    let client = Client::new(&args.server)?;
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "series"];
    // Asked first, so that a mistake makes no file.
    let mut at = from;
    let mut next = || {
        let end = (at.div_euclid(DAY_MS) + 1).saturating_mul(DAY_MS).min(to);
        let of = (utc(at), utc(end));
        at = end;
        of
    };
    let mut export = None;
    let mut rows = 0;
    loop {
        let (begin, end) = next();
        let mut query = vec![("from", begin.as_str()), ("to", end.as_str()), ("format", "parquet")];
        query.extend(args.rule.as_deref().map(|rule| ("rule", rule)));
        query.extend(args.subject.as_deref().map(|subject| ("subject", subject)));
        let bytes = client.get_bytes(&path, &query)?;
        let read = DayFile::from_bytes(bytes).and_then(|file| file.rows());
        let day = read.context("the answer is no Parquet file; is the daemon of this release?")?;
        let file = match &mut export {
            Some(file) => file,
            None => export.insert(Export::create(&args.out).map_err(anyhow::Error::from)?),
        };
        file.append(&args.model, &day).map_err(anyhow::Error::from)?;
        rows += day.len();
        if end == utc(to) {
            break;
        }
    }
    if let Some(file) = export {
        file.finish().map_err(anyhow::Error::from)?;
    }
    if rows == 0 {
        let (version, from, to) = (&args.version, utc(from), utc(to));
        return Err(anyhow!(
            "no window of version {version:?} of {:?} that ends from {from} to {to} is kept: correct the names or the times; the file is empty",
            args.model
        )
        .into());
    }
    outln!(
        "{}: {rows} rows of {} {}, windows that end from {} to {}",
        args.out.display(),
        args.model,
        args.version,
        utc(from),
        utc(to)
    );
    Ok(exit::PASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_rfc_3339() {
        assert_eq!(time("1970-01-02"), Ok(DAY_MS));
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(time("yesterday").unwrap_err().contains("2026-11-28"));
    }
}
