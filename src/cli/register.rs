//! `driftgate register`: tells the registry of a version, through a running daemon or straight into the embedded registry.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::client::{Client, ServerArgs};
use super::gate::{policy_of, read_config};
use super::{Failure, exit};
use crate::clock::now_ms;
use crate::config::RegistryConfig;
use crate::judge::verdict::utc;
use crate::registry::{Embedded, Registration, Registry as _, VersionRecord};

/// Registers a model version; the same registration again changes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate register flight_delay 2 --stage staging --token-file token\n  driftgate register flight_delay 2 --snapshot data/train_v2.parquet --config config/driftgate.yaml"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// Its training snapshot or built baseline, a path or s3://, gs://, az://; by default where the policy says
    #[arg(long, value_name = "LOCATION")]
    snapshot: Option<String>,
    /// The snapshot's SHA-256
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    snapshot_sha256: Option<String>,
    /// The model artifact's SHA-256
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    artifact_sha256: Option<String>,
    /// A stage pointer to put on it
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Prints the record as JSON
    #[arg(long)]
    json: bool,
    /// Writes into the registry that this configuration names, without a daemon
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    config: Option<PathBuf>,
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

pub fn run(args: &Args) -> Result<u8, Failure> {
    let registration = Registration {
        model: args.model.clone(),
        version: args.version.clone(),
        snapshot: args.snapshot.as_deref().map(absolute).transpose()?,
        snapshot_sha256: args.snapshot_sha256.clone(),
        artifact_sha256: args.artifact_sha256.clone(),
        stage: args.stage.clone(),
    };
    let record = match &args.config {
        Some(path) => {
            let config = read_config(path)?;
            policy_of(&config, &args.model)?;
            let RegistryConfig::Embedded { path } = &config.registry;
            Embedded::open(path)?.register(&registration, &actor(), now_ms())?
        }
        None => Client::new(&args.server)?
            .post(&["api", "v1", "models", &args.model, "versions", &args.version], &body(&registration))?,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&record)?);
    } else {
        print!("{}", as_text(&record));
    }
    Ok(exit::PASS)
}

/// Who registers where no token says it: the user of the operating system, as far as it is known.
fn actor() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    name.unwrap_or_else(|| "cli".to_owned())
}

/// A location that means the same to whoever reads it: paths from the root. A file that is not here may be where the
/// daemon runs, so that it is missing is only said.
fn absolute(location: &str) -> anyhow::Result<String> {
    if location.contains("://") {
        return Ok(location.to_owned());
    }
    let path = std::path::absolute(location).with_context(|| format!("the path {location:?}"))?;
    if !path.exists() {
        eprintln!("driftgate: there is no file {} on this machine", path.display());
    }
    Ok(path.display().to_string())
}

/// What is posted: the fields that were given, without those that the path names.
fn body(registration: &Registration) -> Value {
    let Registration { model: _, version: _, snapshot, snapshot_sha256, artifact_sha256, stage } = registration;
    let fields = [
        ("snapshot", snapshot),
        ("snapshot_sha256", snapshot_sha256),
        ("artifact_sha256", artifact_sha256),
        ("stage", stage),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?))));
    Value::Object(given.collect::<Map<_, _>>())
}

fn as_text(record: &VersionRecord) -> String {
    let mut out = format!("{} version {}, registered {}\n", record.model, record.version, utc(record.registered_at));
    let stages = (!record.stages.is_empty()).then(|| record.stages.join(", "));
    let lines = [
        ("stages", &stages),
        ("snapshot", &record.snapshot),
        ("snapshot sha256", &record.snapshot_sha256),
        ("artifact sha256", &record.artifact_sha256),
        ("rolled back", &record.rolled_back),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<16} {value}");
        }
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
    use crate::registry::ActiveBlock;

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
    fn only_what_was_given_is_posted() {
        let registration = Registration {
            model: "m".into(),
            version: "1".into(),
            stage: Some("prod".into()),
            ..Registration::default()
        };
        assert_eq!(body(&registration), serde_json::json!({"stage": "prod"}));
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
