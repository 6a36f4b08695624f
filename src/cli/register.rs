//! `driftgate register`: registers a version, at a running daemon or in the registry that a configuration names.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value};

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use super::terminal::errln;
use crate::api::RegisterRequest;
use crate::artifact;
use crate::oci::{Location, Registries};
use driftgate_core::codec::time::utc;
use driftgate_core::fact::attestation::SCHEME;
use driftgate_core::promotion::version::VersionRecord;

/// Registers a model version. A second registration with the same values changes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate register flight_delay 2 --stage staging --token-file token\n  driftgate register flight_delay 2 --snapshot data/train_v2.parquet --config config/driftgate.yaml"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Training snapshot or built baseline: a path, or s3://, gs://, az://; default: the policy's baseline.snapshot
    #[arg(long, value_name = "LOCATION")]
    snapshot: Option<String>,
    /// SHA-256 of the snapshot
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    snapshot_sha256: Option<String>,
    /// SHA-256 of the model artifact
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    artifact_sha256: Option<String>,
    /// File or folder of the model artifact, or its oci:// address; its digest is computed now and again at each promotion
    #[arg(long, value_name = "LOCATION")]
    artifact: Option<String>,
    /// Version that the offline metrics are compared with
    #[arg(long, value_name = "VERSION")]
    baseline_version: Option<String>,
    /// File with evidence: a JSON object of values by kind (- is standard input)
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Stage to put the version into
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

fn sha256(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a SHA-256 is 64 hexadecimal digits, as sha256sum prints it".to_owned())
}

impl Args {
    fn evidence(&self) -> Result<Map<String, Value>, Failure> {
        self.evidence.as_deref().map_or_else(|| Ok(Map::new()), super::evidence::read)
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let artifact = args.artifact.as_deref().map(absolute).transpose()?;
    let computed = artifact.as_deref().map(|at| digest(at, args.artifact_sha256.as_deref())).transpose()?;
    if let (Some(given), Some(computed)) = (&args.artifact_sha256, &computed)
        && given != computed
    {
        return Err(anyhow!(
            "--artifact-sha256 is {given}, and the files have {computed}: leave it out, or give the files it is of"
        )
        .into());
    }
    let request = RegisterRequest {
        snapshot: args.snapshot.as_deref().map(absolute).transpose()?,
        snapshot_sha256: args.snapshot_sha256.clone(),
        artifact_sha256: args.artifact_sha256.clone().or(computed),
        artifact,
        baseline_version: args.baseline_version.clone(),
        stage: args.stage.clone(),
        evidence: args.evidence()?,
    };
    let record: VersionRecord = Client::new(&args.server)?.post(&args.of.own_path(), &request)?;
    args.output.print(&record, || Ok(as_text(&record)))?;
    Ok(exit::PASS)
}

/// A location that means the same to any reader: paths from the root. A file that is not here may be where the
/// daemon runs, so that it is missing is only said.
fn absolute(location: &str) -> anyhow::Result<String> {
    if location.contains("://") {
        return Ok(location.to_owned());
    }
    let path = std::path::absolute(location).with_context(|| format!("the path {location:?}"))?;
    if !path.exists() {
        errln!("driftgate: there is no file {} on this machine", path.display());
    }
    Ok(path.display().to_string())
}

/// The digest of an artifact that this user may read: of files here, or of what a registry has under its name now. The registry is not asked
/// where the digest is part of the name or is `given`.
fn digest(location: &str, given: Option<&str>) -> anyhow::Result<String> {
    if location.starts_with(SCHEME) {
        let pinned = location.parse::<Location>()?.sha256().map(str::to_owned);
        return Ok(match pinned.or_else(|| given.map(str::to_owned)) {
            Some(known) => known,
            None => Registries::default().digest(location)?,
        });
    }
    artifact::digest(location).map_err(|e| anyhow!("the artifact {e}"))
}

fn as_text(record: &VersionRecord) -> String {
    let mut out = format!("{} version {}, registered {}\n", record.model, record.version, utc(record.registered_at));
    let stages = (!record.stages.is_empty()).then(|| record.stages.join(", "));
    let lines = [
        ("stages", &stages),
        ("snapshot", &record.snapshot),
        ("snapshot sha256", &record.snapshot_sha256),
        ("artifact", &record.artifact),
        ("artifact sha256", &record.artifact_sha256),
        ("baseline", &record.baseline_version),
        ("rolled back", &record.rolled_back),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<16} {value}");
        }
    }
    for differing in record.differing() {
        let _ = writeln!(out, "  {:<16} {differing}", "differs");
    }
    for block in &record.blocks {
        let _ =
            writeln!(out, "  {:<16} {} since {}: {}", "blocked", block.group, block.since, block.reasons.join("; "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgate_core::promotion::types::ActiveBlock;

    #[test]
    fn digests_are_checked_and_written_small() {
        let digest = "AB".repeat(32);
        assert_eq!(sha256(&digest), Ok("ab".repeat(32)));
        assert_eq!(sha256(&format!("sha256:{digest}")), Ok("ab".repeat(32)));
        assert!(sha256("abc").is_err() && sha256(&"zz".repeat(32)).is_err());
    }

    #[test]
    fn locations_mean_the_same_elsewhere() {
        assert_eq!(absolute("s3://bucket/train.parquet").unwrap(), "s3://bucket/train.parquet");
        let path = absolute("train.parquet").unwrap();
        assert!(path.starts_with('/') && path.ends_with("/train.parquet"), "{path}");
    }

    #[test]
    fn a_record_for_people() {
        let block = ActiveBlock {
            group: "drift".into(),
            since: "2013-03-08T00:00:00Z".into(),
            reasons: vec!["drift/psi temp 0.31 breaks lt 0.2".into()],
            signal_id: "s".into(),
            verdict_id: "v".into(),
        };
        let record = VersionRecord {
            model: "m".into(),
            version: "2".into(),
            stages: vec!["prod".into()],
            blocks: vec![block],
            ..VersionRecord::default()
        };
        assert_eq!(
            as_text(&record),
            "m version 2, registered 1970-01-01T00:00:00Z\n  stages           prod\n  blocked          drift since 2013-03-08T00:00:00Z: drift/psi temp 0.31 breaks lt 0.2\n"
        );
    }
}
