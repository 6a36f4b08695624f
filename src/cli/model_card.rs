//! `driftgate model-card`: what is known of a version, on one page: as Markdown, HTML or a machine-learning bill of materials. `content` says what is
//! on it, `text` writes it for people, `bom` for tools.

mod bom;
mod content;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::terminal::{out, outln};
use crate::api::Explanation;

/// Writes a model card: origin, training data, metrics, live results, gates and approvals of a version
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The sections are those of Mitchell et al. 2019, \"Model Cards for Model Reporting\", as far as the registry has something to say. `cyclonedx` is JSON of CycloneDX 1.6 (ML-BOM).\n\nExamples:\n  driftgate model-card fraud_detector 7 > MODEL_CARD.md\n  driftgate model-card fraud_detector 7 --format html --out card.html\n  driftgate model-card fraud_detector 7 --format cyclonedx --config config/driftgate.yaml"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// How the card is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Md)]
    format: Format,
    /// File to write; default: standard output (also -)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Markdown
    Md,
    /// One HTML file that needs no network
    Html,
    /// `CycloneDX` 1.6 (ML-BOM), JSON
    Cyclonedx,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let said: Value = Client::new(&args.server)?.get(&args.of.path("explain"), &[])?;
    let it: Explanation = serde_json::from_value(said)?;
    let card = match args.format {
        Format::Md => text::markdown(&content::card(&it)),
        Format::Html => text::html(&content::card(&it)),
        Format::Cyclonedx => format!("{}\n", serde_json::to_string_pretty(&bom::bom(&it))?),
    };
    match args.out.as_deref().filter(|out| *out != Path::new("-")) {
        None => out!("{card}"),
        Some(path) => {
            std::fs::write(path, &card).with_context(|| format!("{} cannot be written", path.display()))?;
            outln!("{}: the card of {} {}", path.display(), it.model, it.version);
        }
    }
    Ok(exit::PASS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub fn explanation() -> Explanation {
        let result = json!({"rule": "drift/psi", "metric": "psi", "subject": "amount <b>|", "status": "block", "value": 0.31, "limit": {"lt": 0.2},
            "method": "quantile-10/half", "n": 600, "lower": 0.3, "upper": 0.32, "reference_n": 1000, "pending": false, "muted": false});
        let gap = json!({"rule": "drift/gap", "metric": "tpr_gap", "subject": "region", "status": "pass", "value": 0.05, "limit": {"lte": 0.1},
            "n": 500, "segments": [{"segment": "eu", "tp": 40, "fn": 10, "tpr": 0.8, "reference_tpr": 0.82, "eligible": true}], "pending": false, "muted": false});
        let verdict = json!({"verdict_id": "v1", "baseline_sha256": null, "model": "fraud", "version": "7", "stage": "prod", "group": "drift", "status": "block",
            "window": {"start": "2026-11-28T00:00:00Z", "end": "2026-11-28T01:00:00Z", "complete": true}, "counted": {"predictions": 600, "labels": 0},
            "policy_sha256": "ab", "results": [result, gap]});
        let record = json!({"model": "fraud", "version": 7, "from_stage": "staging", "to_stage": "prod", "approvers": ["ana"],
            "checks": {"auc": 0.91, "drift_psi": 0.1}, "status": "approved", "rollback_to": 6, "promotion_id": "p1", "at": "2026-11-27T10:00:00Z", "actor": "ana",
            "artifacts": {"model_digest": format!("sha256:{}", "ab".repeat(32)), "data_snapshot": "s3://lake/train.parquet", "code_commit": "c0ffee"},
            "champion": {"version": 6, "checks": {"auc": 0.9}}, "gates": [{"gate": "schema", "outcome": "pass", "detail": "no field differs"}],
            "rollback_triggers": ["slo/p95 blocks in one window"], "comment": null, "policy_sha256": "ab"});
        serde_json::from_value(json!({
            "model": "fraud", "version": "7", "stages": ["prod"], "rolled_back": null, "frozen": null, "rollback_target": {"version": "6", "caution": null},
            "blocks": [{"group": "drift", "since": "2026-11-28T01:00:00Z", "reasons": ["drift/psi amount 0.31 breaks lt 0.2"], "signal_id": "s", "verdict_id": "v1"}],
            "lineage": {"snapshot": "/data/train.parquet", "snapshot_sha256": "cd".repeat(32), "artifact": "models:/fraud/7",
                "artifact_sha256": "ab".repeat(32), "baseline_sha256": "ef".repeat(32), "policy_sha256": "ab", "evidence": []},
            "approvals": [{"to": "prod", "actor": "ana", "role": "owner", "at_ms": 1_795_000_000_000_i64, "artifact_sha256": null, "policy_sha256": "ab",
                "evidence_sha256": "cd", "comment": null}],
            "overrides": [], "gates": {}, "promotions": [record], "verdicts": [verdict],
        }))
        .unwrap()
    }

    #[test]
    fn a_card_as_it_is_written() {
        insta::assert_snapshot!(text::markdown(&content::card(&explanation())));
    }

    #[test]
    fn a_page_asks_nobody_and_its_texts_are_texts() {
        let page = text::html(&content::card(&explanation()));
        assert!(page.starts_with("<!doctype html>") && page.contains("amount &lt;b&gt;|"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }

    #[test]
    fn a_version_that_nothing_is_known_of_has_a_card_too() {
        let mut it = explanation();
        it.lineage = serde_json::from_value(json!({"evidence": []})).unwrap();
        (it.stages, it.blocks, it.verdicts, it.promotions, it.approvals) = (vec![], vec![], vec![], vec![], vec![]);
        let card = text::markdown(&content::card(&it));
        assert!(card.contains("No window has been judged.") && card.contains("It has not been promoted."), "{card}");
        let bom = bom::bom(&it);
        assert_eq!(bom["metadata"]["component"].get("hashes"), None);
        assert_eq!(bom.get("components"), None);
    }

    #[test]
    fn the_bill_of_materials_has_the_model_its_data_and_its_numbers() {
        let bom = bom::bom(&explanation());
        let component = &bom["metadata"]["component"];
        assert_eq!((&bom["specVersion"], &component["type"]), (&json!("1.6"), &json!("machine-learning-model")));
        assert_eq!(component["hashes"][0]["content"], "ab".repeat(32));
        let metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"].as_array().unwrap();
        let psi = metrics.iter().find(|metric| metric["type"] == "psi").unwrap();
        assert_eq!(
            (&psi["value"], &psi["slice"], &psi["confidenceInterval"]["lowerBound"]),
            (&json!("0.31"), &json!("amount <b>|"), &json!("0.3"))
        );
        assert_eq!(bom["components"][0]["hashes"][0]["content"], "cd".repeat(32));
        assert_eq!(bom, bom::bom(&explanation()));
    }
}
