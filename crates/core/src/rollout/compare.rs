//! Candidate against champion on a KPI within one step, decided by an always-valid interval: its confidence holds
//! although it is looked at after every window.
//!
//! The counts start anew with each step, because the split of the traffic changes there and a rate that moves with the time of
//! day would otherwise look like a difference. Each step that compares takes an equal share of 1 − confidence, so that the
//! confidence is that of the whole rollout (Bonferroni).

use serde_json::Value;

use super::looks::Look;
use super::plan;
use super::state::State;
use crate::codec::number::short;
use crate::judge::kpi::Versus;
use crate::judge::verdict::{RuleResult, Verdict};
use crate::policy::{Compare, Policy, Rollout, Tolerance};
use crate::stats::ratio::Ratio;
use crate::stats::sequential::difference_of_dependent;

/// The result of a comparison, with a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The gain is as large as asked, surely above 0, and latency is no worse than allowed.
    Gain(String),
    /// Not (yet).
    Open(String),
    /// The candidate is surely worse.
    Harm(String),
}

/// The results of a rule, by its indexes.
fn results<'a>(
    policy: &Policy,
    (group, rule): (usize, usize),
    verdict: &'a Verdict,
) -> impl Iterator<Item = &'a RuleResult> {
    let group = policy.groups.get(group).filter(|group| group.name == verdict.group);
    let name = group.and_then(|group| Some(format!("{}/{}", group.name, group.rules.get(rule)?.id)));
    verdict.results.iter().filter(move |result| Some(&result.rule) == name.as_ref())
}

/// Keeps the latency quantile of a version's window, in microseconds, if the comparison reads it.
pub(super) fn note_latency(policy: &Policy, compare: &Compare, verdict: &Verdict, kept: &mut Option<u64>) {
    let Some(latency) = &compare.latency else { return };
    if let Some(value) = results(policy, (latency.group, latency.rule), verdict).find_map(|result| result.value) {
        *kept = count_of(value * 1000.0);
    }
}

/// Adds the candidate's window if it starts after the last one counted, so that overlapping windows count nothing twice;
/// the caller passes only windows of the step. Returns whether it did.
pub(super) fn count(state: &mut State, policy: &Policy, compare: &Compare, verdict: &Verdict) -> bool {
    let window = verdict.window;
    if state.champion.is_none() || state.comparison.until_ms.is_some_and(|until| window.start < until) {
        return false;
    }
    let read = |result: &RuleResult| {
        // Another champion's counts do not add to those of this one, nor do those of a time when it served alone.
        let beside = result.get("versus").is_none_or(|versus| versus.as_str() == Some(Versus::Champion.name()));
        let versus = result.get("champion");
        let versus = versus.as_ref().and_then(Value::as_str).filter(|_| beside);
        let sample = |rate: &str, n: &str| {
            let (rate, n) = (result.get(rate)?.as_f64()?, result.get(n)?.as_u64()?);
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            let yes = count_of(rate * n as f64)?;
            Some((yes.min(n), n))
        };
        (versus == state.champion.as_deref())
            .then(|| Some((sample("rate", "n")?, sample("champion_rate", "champion_n")?)))?
    };
    let Some((candidate, champion)) = results(policy, (compare.group, compare.rule), verdict).find_map(read) else {
        return false;
    };
    let sums = &mut state.comparison;
    sums.candidate_yes = sums.candidate_yes.saturating_add(candidate.0);
    sums.candidate_n = sums.candidate_n.saturating_add(candidate.1);
    sums.champion_yes = sums.champion_yes.saturating_add(champion.0);
    sums.champion_n = sums.champion_n.saturating_add(champion.1);
    sums.until_ms = Some(window.end);
    true
}

/// Candidate against champion by the counts of the step so far, in a sentence with the interval; `None` where nothing is compared.
#[must_use]
pub fn standing(state: &State, policy: &Policy, rollout: &Rollout) -> Option<String> {
    let compare = rollout.compare.as_ref()?;
    Some(match decide(state, policy, rollout, compare) {
        Decision::Gain(said) | Decision::Open(said) | Decision::Harm(said) => said,
    })
}

/// The rates of candidate and champion by the counts of the step so far, and the bounds of their difference; `None` where one has none.
fn measured(state: &State, rollout: &Rollout, compare: &Compare) -> Option<((Ratio, Ratio), (f64, f64))> {
    let sums = &state.comparison;
    let steps = rollout.steps.iter().filter(|step| plan::compares(step)).count().max(1);
    let alpha = Ratio::ONE.minus(compare.confidence.ratio())?.over(Ratio::of_counts(steps as u64, 1)?)?;
    let (of_candidate, of_champion) = ((sums.candidate_yes, sums.candidate_n), (sums.champion_yes, sums.champion_n));
    let bounds = difference_of_dependent(of_candidate, of_champion, alpha.value(), compare.design_effect)?;
    let candidate = Ratio::of_counts(sums.candidate_yes, sums.candidate_n)?;
    Some(((candidate, Ratio::of_counts(sums.champion_yes, sums.champion_n)?), bounds))
}

