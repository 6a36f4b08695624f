//! One rule's options: which keys a metric takes, and the ranges its limits must lie in.

use super::names::Names;
use super::subjects::{LimitReader, single, subjects, upper};
use super::types::{
    Aggregate, Bound, Correction, GapMeasure, MOST_VALUE, RuleKind, Side, Subject, Tolerance, Upper, Zero,
};
use crate::stats::limit::Limit;
use crate::yaml::{Item, Map, units};

/// Metrics and the options they take.
const METRICS: [(&str, &[&str]); 21] = [
    ("psi", &["of", "lt", "warn", "bins", "zero", "except", "id", "for"]),
    ("ks_p", &["of", "gte", "correction", "min_effect", "except", "id", "for"]),
    ("ks_lcb", &["of", "lte", "budget", "design_effect", "except", "id", "for"]),
    ("missing_rate", &["of", "max_increase", "except", "id", "for"]),
    ("invalid_rate", &["of", "lte", "except", "id", "for"]),
    ("tpr_gap", GAP),
    ("fpr_gap", GAP),
    ("selection_gap", GAP),
    ("equalized_odds", GAP),
    ("disparate_impact", &["by", "gte", "min_positives", "id", "for"]),
    ("tpr_gap_lcb", &["by", "lte", "min_positives", "reference", "id", "for"]),
    ("tpr_drop", &["by", "max", "min_positives", "id", "for"]),
    ("tpr_drop_lcb", &["by", "max", "min_positives", "id", "for"]),
    ("auc", &["gte", "id", "for"]),
    ("latency_p50_ms", LATENCY),
    ("latency_p90_ms", LATENCY),
    ("latency_p95_ms", LATENCY),
    ("latency_p99_ms", LATENCY),
    ("error_rate", &["lt", "warn", "unit", "id", "for"]),
    ("kpi_drop", &["of", "max", "versus", "id", "for"]),
    ("measured", &["of", "lt", "lte", "gt", "gte", "warn", "agg", "id", "for"]),
];
const GAP: &[&str] = &["by", "lt", "warn", "min_positives", "id", "for"];
const LATENCY: &[&str] = &["lt", "warn", "id", "for"];

const RATE: &str = "a rate from 0 to 1";
const SOME_RATE: &str = "a rate above 0, at most 1";
const ABOVE_ZERO: &str = "a number above 0";

fn rate(number: Limit) -> bool {
    (Limit::ZERO..=Limit::ONE).contains(&number)
}

fn some_rate(number: Limit) -> bool {
    number > Limit::ZERO && number <= Limit::ONE
}

fn above_zero(number: Limit) -> bool {
    number > Limit::ZERO
}

/// Reads a rule's options. The outer `None`: there is no such metric, or it has no options at all.
pub(super) fn kind<'a>(metric: &str, item: &Item<'a>, names: &mut Names) -> Option<(Option<RuleKind>, Map<'a>)> {
    let Some((name, keys)) = METRICS.into_iter().find(|(name, _)| *name == metric) else {
        let known = item.known_names(metric, METRICS.iter().map(|(name, _)| *name));
        return item.fail(format!("unknown rule `{metric}`; {known}"));
    };
    let map = item.map(keys)?;
    Some((options(name, &map, names), map))
}

fn options(metric: &'static str, map: &Map, names: &mut Names) -> Option<RuleKind> {
    match metric {
        "psi" => psi(map, names),
        "ks_p" => ks_p(map, names),
        "ks_lcb" => ks_lcb(map, names),
        "missing_rate" => {
            let read = |map: &Map, base| single(map, base, "max_increase", "0.05", RATE, rate);
            let reader = LimitReader { keys: &["max_increase"], read, categorical: true };
            Some(RuleKind::MissingRate { of: subjects(map, names, &reader)? })
        }
        "invalid_rate" => {
            let read = |map: &Map, base| single(map, base, "lte", "0.01", RATE, rate);
            let reader = LimitReader { keys: &["lte"], read, categorical: true };
            Some(RuleKind::InvalidRate { of: subjects(map, names, &reader)? })
        }
        "tpr_gap" => gap(GapMeasure::Tpr, map, names),
        "fpr_gap" => gap(GapMeasure::Fpr, map, names),
        "selection_gap" => gap(GapMeasure::Selection, map, names),
        "equalized_odds" => gap(GapMeasure::EqualizedOdds, map, names),
        "disparate_impact" => {
            let (by, min_positives) = segments(map, names);
            let gte = single(map, None, "gte", "0.8", SOME_RATE, some_rate);
            Some(RuleKind::DisparateImpact { by: by?, gte: gte?, min_positives: min_positives? })
        }
        "tpr_gap_lcb" => {
            let (by, min_positives) = segments(map, names);
            let lte = single(map, None, "lte", "0.03", RATE, rate);
            let reference = map.get("reference").map(|item| item.name("a segment's value"));
            let (by, lte, min_positives) = (by?, lte?, min_positives?);
            let reference = match reference {
                Some(name) => Some(name?.to_owned()),
                None => None,
            };
            Some(RuleKind::TprGapLcb { by, lte, min_positives, reference })
        }
        "tpr_drop" | "tpr_drop_lcb" => {
            let (by, min_positives) = segments(map, names);
            let max = single(map, None, "max", "0.1", RATE, rate);
            let lcb = metric == "tpr_drop_lcb";
            Some(RuleKind::TprDrop { by: by?, max: max?, min_positives: min_positives?, lcb })
        }
        "auc" => Some(RuleKind::Auc { gte: single(map, None, "gte", "0.7", SOME_RATE, some_rate)? }),
        "latency_p50_ms" => latency(metric, 0.5, map),
        "latency_p90_ms" => latency(metric, 0.9, map),
        "latency_p95_ms" => latency(metric, 0.95, map),
        "latency_p99_ms" => latency(metric, 0.99, map),
        "error_rate" => error_rate(map),
        "measured" => measured(map, names),
        _ => kpi_drop(map, names),
    }
}

