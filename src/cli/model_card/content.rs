//! What is on a card, section by section. The same for Markdown and HTML.

use serde_json::Value;

use crate::api::{Explanation, PromotionRecord};
use crate::history::Window;
use crate::history::record::Measured;
use driftgate_core::audit::sentence::short as said;
use driftgate_core::codec::number::short;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::{RuleResult, Status};

/// So many results of a group are listed, those that do not pass first.
const MOST_RESULTS: usize = 100;

pub struct Card {
    pub title: String,
    pub sections: Vec<Section>,
}

pub struct Section {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

/// A piece of a section; texts are plain.
pub enum Block {
    Text(String),
    List(Vec<String>),
    Table { heads: Vec<String>, rows: Vec<Vec<String>> },
}

/// The card of a version.
#[must_use]
pub fn card(it: &Explanation) -> Card {
    let record = newest_record(it);
    Card {
        title: format!("Model card: {} {}", it.model, it.version),
        sections: vec![
            Section { title: "Model details", blocks: details(it, record.as_ref()) },
            Section { title: "Training data", blocks: training(it) },
            Section { title: "Metrics", blocks: metrics(record.as_ref()) },
            Section { title: "Live results", blocks: live(it) },
            Section { title: "Segments", blocks: segments(it) },
            Section { title: "Promotion", blocks: promotion(it, record.as_ref()) },
            Section { title: "Limitations", blocks: limitations(it) },
        ],
    }
}

/// The newest promotion record that can be read: releases before wrote others.
pub fn newest_record(it: &Explanation) -> Option<PromotionRecord> {
    it.promotions.iter().find_map(|record| serde_json::from_value(record.clone()).ok())
}

/// Keys with their values, of those that have one.
fn pairs(pairs: impl IntoIterator<Item = (String, Option<String>)>) -> Block {
    let rows = pairs.into_iter().filter_map(|(key, value)| Some(vec![key, value?])).collect();
    Block::Table { heads: vec!["field".to_owned(), "value".to_owned()], rows }
}

fn details(it: &Explanation, record: Option<&PromotionRecord>) -> Vec<Block> {
    let lineage = &it.lineage;
    let stages = if it.stages.is_empty() { "dev".to_owned() } else { it.stages.join(", ") };
    let digests = record.and_then(|record| record.artifacts.as_object()).into_iter().flatten();
    let mut all = vec![
        ("model".to_owned(), Some(it.model.clone())),
        ("version".to_owned(), Some(it.version.clone())),
        ("stage".to_owned(), Some(stages)),
        ("artifact".to_owned(), lineage.artifact.clone()),
        ("artifact sha256".to_owned(), lineage.artifact_sha256.clone()),
        ("policy sha256".to_owned(), lineage.policy_sha256.clone()),
    ];
    let digests = digests.filter(|(name, value)| !value.is_null() && *name != "data_snapshot");
    all.extend(digests.map(|(name, value)| (name.replace('_', " "), Some(said(value)))));
    vec![pairs(all)]
}

fn training(it: &Explanation) -> Vec<Block> {
    let lineage = &it.lineage;
    let fields = [
        ("snapshot", &lineage.snapshot),
        ("snapshot sha256", &lineage.snapshot_sha256),
        ("baseline sha256", &lineage.baseline_sha256),
    ];
    let mut blocks = Vec::new();
    if fields.iter().all(|(_, value)| value.is_none()) {
        blocks.push(Block::Text("No training snapshot is registered.".to_owned()));
    } else {
        blocks.push(pairs(fields.map(|(key, value)| (key.to_owned(), value.clone()))));
    }
    if !lineage.evidence.is_empty() {
        let rows = lineage.evidence.iter().map(|e| vec![e.kind.clone(), said(&e.value), e.actor.clone(), utc(e.at_ms)]);
        blocks.push(Block::Table {
            heads: ["evidence", "value", "by", "at"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        });
    }
    blocks
}

/// The metrics of the promotion, beside those of the champion of that time.
fn metrics(record: Option<&PromotionRecord>) -> Vec<Block> {
    let Some(record) = record else { return vec![Block::Text("It has not been promoted.".to_owned())] };
    let checks = record.checks.as_object().cloned().unwrap_or_default();
    if checks.is_empty() {
        return vec![Block::Text("The promotion record has no metrics.".to_owned())];
    }
    let champion = record.champion.get("checks").and_then(Value::as_object).cloned().unwrap_or_default();
    let other = record.champion.get("version").filter(|version| !version.is_null()).map(said);
    let mut heads = vec!["metric".to_owned(), "this version".to_owned()];
    heads.extend(other.iter().map(|version| format!("version {version}")));
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).map_or_else(|| "–".to_owned(), short);
    let rows = checks.iter().map(|(name, value)| {
        let mut row = vec![name.clone(), number(Some(value))];
        if other.is_some() {
            row.push(number(champion.get(name)));
        }
        row
    });
    let text = "Offline metrics, and the worst value of each live one when it was promoted. Rates are fractions, latencies milliseconds.";
    vec![Block::Text(text.to_owned()), Block::Table { heads, rows: rows.collect() }]
}

/// The last window of each group.
fn live(it: &Explanation) -> Vec<Block> {
    let mut blocks = Vec::new();
    for verdict in &it.verdicts {
        let window = Window::bare(verdict);
        let complete = if window.complete { "" } else { ", which is incomplete" };
        blocks.push(Block::Text(format!(
            "{}: {} in the window from {} to {}{complete}, by {} predictions and {} labels.",
            window.group,
            verdict.status.name(),
            utc(window.start_ms),
            utc(window.end_ms),
            window.predictions,
            window.labels
        )));
        // A window has the results of its verdict, in their order.
        let mut results: Vec<(&Measured, &RuleResult)> = window.results.iter().zip(&verdict.results).collect();
        results.sort_by_key(|(of, _)| std::cmp::Reverse(of.status));
        ranking::sort(&mut results, |(_, result)| result.rank());
        let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), short);
        let rows = results.iter().take(MOST_RESULTS).map(|(of, _)| {
            let limit = of.side.as_ref().map_or_else(|| "–".to_owned(), |side| format!("{side} {}", number(of.limit)));
            let status = if of.muted { format!("{}, muted", of.status.name()) } else { of.status.name().to_owned() };
            vec![of.rule.clone(), of.subject.clone(), status, number(of.value), limit, count(of.n)]
        });
        let heads = ["rule", "subject", "status", "value", "limit", "n"].map(str::to_owned).to_vec();
        blocks.push(Block::Table { heads, rows: rows.collect() });
        if results.len() > MOST_RESULTS {
            blocks.push(Block::Text(format!(
                "{} more results of the group pass or are less bad.",
                results.len() - MOST_RESULTS
            )));
        }
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("No window has been judged.".to_owned()));
    }
    blocks
}

