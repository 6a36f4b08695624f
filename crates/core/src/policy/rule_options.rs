//! One rule's options, beyond what the table of metrics says of them.

use super::metrics::{self, Bounds, METRICS, Metric};
use super::names::Names;
use super::subjects::{ReadLimit as _, limit, subjects, upper};
use super::types::{Aggregate, Bound, Correction, GapMeasure, KpiVersus, RuleKind, Side, Tolerance, Upper, Zero};
use crate::stats::limit::Limit;
use crate::yaml::{Item, Map, units};

/// Reads a rule's options. The outer `None`: there is no such metric, or it has no options at all.
pub(super) fn kind<'a>(metric: &str, item: &Item<'a>, names: &mut Names) -> Option<(Option<RuleKind>, Map<'a>)> {
    let Some(found) = metrics::find(metric) else {
        let known = item.known_names(metric, METRICS.iter().map(|metric| metric.name));
        return item.fail(format!("unknown rule `{metric}`; {known}"));
    };
    let map = item.map(found.options)?;
    Some((options(found, &map, names), map))
}

fn options(metric: &'static Metric, map: &Map, names: &mut Names) -> Option<RuleKind> {
    match metric.name {
        "psi" => psi(metric, map, names),
        "ks_p" => ks_p(metric, map, names),
        "ks_lcb" => ks_lcb(metric, map, names),
        "missing_rate" => Some(RuleKind::MissingRate { of: subjects(map, names, metric)? }),
        "invalid_rate" => Some(RuleKind::InvalidRate { of: subjects(map, names, metric)? }),
        "tpr_gap" => gap(GapMeasure::Tpr, metric, map, names),
        "fpr_gap" => gap(GapMeasure::Fpr, metric, map, names),
        "selection_gap" => gap(GapMeasure::Selection, metric, map, names),
        "equalized_odds" => gap(GapMeasure::EqualizedOdds, metric, map, names),
        "disparate_impact" => {
            let (by, min_positives) = segments(map, names);
            let gte = Limit::in_options(map, None, metric);
            Some(RuleKind::DisparateImpact { by: by?, gte: gte?, min_positives: min_positives? })
        }
        "tpr_gap_lcb" => {
            let (by, min_positives) = segments(map, names);
            let lte = Limit::in_options(map, None, metric);
            let reference = map.get("reference").map(|item| item.name("a segment's value"));
            let effect = written_design_effect(map);
            let (by, lte, min_positives, design_effect) = (by?, lte?, min_positives?, effect?);
            let reference = match reference {
                Some(name) => Some(name?.to_owned()),
                None => None,
            };
            Some(RuleKind::TprGapLcb { by, lte, min_positives, reference, design_effect })
        }
        "tpr_drop" | "tpr_drop_lcb" => {
            let (by, min_positives) = segments(map, names);
            let max = Limit::in_options(map, None, metric);
            let lcb = metric.name == "tpr_drop_lcb";
            let design_effect = written_design_effect(map)?;
            Some(RuleKind::TprDrop { by: by?, max: max?, min_positives: min_positives?, lcb, design_effect })
        }
        "auc" => Some(RuleKind::Auc { gte: Limit::in_options(map, None, metric)? }),
        "latency_p50_ms" => latency(metric, 0.5, map),
        "latency_p90_ms" => latency(metric, 0.9, map),
        "latency_p95_ms" => latency(metric, 0.95, map),
        "latency_p99_ms" => latency(metric, 0.99, map),
        "error_rate" => error_rate(metric, map),
        "measured" => measured(metric, map, names),
        _ => kpi_drop(metric, map, names),
    }
}

fn psi(metric: &'static Metric, map: &Map, names: &Names) -> Option<RuleKind> {
    let of = subjects(map, names, metric);
    let bins = map.get("bins").map_or(Some(10), |item| item.whole(2, 100));
    let zero = map.get("zero").map_or(Some(Zero::Half), |item| zero(&item));
    let bins = usize::try_from(bins?).ok()?;
    Some(RuleKind::Psi { of: of?, bins, zero: zero? })
}

