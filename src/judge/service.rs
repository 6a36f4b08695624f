//! Rules on how the service behaves: latency quantiles, error rate, KPIs against the champion.

use serde_json::Value;

use super::rules::{Champion, Judged, Window, enough, limit, real, upper, warned};
use super::verdict::{Status, number};
use crate::policy::{Tolerance, Upper};
use crate::stats::fairness::Ratio;
use crate::stats::proportion::{newcombe, wilson};
use crate::stats::quantile;
use crate::window::layout::{Block, Layout};

const ALPHA: f64 = 0.05;

pub(super) fn latency(w: &Window<'_>, layout: &Layout, q: f64, limit_: Upper) -> Judged {
    let cells = layout.latency.map_or(&[][..], |b| b.slice(&w.tally.counts));
    let (missing, invalid) = layout.latency.map_or((0, 0), |b| b.absent(&w.tally.counts));
    let n = cells.iter().sum();
    let value = quantile::quantile(cells, q);
    let bounds = quantile::quantile_bounds(cells, q, ALPHA);
    let (status, reason) = enough(n, w.policy.min_samples, value, |v| upper(v, limit_));
    let reason = reason.or_else(|| warned(status, limit_));
    let evidence = vec![
        ("lower", number(bounds.map(|b| b.0))),
        ("upper", number(bounds.map(|b| b.1))),
        ("limit", limit("lt", limit_.lt)),
        ("n", n.into()),
        ("missing", missing.into()),
        ("invalid", invalid.into()),
    ];
    Judged { subject: "latency_ms".to_owned(), status, value, evidence, reason, bins: None }
}

pub(super) fn error_rate(w: &Window<'_>, layout: &Layout, limit_: Upper) -> Judged {
    let (ok, errors) = yes_no(layout.error, &w.tally.counts);
    let (missing, invalid) = layout.error.map_or((0, 0), |b| b.absent(&w.tally.counts));
    let n = ok + errors;
    let rate = Ratio::of_counts(errors, n);
    let value = rate.map(Ratio::value);
    let (status, reason) = enough(n, w.policy.min_samples, rate, |v| upper(v, limit_));
    let reason = reason.or_else(|| warned(status, limit_));
    let interval = wilson(errors, n, ALPHA);
    let evidence = vec![
        ("lower", number(interval.map(|i| i.0))),
        ("upper", number(interval.map(|i| i.1))),
        ("limit", limit("lt", limit_.lt)),
        ("n", n.into()),
        ("missing", missing.into()),
        ("invalid", invalid.into()),
    ];
    Judged { subject: "error".to_owned(), status, value, evidence, reason, bins: None }
}

/// Blocks when even Newcombe's upper bound of (this − champion) lies below −tolerance.
pub(super) fn kpi_drop(w: &Window<'_>, layout: &Layout, kpi: usize, max: Tolerance) -> Judged {
    let subject = w.policy.kpis.get(kpi).cloned().unwrap_or_default();
    let at = w.reads.kpis.binary_search(&kpi).unwrap_or(usize::MAX);
    let (no, yes) = yes_no(layout.kpis.get(at).copied(), &w.tally.counts);
    let n = no + yes;
    let rate = (n > 0).then(|| real(yes) / real(n));
    let (limit_name, tolerance) = match max {
        Tolerance::Absolute(x) => ("absolute", x),
        Tolerance::Relative(x) => ("relative", x),
    };
    let mut evidence = vec![("rate", number(rate)), ("limit", limit(limit_name, tolerance)), ("n", n.into())];
    let (version, tally, champion_layout) = match w.champion {
        Champion::Itself => {
            let reason = Some("this version is the champion".to_owned());
            return Judged { subject, status: Status::Pass, value: None, evidence, reason, bins: None };
        }
        Champion::None => {
            return Judged {
                evidence,
                ..Judged::insufficient(subject, "no version in prod to compare with in this window")
            };
        }
        Champion::Other { version, tally, layout } => (version, tally, layout),
    };
    let (base_no, base_yes) = yes_no(champion_layout.kpis.get(at).copied(), &tally.counts);
    let base_n = base_no + base_yes;
    let base = (base_n > 0).then(|| real(base_yes) / real(base_n));
    let difference = newcombe(yes, n, base_yes, base_n, ALPHA);
    let allowed = match max {
        Tolerance::Absolute(x) => Some(x.value()),
        Tolerance::Relative(x) => {
            Ratio::of_counts(base_yes, base_n).and_then(|base| base.times(x.ratio())).map(Ratio::value)
        }
    };
    let drop = rate.zip(base).and_then(|(rate, base)| match max {
        Tolerance::Absolute(_) => Some(base - rate),
        Tolerance::Relative(_) => (base > 0.0).then(|| (base - rate) / base),
    });
    let (status, reason) = enough(n.min(base_n), w.policy.min_samples, drop, |_| {
        if difference.zip(allowed).is_some_and(|((_, upper), allowed)| upper < -allowed) {
            Status::Block
        } else {
            Status::Pass
        }
    });
    evidence.extend([
        ("champion", Value::from(version)),
        ("champion_rate", number(base)),
        ("champion_n", base_n.into()),
        ("lower", number(difference.map(|d| d.0))),
        ("upper", number(difference.map(|d| d.1))),
    ]);
    Judged { subject, status, value: drop, evidence, reason, bins: None }
}

fn yes_no(block: Option<Block>, counts: &[u64]) -> (u64, u64) {
    match block.map(|b| b.slice(counts)) {
        Some([no, yes]) => (*no, *yes),
        _ => (0, 0),
    }
}
