//! `driftgate carry`: what each part needs of the parts before it.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::exit::{self, Failure};
use super::parts;
use super::terminal::outln;
use crate::batch;
use crate::snapshot;
use driftgate_core::batch::{Carry, Paired, Scan};

/// Makes of the scans of all parts what counting a part needs, or shows it
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  driftgate carry --policy policy.yaml 0.scan 1.scan > carry0\n  driftgate carry --policy policy.yaml --carry carry0 0.paired 1.paired > carry1\n  driftgate carry --show carry0"
)]
pub struct Args {
    /// Policy of the model; needed but for --show, which adds where the snapshots lie by it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Daemon configuration whose field mappings apply to the files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Scans of all parts; with --carry the joined buckets. @LIST is a file with one path a line
    #[arg(value_name = "SCAN|PAIRED")]
    files: Vec<PathBuf>,
    /// The carry that the joined buckets are added to
    #[arg(long, value_name = "FILE")]
    carry: Option<PathBuf>,
    /// Number of buckets that ids are joined in, where the policy has labels
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    buckets: u32,
    /// Prints a carry as JSON
    #[arg(long, value_name = "CARRY", conflicts_with_all = ["files", "carry"])]
    show: Option<PathBuf>,
    /// File to write; default: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Args {
    fn read(&self) -> Option<parts::Read> {
        Some(parts::Read::of(self.policy.clone()?, self.config.clone()))
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(path) = &args.show {
        let (name, bytes) = parts::bytes(path)?;
        outln!("{}", serde_json::to_string_pretty(&shown(args, &Carry::read(&name, &bytes)?)?)?);
        return Ok(exit::PASS);
    }
    let files = args.read().context("--policy names the policy of the model")?.files()?;
    let given = parts::paths(&args.files)?;
    let made = match &args.carry {
        None => {
            let scans = given.iter().map(|path| {
                let (name, bytes) = parts::bytes(path)?;
                Ok(Scan::read(&name, &bytes)?)
            });
            batch::carry(&files, scans.collect::<anyhow::Result<_>>()?, args.buckets)?
        }
        Some(path) => {
            let (name, bytes) = parts::bytes(path)?;
            let carry = Carry::read(&name, &bytes)?;
            files.origin.same(&carry.plan.origin, &name)?;
            let paired = given.iter().map(|path| {
                let (name, bytes) = parts::bytes(path)?;
                Ok(Paired::read(&name, &bytes)?)
            });
            carry.joined(&paired.collect::<anyhow::Result<Vec<_>>>()?)?
        }
    };
    parts::write(args.out.as_deref(), &[made.write()?])?;
    Ok(exit::PASS)
}

fn shown(args: &Args, carry: &Carry) -> anyhow::Result<Value> {
    let splits =
        carry.splits.iter().map(|s| json!({"kind": s.kind.name(), "place": s.place, "split": s.name, "rows": s.rows}));
    let versions: Vec<&str> = carry.plan.versions.iter().map(|(name, _)| name.as_str()).collect();
    let mut shown = json!({
        "model": carry.plan.model,
        "plan": carry.plan.digest,
        "policy_sha256": carry.plan.origin.policy,
        "pairs": carry.needs_pairs(),
        "paired": carry.has_pairs(),
        "buckets": carry.plan.buckets,
        "splits": splits.collect::<Vec<_>>(),
        "versions": versions,
    });
    if let (Some(read), Value::Object(shown)) = (args.read(), &mut shown) {
        let policy = read.files()?.policy;
        if carry.plan.origin.policy != policy.sha256 {
            bail!("the carry was made with another policy");
        }
        let predicted = carry.plan.versions.iter().filter(|(_, predicted)| *predicted);
        let place = |(version, _): &(String, bool)| {
            let found = snapshot::location_for(&policy, version).map_err(|e| anyhow!("{e}"))?;
            Ok((version.clone(), found.map_or(Value::Null, Value::String)))
        };
        let places: serde_json::Map<String, Value> = predicted.map(place).collect::<anyhow::Result<_>>()?;
        shown.insert("snapshots".into(), places.into());
    }
    Ok(shown)
}