fn zero(item: &Item) -> Option<Zero> {
    if item.is_map() {
        // In braces `floor:1e-4` with a space after the colon is a mapping.
        return item.fail(
            "expected `half` or `floor:` and a number, read a mapping: write \"floor:1e-4\" in quotes, without a space",
        );
    }
    let text = item.text("`half` or `floor:` and a number, like \"floor:1e-4\"")?;
    if text == "half" {
        return Some(Zero::Half);
    }
    let Some(floor) = text.strip_prefix("floor:") else {
        return item.fail(format!(
            "expected `half` or `floor:` and a number, read {}: write half, or \"floor:1e-4\"",
            units::quote(text)
        ));
    };
    match units::number(floor.trim()) {
        Ok(floor) if floor > 0.0 && floor < 0.5 => Some(Zero::Floor(floor)),
        Ok(_) => item
            .fail(format!("expected a floor above 0 and below 0.5, read {}: write \"floor:1e-4\"", units::quote(text))),
        Err(message) => item.fail(message),
    }
}

fn ks_p(metric: &'static Metric, map: &Map, names: &Names) -> Option<RuleKind> {
    let of = subjects(map, names, metric);
    let words = [("none", Correction::None), ("holm", Correction::Holm), ("bh", Correction::Bh)];
    let correction = map.get("correction").map_or(Some(Correction::None), |item| item.choice(&words));
    let below_one = |number| (Limit::ZERO..Limit::ONE).contains(&number);
    let effect = |item: Item| item.limit("a D from 0 to below 1", below_one);
    let min_effect = map.get("min_effect").map_or(Some(Limit::ZERO), effect);
    Some(RuleKind::KsP { of: of?, correction: correction?, min_effect: min_effect? })
}

fn ks_lcb(metric: &'static Metric, map: &Map, names: &Names) -> Option<RuleKind> {
    let of = subjects(map, names, metric);
    let share = |item: Item| item.number("a probability above 0 and below 1", |number| number > 0.0 && number < 1.0);
    let budget = map.get("budget").map_or(Some(0.01), share);
    let design_effect = written_design_effect(map);
    Some(RuleKind::KsLcb { of: of?, budget: budget?, design_effect: design_effect? })
}

/// By how much the variance of rows that depend on each other is larger than that of as many which do not.
pub(super) fn design_effect(item: &Item) -> Option<f64> {
    item.number("a design effect of 1 or more", |number| number >= 1.0)
}

#[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
fn written_design_effect(map: &Map) -> Option<Option<f64>> {
    map.get("design_effect").map_or(Some(None), |item| design_effect(&item).map(Some))
}

/// `by` and `min_positives`, which every rule over segments takes.
fn segments(map: &Map, names: &Names) -> (Option<usize>, Option<u64>) {
    let by = map.require("by", "one of `segments:`").and_then(|item| names.segmentation(&item));
    let min_positives = map.get("min_positives").map_or(Some(30), |item| item.whole(1, 1_000_000_000));
    (by, min_positives)
}

fn gap(measure: GapMeasure, metric: &'static Metric, map: &Map, names: &Names) -> Option<RuleKind> {
    let (by, min_positives) = segments(map, names);
    let limit = Upper::in_options(map, None, metric);
    Some(RuleKind::Gap { measure, by: by?, limit: limit?, min_positives: min_positives? })
}

fn latency(metric: &'static Metric, quantile: f64, map: &Map) -> Option<RuleKind> {
    let limit = Upper::in_options(map, None, metric)?;
    Some(RuleKind::Latency { metric: metric.name, quantile, limit })
}