fn psi(map: &Map, names: &Names) -> Option<RuleKind> {
    let read = |map: &Map, base| upper(map, base, ABOVE_ZERO, "0.2", above_zero);
    let of = subjects(map, names, &LimitReader { keys: &["lt", "warn"], read, categorical: true });
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

fn ks_p(map: &Map, names: &Names) -> Option<RuleKind> {
    let read = |map: &Map, base| single(map, base, "gte", "0.01", "a p-value above 0, at most 1", some_rate);
    let of: Option<Vec<Subject<Limit>>> =
        subjects(map, names, &LimitReader { keys: &["gte"], read, categorical: true });
    let words = [("none", Correction::None), ("holm", Correction::Holm), ("bh", Correction::Bh)];
    let correction = map.get("correction").map_or(Some(Correction::None), |item| item.choice(&words));
    let below_one = |number| (Limit::ZERO..Limit::ONE).contains(&number);
    let effect = |item: Item| item.limit("a D from 0 to below 1", below_one);
    let min_effect = map.get("min_effect").map_or(Some(Limit::ZERO), effect);
    Some(RuleKind::KsP { of: of?, correction: correction?, min_effect: min_effect? })
}

fn ks_lcb(map: &Map, names: &Names) -> Option<RuleKind> {
    let read = |map: &Map, base| single(map, base, "lte", "0.05", RATE, rate);
    let of = subjects(map, names, &LimitReader { keys: &["lte"], read, categorical: false });
    let share = |item: Item| item.number("a probability above 0 and below 1", |number| number > 0.0 && number < 1.0);
    let budget = map.get("budget").map_or(Some(0.01), share);
    let effect = |item: Item| item.number("a design effect of 1 or more", |number| number >= 1.0);
    let design_effect = map.get("design_effect").map_or(Some(1.0), effect);
    Some(RuleKind::KsLcb { of: of?, budget: budget?, design_effect: design_effect? })
}

/// `by` and `min_positives`, which every rule over segments takes.
fn segments(map: &Map, names: &Names) -> (Option<usize>, Option<u64>) {
    let by = map.require("by", "one of `segments:`").and_then(|item| names.segmentation(&item));
    let min_positives = map.get("min_positives").map_or(Some(30), |item| item.whole(1, 1_000_000_000));
    (by, min_positives)
}

fn gap(measure: GapMeasure, map: &Map, names: &Names) -> Option<RuleKind> {
    let (by, min_positives) = segments(map, names);
    let limit = upper(map, None, SOME_RATE, "0.03", some_rate);
    Some(RuleKind::Gap { measure, by: by?, limit: limit?, min_positives: min_positives? })
}

fn latency(metric: &'static str, quantile: f64, map: &Map) -> Option<RuleKind> {
    let limit = upper(map, None, "milliseconds above 0", "80", above_zero)?;
    Some(RuleKind::Latency { metric, quantile, limit })
}

fn error_rate(map: &Map) -> Option<RuleKind> {
    let unit = map.get("unit").map_or(Some(false), |item| item.choice(&[("fraction", false), ("percent", true)]));
    let limit = if unit? {
        let allowed = |number| number > Limit::ZERO && number <= Limit::HUNDRED;
        let percent = upper(map, None, "a percentage above 0, at most 100", "1", allowed)?;
        Upper { lt: percent.lt.of_percent(), warn: percent.warn.map(Limit::of_percent) }
    } else {
        upper(map, None, "a fraction above 0, at most 1 (or `unit: percent`)", "0.01", some_rate)?
    };
    Some(RuleKind::ErrorRate { limit })
}

fn kpi_drop(map: &Map, names: &mut Names) -> Option<RuleKind> {
    let of = map.require("of", "ctr").and_then(|item| item.name("a KPI's name"));
    let max = map.require("max", "{relative: 0.01}").and_then(|item| tolerance(&item));
    let versus = map.get("versus").map_or(Some(()), |item| item.choice(&[("champion", ())]));
    let (of, max) = (of?, max?);
    versus?;
    Some(RuleKind::KpiDrop { of: names.kpi(of), max })
}

fn measured(map: &Map, names: &mut Names) -> Option<RuleKind> {
    let of = map.require("of", "cost_per_1k").and_then(|item| item.name("a metric's name"));
    let words = Aggregate::ALL.map(|aggregate| (aggregate.name(), aggregate));
    let aggregate = map.get("agg").map_or(Some(Aggregate::Mean), |item| item.choice(&words));
    let bound = bound(map);
    let (of, aggregate, bound) = (of?, aggregate?, bound?);
    Some(RuleKind::Measured { of: names.metric(of), aggregate, bound })
}

/// Exactly one of `lt`, `lte`, `gt` and `gte`, with a `warn` on the side that passes.
fn bound(map: &Map) -> Option<Bound> {
    let amount = |item: &Item| item.limit("a number from -1e12 to 1e12", |number| number.value().abs() <= MOST_VALUE);
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
        (Some(item), None) => item.limit(RATE, rate).map(Tolerance::Absolute),
        (None, Some(item)) => item.limit(RATE, rate).map(Tolerance::Relative),
        (Some(_), Some(_)) => item.fail("both `absolute` and `relative`: keep one"),
        (None, None) => item.fail("neither `absolute` nor `relative`: write one, like {relative: 0.01}"),
    }
}
