//! What a policy counts, written down: everything that decides which counts are kept and where they stand, and nothing that
//! only decides how they are judged. A checkpoint keeps this text, and its counts serve a policy with the same text. The
//! names here are part of that format, whatever the structs they are filled from are called; a test pins them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::baseline::{Beside, BuiltFor};
use crate::policy::{GridPoints, Group, Ignore, LabelAttribute, LabelSpec, Policy, Target, Traffic};
use crate::rule::binning::Binning;
use crate::window::keep::Keep;
use crate::window::layout::Reads;

/// The version of this description, and of how what it describes is counted: a new one where kept counts would mean
/// something else.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Counted<'p> {
    counted: u32,
    numeric: Vec<String>,
    categorical: Vec<String>,
    /// The number of points, or `exact`.
    grid: String,
    bins: Vec<usize>,
    score: bool,
    threshold: Option<f64>,
    segments: Vec<String>,
    labels: Option<Labels<'p>>,
    kpis: &'p [String],
    measured: &'p [String],
    /// From and to, in ms.
    ignore: Vec<(i64, i64)>,
    groups: Vec<Kept<'p>>,
    /// What decisions mean; left out where the policy says nothing, as before there was such a key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    decisions: &'p BTreeMap<String, bool>,
    /// Segmentations of which the baseline holds the snapshot's decisions, and the column whose repeats it counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selection: Vec<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'p str>,
    /// By numeric feature, then of the score: bins that are no quantiles, whose edges are grid points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    binnings: Vec<Vec<Binning>>,
    /// Whether scores and labels are numbers; left out as before there were such.
    #[serde(skip_serializing_if = "is_false")]
    regression: bool,
    /// What predictions and labels name; left out as before there were such.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    classes: &'p [String],
}

#[derive(Serialize)]
struct Labels<'p> {
    horizon_ms: i64,
    lateness_ms: i64,
    attribute: &'static str,
    values: &'p BTreeMap<String, bool>,
}

/// What is kept of a group.
#[derive(Serialize)]
struct Kept<'p> {
    name: &'p str,
    size_ms: i64,
    slide_ms: i64,
    lateness_ms: i64,
    traffic: &'static str,
    /// The zone whose days its panes are, and the days from Monday to the first of a week; left out as before there were such.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<(&'static str, i64)>,
    /// Names, in the order of their counts.
    distributions: Vec<&'p str>,
    segments: Vec<&'p str>,
    /// Those of them that count predictions only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selection: Vec<&'p str>,
    kpis: Vec<&'p str>,
    measured: Vec<&'p str>,
    /// Those whose spread is counted; left out as before it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weighted: Vec<&'p str>,
    auc: bool,
    latency: bool,
    error: bool,
    predictions: bool,
    pairs: bool,
    features: bool,
    /// Pairs by decision and label, and predictions by decision, of all segments together; left out as before there were such.
    #[serde(skip_serializing_if = "is_false")]
    confusion: bool,
    #[serde(skip_serializing_if = "is_false")]
    decisions: bool,
    /// Labels of pairs whatever was decided, and sums of values; left out as before there were such.
    #[serde(skip_serializing_if = "is_false")]
    labels: bool,
    /// Errors of pairs of numbers; left out as before there were such.
    #[serde(skip_serializing_if = "is_false")]
    numbers: bool,
    /// Pairs of classes; left out as before there were such.
    #[serde(skip_serializing_if = "is_false")]
    classes: bool,
    /// Whether classes are counted by segment; left out as before they were.
    #[serde(skip_serializing_if = "is_false")]
    by_class: bool,
    /// Whether errors are counted by segment; left out as before they were.
    #[serde(skip_serializing_if = "is_false")]
    by_error: bool,
    /// Whether the spread of errors is counted; left out as before it was.
    #[serde(skip_serializing_if = "is_false")]
    spread: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sums: Vec<&'p str>,
    /// Segmentations with what is counted by segment of each; left out as before there were such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_segment: Vec<(&'p str, &'p str)>,
    /// How far back panes are kept for references, and spans that are; left out as before there were such.
    #[serde(skip_serializing_if = "is_zero")]
    back_ms: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<(i64, i64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

/// The text that a checkpoint keeps.
#[must_use]
pub fn describe(policy: &Policy) -> String {
    // Naming every field: one that is added must be taken in here, or left out knowingly.
    let BuiltFor { numeric, categorical, segmentations, grid, bins, threshold, score } = BuiltFor::new(policy);
    let segment = |i: &usize| policy.segments.get(*i).map(|s| s.name.as_str());
    let (selection_by, unit) = Beside::asked_by(policy);
    let counted = Counted {
        counted: VERSION,
        numeric,
        categorical,
        grid: match grid {
            GridPoints::Exact => "exact".to_owned(),
            GridPoints::At(points) => points.to_string(),
        },
        bins,
        score,
        threshold,
        segments: segmentations,
        labels: policy.labels.as_ref().map(labels),
        kpis: &policy.kpis,
        measured: &policy.measured,
        ignore: policy.ignores.iter().map(|Ignore { from, to, reason: _ }| (*from, *to)).collect(),
        groups: policy.groups.iter().map(|group| kept(policy, group)).collect(),
        decisions: &policy.decision_values,
        selection: selection_by.iter().filter_map(segment).collect(),
        unit,
        binnings: Beside::binnings(policy),
        regression: policy.is_regression(),
        classes: &policy.classes,
    };
    // Strings, numbers and lists always are JSON, but for a threshold that is not finite: a policy has none.
    serde_json::to_string(&counted).unwrap_or_default()
}

fn labels(spec: &LabelSpec) -> Labels<'_> {
    let LabelSpec { horizon, attribute, lateness, values, silent_after: _ } = spec;
    let attribute = match attribute {
        LabelAttribute::LabelTime => "label_time",
        LabelAttribute::PredictionTime => "prediction_time",
    };
    Labels { horizon_ms: *horizon, lateness_ms: *lateness, attribute, values }
}

