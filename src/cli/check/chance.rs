//! Limits on PSI that lie within chance: below the 99.9% quantile of PSI without drift, at the fewest samples that are judged.

use serde_json::Value;

use crate::cli::display;
use driftgate_core::baseline::Baseline;
use driftgate_core::codec::number::short;
use driftgate_core::policy::lint::Lint;
use driftgate_core::policy::{Policy, Target};
use driftgate_core::rule::alarms::Simulation;
use driftgate_core::stats::psi::{CHANCE, null_quantile};

/// Subjects that a warning names.
const NAMED: usize = 3;

/// A subject whose limit is too low.
struct Low<'p> {
    name: &'p str,
    bins: usize,
    rows: u64,
    lt: f64,
    quantile: f64,
}

/// A warning for each PSI rule with such limits.
pub fn lint(policy: &Policy, baseline: Option<&Baseline>) -> Vec<Lint> {
    let n = policy.min_samples;
    let mut found = Vec::new();
    for group in &policy.groups {
        for (at, rule) in group.rules.iter().enumerate() {
            let Simulation::Psi { of, bins, .. } = rule.kind.simulation() else { continue };
            let low = of.iter().filter_map(|&(target, lt)| {
                let (bins, rows) = sizes(baseline, target, bins)?;
                let quantile = null_quantile(n, rows, bins, CHANCE)?;
                let name = policy.target_name(target);
                (lt < quantile).then_some(Low { name, bins, rows, lt, quantile })
            });
            let mut low: Vec<Low<'_>> = low.collect();
            low.sort_by(|a, b| b.quantile.total_cmp(&a.quantile));
            if let Some(message) = message(&low, n) {
                found.push(Lint { path: format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric()), message });
            }
        }
    }
    found
}

/// Bins and training rows; without a snapshot those of a numeric feature in a large one.
fn sizes(baseline: Option<&Baseline>, target: Target, bins: usize) -> Option<(usize, u64)> {
    let Some(baseline) = baseline else {
        return (!matches!(target, Target::Categorical(_))).then_some((bins, u64::MAX));
    };
    match target {
        Target::Categorical(i) => baseline.categorical.get(i).map(|r| (r.names.len() + 1, r.count)),
        numeric => {
            let reference = baseline.numeric(numeric)?;
            Some((reference.bins.get(&bins).map_or(bins, Vec::len), reference.count))
        }
    }
}

fn message(low: &[Low<'_>], n: u64) -> Option<String> {
    let worst = low.first()?;
    let one = |l: &Low<'_>| {
        let rows =
            if l.rows == u64::MAX { String::new() } else { format!(" against {} of training", display::count(l.rows)) };
        format!("{} ({} bins{rows}: {} where the limit is {})", l.name, l.bins, short(l.quantile), short(l.lt))
    };
    let mut named: Vec<String> = low.iter().take(NAMED).map(one).collect();
    if low.len() > NAMED {
        named.push(format!("{} more", low.len() - NAMED));
    }
    let limit = (worst.quantile * 100.0).ceil() / 100.0;
    Some(format!(
        "the limit is within chance: without any drift PSI of {} samples exceeds it in more than one window of a thousand, for {}; \
         write `except: {{{}: {{lt: {limit}}}}}`, raise `min_samples`, or leave such features to `missing_rate` and rules on fewer categories",
        display::count(n),
        named.join(", "),
        quoted(worst.name)
    ))
}

/// A name as YAML takes it at any place.
fn quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