/// Rates of segments, of the rules that compare them.
fn segments(it: &Explanation) -> Vec<Block> {
    let results = it.verdicts.iter().flat_map(|verdict| &verdict.results);
    let rows: Vec<Vec<String>> = results
        .flat_map(|result| result.segments().into_iter().map(move |of| (result, of)))
        .map(|(result, of)| {
            let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), short);
            let positives = of.tp.saturating_add(of.fn_).to_string();
            vec![
                result.rule.clone(),
                result.subject.clone(),
                of.segment,
                number(of.tpr),
                number(of.reference_tpr),
                positives,
            ]
        })
        .collect();
    if rows.is_empty() {
        return vec![Block::Text("No rule compares segments, or none had enough events.".to_owned())];
    }
    let heads = ["rule", "by", "segment", "true positive rate", "in training", "positives"].map(str::to_owned).to_vec();
    vec![Block::Table { heads, rows }]
}

fn promotion(it: &Explanation, record: Option<&PromotionRecord>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(record) = record {
        let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
        blocks.push(Block::Text(format!(
            "{} to {} by {} at {}.",
            or(&record.from_stage),
            or(&record.to_stage),
            or(&record.actor),
            or(&record.at)
        )));
        let gates: Vec<String> = record
            .gates
            .as_array()
            .into_iter()
            .flatten()
            .map(|gate| {
                let of = |key: &str| gate.get(key).and_then(Value::as_str).unwrap_or_default();
                format!("{}: {}, {}", of("gate"), of("outcome"), of("detail"))
            })
            .collect();
        blocks.extend((!gates.is_empty()).then_some(Block::List(gates)));
    } else {
        blocks.push(Block::Text("It has not been promoted.".to_owned()));
    }
    if !it.approvals.is_empty() {
        let rows = it.approvals.iter().map(|a| vec![a.actor.clone(), a.role.clone(), a.to.clone(), utc(a.at_ms)]);
        blocks.push(Block::Table {
            heads: ["approved by", "as", "for", "at"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        });
    }
    let back = it.rollback_target.as_ref().map_or_else(
        || "There is no version to go back to.".to_owned(),
        |target| format!("A rollback goes back to version {}.", target.version),
    );
    blocks.push(Block::Text(back));
    let triggers = record.map(|record| record.rollback_triggers.clone()).unwrap_or_default();
    blocks.extend((!triggers.is_empty()).then_some(Block::List(triggers)));
    blocks
}

/// What speaks against the version now, a sentence each.
pub fn cautions(it: &Explanation) -> Vec<String> {
    let mut all = Vec::new();
    for block in &it.blocks {
        all.push(format!("Blocked by {} since {}: {}", block.group, block.since, block.reasons.join("; ")));
    }
    all.extend(it.rolled_back.as_ref().map(|at| format!("It was rolled back from prod: {at}")));
    all.extend(it.frozen.as_ref().map(|why| format!("The model is frozen: {why}")));
    for of in &it.overrides {
        let subject = of.subject.as_ref().map_or_else(String::new, |subject| format!(" of {subject}"));
        all.push(format!("{}{subject} does not count until {}: {}", of.rule, utc(of.until_ms), of.reason));
    }
    all.extend(it.lineage.differing.iter().cloned());
    for verdict in it.verdicts.iter().filter(|verdict| !verdict.window.complete) {
        all.push(format!("The last window of {} is incomplete.", verdict.group));
    }
    for verdict in it.verdicts.iter().filter(|verdict| verdict.status == Status::Insufficient) {
        all.push(format!("The last window of {} has too few events to judge.", verdict.group));
    }
    all
}

fn limitations(it: &Explanation) -> Vec<Block> {
    let cautions = cautions(it);
    let unknown = "Intended use and ethical considerations are not recorded by driftgate.";
    let mut blocks = Vec::new();
    blocks.extend((!cautions.is_empty()).then_some(Block::List(cautions)));
    blocks.push(Block::Text(unknown.to_owned()));
    blocks
}