// Long: a line for each field.
fn kept<'p>(policy: &'p Policy, group: &'p Group) -> Kept<'p> {
    let Reads {
        targets,
        segmentations,
        labelled,
        auc,
        confusion,
        decisions,
        labels,
        numbers,
        classes,
        by_class,
        by_error,
        spread,
        sums,
        by_segment,
        // Predictions are always counted.
        volume: _,
        latency,
        error,
        kpis,
        measured,
        weighted,
        predictions,
        pairs,
        features,
        traffic,
    } = Reads::new(group);
    let Keep { back, spans, quiet: _, versus: _ } = Keep::new(policy, group);
    let segment = |i: &usize| policy.segments.get(*i).map(|s| s.name.as_str());
    let unlabelled = segmentations.iter().zip(&labelled).filter(|(_, labelled)| !**labelled);
    let named = |of: &'p [String], at: &[usize]| at.iter().filter_map(|i| of.get(*i)).map(String::as_str).collect();
    let distribution = |target: &Target| match target {
        Target::Numeric(i) => policy.features.numeric.get(*i).map(String::as_str),
        Target::Categorical(i) => policy.features.categorical.get(*i).map(String::as_str),
        Target::Score => Some("score"),
        Target::Prediction => Some("prediction"),
        Target::Label => None,
    };
    Kept {
        name: &group.name,
        size_ms: group.window.size,
        slide_ms: group.window.slide,
        lateness_ms: group.lateness,
        traffic: match traffic {
            Traffic::Version => "version",
            Traffic::Model => "model",
        },
        local: group.window.local.map(|local| (local.name(), local.week())),
        distributions: targets.iter().filter_map(distribution).collect(),
        segments: segmentations.iter().filter_map(segment).collect(),
        selection: unlabelled.filter_map(|(i, _)| segment(i)).collect(),
        kpis: named(&policy.kpis, &kpis),
        measured: named(&policy.measured, &measured),
        weighted: named(&policy.measured, &weighted),
        auc,
        latency,
        error,
        predictions,
        pairs,
        features,
        confusion,
        decisions,
        labels,
        numbers,
        classes: classes > 0,
        by_class,
        by_error,
        spread,
        sums: sums.iter().filter_map(distribution).collect(),
        by_segment: by_segment.iter().filter_map(|(by, t)| Some((segment(by)?, distribution(t)?))).collect(),
        back_ms: back,
        spans,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const POLICY: &str = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: \"v{version}.csv\", columns: {score: score, label: label}}\n\
        features: {numeric: [x, y], categorical: [c]}\nscore: {threshold: 0.25}\nsegments: [s, s*t]\n\
        labels: {horizon: 2h, lateness: 5m, attribute: prediction_time, values: {good: 1, bad: 0}}\nlateness: 1m\nmin_samples: 20\nchecks:\n\
        \x20 drift:\n    window: {size: 2h, slide: 1h}\n    traffic: model\n    rules:\n    - psi: {of: [y, c], lt: 0.2, bins: 20}\n\
        \x20 quality:\n    window: {size: 1h, slide: 1h, lateness: 3s}\n    rules:\n    - tpr_gap: {by: s*t, lt: 0.5}\n    - auc: {gte: 0.5}\n\
        \x20   - latency_p95_ms: {lt: 80}\n    - error_rate: {lt: 0.01, unit: fraction}\n    - kpi_drop: {of: ctr, max: {relative: 0.01}, versus: champion}\n\
        \x20   - measured: {of: cost, lt: 1}\nignore: [{from: 1970-01-01T00:01Z, to: 1970-01-01T00:02Z, reason: backfill}]\n";

    fn policy(text: &str) -> Policy {
        crate::policy::parse(text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
    }

    /// If this fails, every checkpoint that users have would start its counts anew: keep the names, or read the old ones.
    #[test]
    fn the_text_is_pinned() {
        let expected = r#"{"counted":1,"numeric":["x","y"],"categorical":["c"],"grid":"1021","bins":[10,20],"score":true,"threshold":0.25,"segments":["s","s*t"],"labels":{"horizon_ms":7200000,"lateness_ms":300000,"attribute":"prediction_time","values":{"bad":false,"good":true}},"kpis":["ctr"],"measured":["cost"],"ignore":[[60000,120000]],"groups":[{"name":"drift","size_ms":7200000,"slide_ms":3600000,"lateness_ms":60000,"traffic":"model","distributions":["y","c"],"segments":[],"kpis":[],"measured":[],"auc":false,"latency":false,"error":false,"predictions":true,"pairs":false,"features":true},{"name":"quality","size_ms":3600000,"slide_ms":3600000,"lateness_ms":3000,"traffic":"version","distributions":[],"segments":["s*t"],"kpis":["ctr"],"measured":["cost"],"auc":true,"latency":true,"error":true,"predictions":true,"pairs":true,"features":false}]}"#;
        assert_eq!(describe(&policy(POLICY)), expected);
    }

    #[test]
    fn what_only_judges_is_not_in_it_and_what_counts_is() {
        let text = describe(&policy(POLICY));
        for (from, to) in
            [("lt: 0.2,", "lt: 0.3,"), ("backfill", "another reason"), ("min_samples: 20", "min_samples: 21")]
        {
            assert_eq!(describe(&policy(&POLICY.replacen(from, to, 1))), text, "{to}");
        }
        for (from, to) in [
            ("numeric: [x, y]", "numeric: [x, z, y]"),
            ("of: [y, c]", "of: [x, c]"),
            ("threshold: 0.25", "threshold: 0.5"),
            ("horizon: 2h", "horizon: 3h"),
            ("good: 1, bad: 0", "good: 0, bad: 1"),
            ("slide: 1h}\n    traffic", "slide: 2h}\n    traffic"),
            ("lateness: 3s", "lateness: 4s"),
            ("traffic: model", "traffic: version"),
            ("    - auc: {gte: 0.5}\n", ""),
            ("of: cost", "of: costs"),
            ("00:02Z", "00:03Z"),
            ("bins: 20", "bins: 30"),
            ("lateness: 1m\nmin", "lateness: 1m\ndecision: {values: {approve: 1}}\nmin"),
            ("labels: {", "unit: /user\nlabels: {"),
            ("tpr_gap: {by: s*t", "selection_gap: {by: s*t"),
            ("    - auc", "    - selection_gap: {by: s*t, lt: 0.5}\n    - auc"),
            ("    - auc", "    - recall: {gte: 0.5}\n    - auc"),
            ("    - auc", "    - selection_rate: {gte: 0.5}\n    - auc"),
            ("bins: 20", "bins: {width: 20}"),
            ("bins: 20", "bins: {edges: [1, 2]}"),
            ("    - auc", "    - js: {of: label, lt: 0.1}\n    - auc"),
            ("lt: 0.2, bins: 20", "lt: 0.2, bins: 20, by: s"),
        ] {
            assert_ne!(describe(&policy(&POLICY.replacen(from, to, 1))), text, "{to}");
        }
        // A zone changes windows of days alone.
        let zone = |text: &str, zone: &str| {
            describe(&policy(&text.replacen("lateness: 1m\nmin", &format!("lateness: 1m\n{zone}min"), 1)))
        };
        assert_eq!(zone(POLICY, "windows: {timezone: Asia/Tokyo}\n"), text);
        let days = POLICY.replacen("{size: 2h, slide: 1h}\n    traffic", "{size: 2d, slide: 1d}\n    traffic", 1);
        let [none, tokyo, berlin] =
            ["", "windows: {timezone: Asia/Tokyo}\n", "windows: {timezone: Europe/Berlin}\n"].map(|of| zone(&days, of));
        assert!(
            none != tokyo
                && tokyo != berlin
                && !none.contains("local")
                && tokyo.contains(r#""local":["Asia/Tokyo",0]"#)
        );
    }
}