/// What was just counted, as it is kept for people.
pub(super) fn look(state: &State, rollout: &Rollout, compare: &Compare) -> Option<Look> {
    let ((candidate, champion), (lower, upper)) = measured(state, rollout, compare)?;
    let difference = candidate.value() - champion.value();
    Some(Look { at_ms: state.comparison.until_ms?, step: state.step, difference, lower, upper })
}

/// The result by the counts of the step so far.
pub(super) fn decide(state: &State, policy: &Policy, rollout: &Rollout, compare: &Compare) -> Decision {
    let sums = &state.comparison;
    let kpi = plan::kpi(policy, compare);
    let Some(((candidate, champion), (lower, upper))) = measured(state, rollout, compare) else {
        let why =
            if state.champion.is_none() { "no champion to compare with" } else { "nothing counted on both sides" };
        return Decision::Open(format!("{kpi}: {why} in this step"));
    };
    let said = format!(
        "{kpi} {} of {} against the champion's {} of {}, difference {} to {} at any look",
        short(candidate.value()),
        sums.candidate_n,
        short(champion.value()),
        sums.champion_n,
        short(lower),
        short(upper)
    );
    if upper < 0.0 {
        return Decision::Harm(format!("worse than the champion: {said}"));
    }
    let needed = plan::amount(compare.min_gain);
    if !gains(candidate, champion, compare.min_gain) {
        return Decision::Open(format!("{said}: not the gain of {needed} that is asked for"));
    }
    if lower <= 0.0 {
        return Decision::Open(format!("{said}: a gain of {needed}, but not surely one above 0"));
    }
    match slower(state, compare) {
        Some(why) => Decision::Open(format!("{said}; {why}")),
        None => Decision::Gain(said),
    }
}

/// Whether the observed gain reaches the one asked for, as the fractions they are: 0.0203 of 0.02 is 1.5%.
fn gains(candidate: Ratio, champion: Ratio, asked: Tolerance) -> bool {
    let gain = candidate.minus(champion);
    let (gain, asked) = match asked {
        Tolerance::Absolute(x) => (gain, x),
        // Above a rate of 0 every gain is large enough.
        Tolerance::Relative(_) if champion == Ratio::ZERO => return gain.is_some_and(|gain| gain > Ratio::ZERO),
        Tolerance::Relative(x) => (gain.and_then(|gain| gain.over(champion)), x),
    };
    gain.is_some_and(|gain| asked.order(gain).is_ge())
}

/// Why latency speaks against the candidate, if it is compared and does.
fn slower(state: &State, compare: &Compare) -> Option<String> {
    let allowed = compare.latency?.max_increase;
    let latency = state.comparison.latency;
    let (Some(candidate), Some(champion)) = (latency.candidate_us, latency.champion_us) else {
        let whose = if latency.candidate_us.is_none() { "the candidate's" } else { "the champion's" };
        return Some(format!("{whose} latency was not measured in this step"));
    };
    let increase = Ratio::of_counts(candidate, 1).zip(Ratio::of_counts(champion, 1)).and_then(|(a, b)| a.minus(b));
    let (increase, limit) = match allowed {
        // In microseconds, as the latencies.
        Tolerance::Absolute(ms) => (increase, Ratio::of_counts(1000, 1).and_then(|us| us.times(ms.ratio()))),
        Tolerance::Relative(x) => (
            increase.zip(Ratio::of_counts(champion, 1)).and_then(|(increase, champion)| increase.over(champion)),
            Some(x.ratio()),
        ),
    };
    let within = candidate <= champion || increase.zip(limit).is_some_and(|(increase, limit)| increase <= limit);
    (!within).then(|| {
        let unit = if matches!(allowed, Tolerance::Absolute(_)) { " ms" } else { "" };
        format!(
            "latency {} ms is more than {}{unit} above the champion's {} ms",
            millis(candidate),
            plan::amount(allowed),
            millis(champion)
        )
    })
}

fn millis(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people, four digits")]
    short(us as f64 / 1000.0)
}

/// The nearest whole number; `None` below 0, beyond 2^53 and for NaN.
fn count_of(x: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within range")]
    (0.0..=9_007_199_254_740_992.0).contains(&x).then(|| x.round() as u64)
}