fn error_rate(metric: &'static Metric, map: &Map) -> Option<RuleKind> {
    let unit = map.get("unit").map_or(Some(false), |item| item.choice(&[("fraction", false), ("percent", true)]));
    let limit = if unit? {
        let percent = upper(map, None, metric, Bounds::Percentage)?;
        Upper { lt: percent.lt.of_percent(), warn: percent.warn.map(Limit::of_percent) }
    } else {
        Upper::in_options(map, None, metric)?
    };
    Some(RuleKind::ErrorRate { limit })
}

fn kpi_drop(metric: &'static Metric, map: &Map, names: &mut Names) -> Option<RuleKind> {
    let of = map.require("of", "ctr").and_then(|item| item.name("a KPI's name"));
    let max = map.require("max", metric.example).and_then(|item| tolerance(&item));
    let words = [("champion", KpiVersus::Champion), ("predecessor", KpiVersus::Predecessor)];
    let versus = map.get("versus").map_or(Some(KpiVersus::Champion), |item| item.choice(&words));
    let (of, max, versus) = (of?, max?, versus?);
    Some(RuleKind::KpiDrop { of: names.kpi(of), max, versus })
}

fn measured(metric: &'static Metric, map: &Map, names: &mut Names) -> Option<RuleKind> {
    let of = map.require("of", "cost_per_1k").and_then(|item| item.name("a metric's name"));
    let words = Aggregate::ALL.map(|aggregate| (aggregate.name(), aggregate));
    let aggregate = map.get("agg").map_or(Some(Aggregate::Mean), |item| item.choice(&words));
    let bound = bound(metric, map);
    let (of, aggregate, bound) = (of?, aggregate?, bound?);
    Some(RuleKind::Measured { of: names.metric(of), aggregate, bound })
}

/// Exactly one of `lt`, `lte`, `gt` and `gte`, with a `warn` on the side that passes.
fn bound(metric: &'static Metric, map: &Map) -> Option<Bound> {
    let amount = |item: &Item| limit(item, metric.bounds);
    let given: Vec<(Side, Item)> =
        Side::ALL.into_iter().filter_map(|side| Some((side, map.get(side.name())?))).collect();
    let (side, item) = match given.as_slice() {
        [(side, item)] => (*side, item),
        [] => return map.item().fail("no limit: write one of `lt`, `lte`, `gt` or `gte`, like `lt: 0.5`"),
        [(first, _), (second, item), ..] => {
            return item.fail(format!(
                "both `{}` and `{}`: keep one limit, and write the other as a rule of its own",
                first.name(),
                second.name()
            ));
        }
    };
    let limit = amount(item);
    let place = map.get("warn");
    let warn = match &place {
        Some(item) => Some(amount(item)?),
        None => None,
    };
    let limit = limit?;
    let (inside, below) = match side {
        Side::Lt | Side::Lte => (warn.is_none_or(|warn| warn < limit), "below"),
        Side::Gt | Side::Gte => (warn.is_none_or(|warn| warn > limit), "above"),
    };
    if let (false, Some(warn), Some(item)) = (inside, warn, &place) {
        let name = side.name();
        return item.fail(format!("warn {warn} is not {below} {name} {limit}: write a `warn` {below} the limit"));
    }
    Some(Bound { side, limit, warn })
}

/// `{absolute: 0.02}` or `{relative: 0.01}`.
pub(super) fn tolerance(item: &Item) -> Option<Tolerance> {
    if item.scalar().is_some() {
        return item.fail("expected {absolute: …} or {relative: …}, read a bare value: say which of the two it is");
    }
    let map = item.map(&["absolute", "relative"])?;
    match (map.get("absolute"), map.get("relative")) {
        (Some(item), None) => limit(&item, Bounds::Rate).map(Tolerance::Absolute),
        (None, Some(item)) => limit(&item, Bounds::Rate).map(Tolerance::Relative),
        (Some(_), Some(_)) => item.fail("both `absolute` and `relative`: keep one"),
        (None, None) => item.fail("neither `absolute` nor `relative`: write one, like {relative: 0.01}"),
    }
}
