//! `driftgate evidence add`: attaches to a version the evidence that the gates require.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::api::{EvidenceKept, EvidenceRequest};
use crate::artifact::digest;
use driftgate_core::codec::time::utc;
use driftgate_core::promotion::model_signing;
use driftgate_core::promotion::value::show;

/// Attaches evidence to a version: tests, scans, lineage, signatures, offline metrics
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(AddArgs),
}

/// Attaches evidence to a version. The latest value of each kind counts; the audit log keeps all
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate evidence add fraud_detector 7 --set tests=pass --set security_scan=pass --metric auc=0.935\n  driftgate evidence add fraud_detector 7 --artifact model.onnx --env-lock requirements.lock --code-commit $(git rev-parse HEAD)\n  driftgate evidence add fraud_detector 7 --signature model.sig --algorithm ed25519 --key-id release\n  driftgate evidence add fraud_detector 7 --signature model.sig\n  driftgate evidence add fraud_detector 7 --file evidence.json"
)]
struct AddArgs {
    #[command(flatten)]
    of: VersionArgs,
    /// File with a JSON object of values by kind (- is standard input)
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Evidence of this kind; VALUE is JSON or plain text
    #[arg(long = "set", value_name = "KIND=VALUE")]
    set: Vec<String>,
    /// Offline metric
    #[arg(long = "metric", value_name = "NAME=NUMBER")]
    metrics: Vec<String>,
    /// File or folder of the model artifact; its digest is recorded
    #[arg(long, value_name = "PATH")]
    artifact: Option<PathBuf>,
    /// Lock file of the training environment; its digest is recorded
    #[arg(long, value_name = "FILE")]
    env_lock: Option<PathBuf>,
    /// Training snapshot; its digest is recorded
    #[arg(long, value_name = "FILE")]
    data_snapshot: Option<PathBuf>,
    /// Commit of the training code
    #[arg(long, value_name = "COMMIT")]
    code_commit: Option<String>,
    /// Signature over the artifact's digest (with --algorithm), or the model.sig file of `OpenSSF` model signing
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Algorithm of the signature: ed25519 or `ecdsa_p256`
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Id of the signing key in the policy
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let Command::Add(args) = &args.command;
    let given = args.given()?;
    if given.is_empty() {
        return Err(anyhow!(
            "no evidence is given: add it, for example as --set tests=pass, --metric auc=0.93 or --file evidence.json"
        )
        .into());
    }
    let client = Client::new(&args.server)?;
    let EvidenceKept { evidence: kept, .. } = client.post(&args.of.path("evidence"), &EvidenceRequest(given))?;
    args.output.print(&kept, || {
        let mut text = format!("{} version {} has\n", args.of.model, args.of.version);
        for evidence in &kept {
            let value = if model_signing::is_bundle(&evidence.value) {
                show(&evidence.value)
            } else {
                evidence.value.to_string()
            };
            let (actor, at) = (&evidence.actor, utc(evidence.at_ms));
            writeln!(text, "  {:<16} {value}  ({actor}, {at})", evidence.kind)?;
        }
        Ok(text)
    })?;
    Ok(exit::PASS)
}

impl AddArgs {
    fn given(&self) -> Result<Map<String, Value>, Failure> {
        let mut given = self.file.as_deref().map_or_else(|| Ok(Map::new()), read)?;
        for pair in &self.set {
            let (kind, value) = split(pair, "--set tests=pass")?;
            given.insert(kind.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
        }
        if !self.metrics.is_empty() {
            let offline = given.entry("offline").or_insert_with(|| json!({}));
            for pair in &self.metrics {
                let (name, value) = split(pair, "--metric auc=0.93")?;
                let number: serde_json::Number =
                    value.parse().map_err(|_| anyhow!("the metric {name} is {value:?}, which is not a number"))?;
                offline.as_object_mut().map(|o| o.insert(name.to_owned(), Value::Number(number)));
            }
        }
        for (kind, path) in
            [("artifact_digest", &self.artifact), ("env_lock", &self.env_lock), ("data_snapshot", &self.data_snapshot)]
        {
            if let Some(path) = path {
                let hex = digest(&path.display().to_string()).map_err(|e| anyhow!("{kind}: {e}"))?;
                given.insert(kind.to_owned(), format!("sha256:{hex}").into());
            }
        }
        if let Some(commit) = &self.code_commit {
            given.insert("code_commit".to_owned(), commit.clone().into());
        }
        if let Some(path) = &self.signature {
            let bytes =
                std::fs::read(path).with_context(|| format!("the signature {} cannot be read", path.display()))?;
            given.insert("signature".to_owned(), self.signature(path, &bytes)?);
        }
        Ok(given)
    }

    fn signature(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<Value> {
        if self.algorithm.is_some() {
            return Ok(json!({"algorithm": self.algorithm, "key_id": self.key_id, "signature": signature_text(bytes)}));
        }
        let bundle = serde_json::from_slice::<Value>(bytes).ok().filter(model_signing::is_bundle);
        bundle.ok_or_else(|| {
            anyhow!(
                "{} is no bundle of a model signature: give its algorithm as --algorithm ed25519 or ecdsa_p256",
                path.display()
            )
        })
    }
}

/// Raw bytes as base64; a text that is encoded already as it is.
fn signature_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes).map(str::trim) {
        Ok(text) if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => text.to_owned(),
        _ => base64::engine::general_purpose::STANDARD.encode(bytes),
    }
}

fn split<'a>(pair: &'a str, example: &str) -> Result<(&'a str, &'a str), Failure> {
    pair.split_once('=').ok_or_else(|| anyhow!("{pair:?} has no `=`: write it like {example}").into())
}

/// Reads a JSON object of evidence from a file, or from stdin for `-`.
///
/// # Errors
/// A file that cannot be read or is no JSON object.
pub fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("stdin cannot be read")?;
    } else {
        text =
            std::fs::read_to_string(path).with_context(|| format!("the evidence {} cannot be read", path.display()))?;
    }
    serde_json::from_str(&text)
        .map_err(|e| anyhow!("{} is not a JSON object of evidence by kind: {e}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_may_be_bytes_or_text() {
        assert_eq!(signature_text(b"MEUCIQ==\n"), "MEUCIQ==");
        assert_eq!(signature_text(&[0xff, 0x00, 0x10]), "/wAQ");
    }

    #[test]
    fn pairs_need_an_equals_sign() {
        assert_eq!(split("tests=pass", "").unwrap(), ("tests", "pass"));
        assert!(split("tests", "--set tests=pass").is_err());
    }
}
