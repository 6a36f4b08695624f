//! Rules on how the service behaves: latency quantiles, error rate, KPIs against the champion or what stands in for it.

use serde_json::Value;

use super::kpi::Share;
use super::rules::{Judged, Window, enough, limit, upper, warned};
use super::verdict::{Status, number};
use crate::policy::{KpiVersus, Rule, RuleKind, Tolerance, Upper};
use crate::stats::fairness::Ratio;
use crate::stats::proportion::wilson;
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

/// How far a rate lies below its reference, in the limit's terms.
fn dropped(max: Tolerance, own: Share, reference: Share) -> Option<f64> {
    own.rate().zip(reference.rate()).and_then(|(own, reference)| match max {
        Tolerance::Absolute(_) => Some(reference - own),
        Tolerance::Relative(_) => (reference > 0.0).then(|| (reference - own) / reference),
    })
}

/// Blocks when even the upper bound of (this − reference) lies below −tolerance: Newcombe's of the window where the rule asks
/// for a breach that lasts, else bounds that hold at every window, of the window and of the sums since the comparison began.
pub(super) fn kpi_drop(w: &Window<'_>, layout: &Layout, rule: &Rule) -> Option<Judged> {
    let RuleKind::KpiDrop { of, max, versus } = rule.kind else { return None };
    let subject = w.policy.kpis.get(of).cloned().unwrap_or_default();
    let at = w.reads.kpis.binary_search(&of).unwrap_or(usize::MAX);
    let (no, yes) = yes_no(layout.kpis.get(at).copied(), &w.tally.counts);
    let own = Share { yes, n: no + yes };
    let (limit_name, tolerance) = match max {
        Tolerance::Absolute(x) => ("absolute", x),
        Tolerance::Relative(x) => ("relative", x),
    };
    let mut evidence = vec![("rate", number(own.rate())), ("limit", limit(limit_name, tolerance)), ("n", own.n.into())];
    let compared = w.kpis.get(at).and_then(|kpi| match versus {
        KpiVersus::Champion => kpi.beside.as_ref().or(kpi.before.as_ref()),
        KpiVersus::Predecessor => kpi.before.as_ref(),
    });
    let Some(compared) = compared else {
        let reason = "nothing to compare with in this window: no other version in prod, and no earlier time in prod";
        return Some(Judged { evidence, ..Judged::insufficient(subject, reason) });
    };
    let lasts = rule.hysteresis.is_some();
    let decision = compared.decide(own, max, lasts);
    let reference = compared.reference;
    let total = decision.total;
    // The value is that of what decides.
    let by_sums = decision.by_total && !decision.by_window;
    let drop = match total.filter(|_| by_sums) {
        Some(total) => dropped(max, total.own, total.reference),
        None => dropped(max, own, reference),
    };
    let blocks = decision.blocks();
    let (status, reason) =
        enough(
            own.n.min(reference.n),
            w.policy.min_samples,
            drop,
            |_| {
                if blocks { Status::Block } else { Status::Pass }
            },
        );
    let reason = reason.or_else(|| total.filter(|_| by_sums).map(|total| format!("by the sums {}", total.of)));
    evidence.extend([
        ("versus", compared.versus.name().into()),
        ("champion", Value::from(compared.version.as_str())),
        ("champion_rate", number(reference.rate())),
        ("champion_n", reference.n.into()),
        ("lower", number(decision.bounds.map(|d| d.0))),
        ("upper", number(decision.bounds.map(|d| d.1))),
        ("method", if lasts { "newcombe" } else { "always-valid" }.into()),
    ]);
    if let Some(total) = total {
        evidence.extend([
            ("total_rate", number(total.own.rate())),
            ("total_n", total.own.n.into()),
            ("total_champion_rate", number(total.reference.rate())),
            ("total_champion_n", total.reference.n.into()),
            ("total_lower", number(total.bounds.map(|b| b.0))),
            ("total_upper", number(total.bounds.map(|b| b.1))),
        ]);
    }
    Some(Judged { subject, status, value: drop, evidence, reason, bins: None })
}

fn yes_no(block: Option<Block>, counts: &[u64]) -> (u64, u64) {
    match block.map(|b| b.slice(counts)) {
        Some([no, yes]) => (*no, *yes),
        _ => (0, 0),
    }
}
