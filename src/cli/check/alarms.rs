//! False alarms: on how many days a month each rule of a policy blocks without any drift, and the smallest shift that one of
//! its windows finds. Windows have `min_samples` (or `min_positives` in each segment), the least that is judged: more data has
//! fewer alarms and finds less. Made up by `simulate` from a fixed seed, so that the same policy has the same figures.

mod drift;
mod figures;
mod outcomes;
mod segments;
mod simulate;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::cli::display;
use drift::{Distances, OnBins, Shape};
use driftgate_core::baseline::Baseline;
use driftgate_core::codec::number::short;
use driftgate_core::policy::lint::Lint;
use driftgate_core::policy::{Correction, Enforce, Group, Policy, Rule, Target};
use driftgate_core::rule::alarms::{SegmentSimulation, Simulation};
use driftgate_core::stats::draws::Draws;
use driftgate_core::stats::psi::Zero;
use driftgate_core::yaml::units::show_duration;
pub use figures::Simulated;
use figures::{Figures, Shifts, both, unknown};
use simulate::{Blocking, Rhythm};

/// A rule that blocks on more days a month without drift is worth a warning.
const MOST_DAYS: f64 = 1.0;

/// What a rule does without drift.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// `group/id`.
    pub rule: String,
    /// As in error messages.
    path: String,
    pub subjects: usize,
    windows: String,
    /// The share of windows, and the days of a month, that block; `None` where the policy does not say enough.
    pub blocking: Option<f64>,
    pub days_a_month: Option<f64>,
    /// What one window finds with a power of 0.8.
    pub finds: Vec<String>,
    /// What was taken for granted, or why there are no figures.
    pub assumes: String,
    /// What would help.
    advice: String,
    blocks: bool,
}

/// The false alarms of every rule, in the policy's order; on all cores.
pub fn alarms(policy: &Policy, baseline: Option<&Baseline>, simulated: &Simulated) -> Vec<Alarm> {
    let groups = (0_u64..).zip(&policy.groups);
    let rules: Vec<_> = groups
        .flat_map(|(group_at, group)| group.rules.iter().enumerate().map(move |(at, rule)| (group_at, group, at, rule)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(&(group_at, group, at, rule)) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Each from a seed of its own, so that threads change nothing.
            let draws = Draws::new(group_at * 1_000 + at as u64 + 1);
            let judge = Judge { policy, group, rule, baseline, rhythm: Rhythm::of(group), draws };
            found.push(((group_at, at), judge.alarm((group_at, at), simulated)));
        }
        found
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(rules.len());
    let mut found: Vec<((u64, usize), Alarm)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let mut found = work();
        for worker in workers {
            found.extend(worker.join().unwrap_or_default());
        }
        found
    });
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, alarm)| alarm).collect()
}

struct Judge<'a> {
    policy: &'a Policy,
    group: &'a Group,
    rule: &'a Rule,
    baseline: Option<&'a Baseline>,
    rhythm: Rhythm,
    draws: Draws,
}

impl Judge<'_> {
    fn alarm(mut self, (group_at, at): (u64, usize), simulated: &Simulated) -> Alarm {
        let figures = self.known_figures((group_at, at), simulated);
        let rhythm = self.rhythm;
        let (group, rule) = (self.group, self.rule);
        Alarm {
            rule: format!("{}/{}", group.name, rule.id),
            path: format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric()),
            subjects: self.policy.subjects(&rule.kind).len(),
            windows: format!("{} every {}", show_duration(group.window.size), show_duration(group.window.slide)),
            blocking: figures.blocking.map(|b| b.windows),
            days_a_month: figures.blocking.map(|b| rhythm.month(b)),
            finds: figures.finds,
            assumes: figures.assumes.join("; "),
            advice: figures.advice.to_owned(),
            blocks: group.enforce == Enforce::Block,
        }
    }

    /// The figures, from all that they depend on: a snapshot is each policy's own.
    fn known_figures(&mut self, place: (u64, usize), simulated: &Simulated) -> Figures {
        if self.baseline.is_some() {
            return self.figures();
        }
        let (simulation, n) = (self.rule.kind.simulation(), self.policy.min_samples);
        let key = format!("{place:?} {:?} {:?} {n} {simulation:?}", self.rhythm, self.rule.hysteresis);
        simulated.figures(key, || self.figures())
    }

    fn figures(&mut self) -> Figures {
        let n = self.policy.min_samples;
        let lasts = self.rule.hysteresis;
        match self.rule.kind.simulation() {
            Simulation::Psi { of, bins, zero } => self.psi(&of, bins, zero),
            Simulation::Test { of, correction, min_effect } => self.test(&of, correction, min_effect),
            Simulation::DistanceBound { of, budget, design_effect } => {
                let effect = self.baseline.map_or(design_effect.unwrap_or(1.0), |b| b.design_effect(design_effect));
                self.distance_bound(&of, budget, effect)
            }
            Simulation::Rate { of, what, as_in_training } => {
                let usual = |target| if as_in_training { self.missing(target) } else { 0.0 };
                let limits: Vec<(f64, f64)> = of.iter().map(|(target, limit)| (usual(*target), *limit)).collect();
                self.rates(&limits, what)
            }
            Simulation::Segments(segments) => self.segments(&segments),
            Simulation::Auc { gte } => {
                let found =
                    self.baseline.and_then(|b| outcomes::auc_below(self.rhythm, gte, n, lasts, b, &mut self.draws));
                match found {
                    None => {
                        unknown("it depends on the AUC in training, and no snapshot with scores and labels is at hand")
                    }
                    Some((blocking, finds)) => Figures {
                        blocking: Some(blocking),
                        finds: finds.map(|by| format!("AUC lower by {}", short(by))).into_iter().collect(),
                        assumes: vec![format!("{} pairs with the AUC of training", display::count(n))],
                        advice: "raise `min_samples`, lower the limit, or ask for a breach that lasts (`for`)",
                    },
                }
            }
            Simulation::Kpi { max } => {
                let (blocking, finds) = outcomes::kpi_drop(self.rhythm, max, n, lasts, &mut self.draws);
                Figures {
                    blocking: Some(blocking),
                    finds: finds.map(|by| format!("a rate lower by {}%", short(by * 100.0))).into_iter().collect(),
                    assumes: vec![format!(
                        "{} on each side, both at a rate of {}",
                        display::count(n),
                        outcomes::KPI_RATE
                    )],
                    advice: "leave `for` out: without it the interval holds at all windows together; or make `for` longer than the window",
                }
            }
            Simulation::Unknown(why) => unknown(why),
        }
    }

    fn missing(&self, target: Target) -> f64 {
        let counts = self.baseline.and_then(|b| match target {
            Target::Categorical(i) => b.categorical.get(i).map(|r| (r.missing, r.count)),
            numeric => b.numeric(numeric).map(|r| (r.missing, r.count)),
        });
        #[expect(clippy::cast_precision_loss, reason = "rows")]
        counts.map_or(0.0, |(missing, count)| missing as f64 / (missing + count).max(1) as f64)
    }

    fn assumed(&self) -> String {
        let from = if self.baseline.is_some() { "the snapshot" } else { "no snapshot: equal bins, a million rows" };
        format!("windows of {}, {from}", display::count(self.policy.min_samples))
    }

    fn psi(&mut self, of: &[(Target, f64)], bins: usize, zero: Zero) -> Figures {
        let n = self.policy.min_samples;
        let mut known: HashMap<(Vec<u64>, u64), (Blocking, Option<f64>)> = HashMap::new();
        let (mut all, mut shifts, mut left) = (Blocking::default(), Shifts::default(), 0);
        for &(target, lt) in of {
            let Some(shape) = Shape::of(self.baseline, target, bins) else {
                left += 1;
                continue;
            };
            let (rhythm, lasts, draws) = (self.rhythm, self.rule.hysteresis, &mut self.draws);
            let (blocking, finds) = *known
                .entry((shape.key(), lt.to_bits()))
                .or_insert_with(|| drift::on_bins(rhythm, &shape, n, &OnBins::Psi(zero, lt), lasts, draws));
            all = both(all, blocking);
            shifts.note(&shape, finds);
        }
        let mut assumes = vec![self.assumed()];
        if left > 0 {
            assumes.push(format!("{left} categorical features left out, whose categories are not known"));
        }
        let advice = "raise `min_samples` or the limit, merge rare categories, or ask for a breach that lasts (`for`)";
        Figures { blocking: Some(all), finds: shifts.said(), assumes, advice }
    }

    fn test(&mut self, of: &[(Target, f64)], correction: Correction, min_effect: f64) -> Figures {
        let n = self.policy.min_samples;
        let (rhythm, lasts) = (self.rhythm, self.rule.hysteresis);
        let shapes: Vec<(Shape, f64)> = of
            .iter()
            .map(|&(target, gte)| (Shape::of(self.baseline, target, 10).unwrap_or_else(drift::unknown), gte))
            .collect();
        let rows = shapes.iter().filter(|(s, _)| !s.discrete).map(|(s, _)| s.rows).min();
        let distances = rows.map(|m| Distances::new(rhythm, n, m, &mut self.draws));
        let mut known: HashMap<(Vec<u64>, u64), (Blocking, Option<f64>)> = HashMap::new();
        let (mut all, mut shifts) = (Blocking::default(), Shifts::default());
        for (shape, alpha) in &shapes {
            let alpha = drift::level(*alpha, correction, shapes.len());
            let key = if shape.discrete { shape.key() } else { Vec::new() };
            let draws = &mut self.draws;
            let (blocking, finds) = *known.entry((key, alpha.to_bits())).or_insert_with(|| {
                if let Some(distances) = distances.as_ref().filter(|_| !shape.discrete) {
                    let limit = distances.critical(alpha).max(min_effect);
                    (distances.blocking(rhythm, limit, lasts), distances.finds(limit, draws))
                } else {
                    let on = OnBins::Pearson(alpha, min_effect);
                    drift::on_bins(rhythm, shape, n, &on, lasts, draws)
                }
            });
            all = both(all, blocking);
            shifts.note(shape, finds);
        }
        let advice = match correction {
            Correction::None => {
                "write `ks_lcb`, whose budget is for the day, a larger `min_effect`, or `for`; `correction: holm` corrects the subjects of one window only"
            }
            Correction::Bonferroni | Correction::Holm | Correction::Bh => {
                "the correction is for the subjects of one window, not for the windows of a day: write `ks_lcb`, whose budget is for the day, a larger `min_effect`, or `for`"
            }
        };
        Figures { blocking: Some(all), finds: shifts.said(), assumes: vec![self.assumed()], advice }
    }

    fn distance_bound(&mut self, of: &[(Target, f64)], budget: f64, design_effect: f64) -> Figures {
        let n = self.policy.min_samples;
        let shapes = of.iter().filter_map(|&(target, lte)| Some((Shape::of(self.baseline, target, 10)?, lte)));
        let shapes: Vec<(Shape, f64)> = shapes.collect();
        let rows = shapes.iter().map(|(s, _)| s.rows).min().unwrap_or(drift::ROWS);
        let distances = Distances::new(self.rhythm, n, rows, &mut self.draws);
        #[expect(clippy::cast_precision_loss, reason = "a handful of features")]
        let features = shapes.len().max(1) as f64;
        let alpha = budget / features;
        let bands =
            driftgate_core::stats::ks::lcb(0.0, n, rows, alpha / self.rhythm.a_day.max(1.0), alpha, design_effect);
        let (mut all, mut shifts) = (Blocking::default(), Shifts::default());
        let mut known: HashMap<u64, (Blocking, Option<f64>)> = HashMap::new();
        for (shape, lte) in &shapes {
            let limit = lte + bands.window + bands.reference;
            let draws = &mut self.draws;
            let (blocking, finds) = *known.entry(limit.to_bits()).or_insert_with(|| {
                (distances.blocking(self.rhythm, limit, self.rule.hysteresis), distances.finds(limit, draws))
            });
            all = both(all, blocking);
            shifts.note(shape, finds);
        }
        let assumes = vec![self.assumed(), format!("at most {} by its budget", short(budget * 30.0))];
        Figures { blocking: Some(all), finds: shifts.said(), assumes, advice: "lower `budget`" }
    }

    fn rates(&mut self, limits: &[(f64, f64)], what: &str) -> Figures {
        let n = self.policy.min_samples;
        let (mut all, mut widest) = (Blocking::default(), None::<f64>);
        let mut known: HashMap<(u64, u64), (Blocking, Option<f64>)> = HashMap::new();
        for &(base, limit) in limits {
            let (rhythm, lasts, draws) = (self.rhythm, self.rule.hysteresis, &mut self.draws);
            let (blocking, finds) = *known
                .entry((base.to_bits(), limit.to_bits()))
                .or_insert_with(|| drift::rate_above(rhythm, (base, limit), n, lasts, draws));
            all = both(all, blocking);
            widest = widest.into_iter().chain(finds).reduce(f64::max);
        }
        let from = if self.baseline.is_some() {
            "as many as in training"
        } else {
            "none usually, since no snapshot is at hand"
        };
        Figures {
            blocking: Some(all),
            finds: widest.map(|by| format!("{}% more {what}", short(by * 100.0))).into_iter().collect(),
            assumes: vec![format!("windows of {}, {from}", display::count(n))],
            advice: "raise `min_samples` or the limit",
        }
    }

    fn segments(&mut self, rule: &SegmentSimulation) -> Figures {
        let lasts = self.rule.hysteresis;
        let Some(found) = segments::judge(self.rhythm, rule, lasts, self.baseline, &mut self.draws) else {
            return unknown("not computed for this metric");
        };
        let from = if found.known { "rates as in training" } else { "equal rates, since no snapshot says which" };
        let mut assumes = vec![format!("{} segments of {}, {from}", found.segments, display::count(found.least))];
        if let Some(gap) = found.broken {
            assumes.push(format!("the training data itself has a gap of {}", short(gap)));
        }
        let advice = match found.broken {
            Some(_) => "the training data itself breaks the limit: train anew, or raise it",
            None => rule.advice,
        };
        Figures {
            blocking: Some(found.blocking),
            finds: found.finds.map(|by| format!("one segment's rate lower by {}", short(by))).into_iter().collect(),
            assumes,
            advice,
        }
    }
}

impl Alarm {
    /// A warning, where the rule blocks on too many days.
    pub fn lint(&self) -> Option<Lint> {
        let days = self.days_a_month.filter(|days| *days > MOST_DAYS && self.blocks)?;
        let Self { windows, assumes, advice, .. } = self;
        let subjects = if self.subjects == 1 { "1 subject".to_owned() } else { format!("{} subjects", self.subjects) };
        let message = format!(
            "it blocks on about {} days a month without any drift ({subjects}, windows of {windows}, {assumes}): {advice}",
            days_said(days)
        );
        Some(Lint { path: self.path.clone(), message })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "rule": self.rule, "subjects": self.subjects, "days_a_month": self.days_a_month,
            "windows_blocked": self.blocking, "finds": self.finds, "assumes": self.assumes,
        })
    }
}

/// Days for people: what was seen in a simulation of hundreds has two digits.
fn days_said(days: f64) -> String {
    if days >= 9.95 { format!("{days:.0}") } else { format!("{days:.1}") }
}

/// What `check --alarms` shows.
pub fn table(alarms: &[Alarm]) -> comfy_table::Table {
    let mut table =
        display::table(&["rule", "windows", "blocks without drift", "of windows", "a window finds (4 in 5)", "given"]);
    for alarm in alarms {
        let days =
            alarm.days_a_month.map_or_else(|| "not known".to_owned(), |d| format!("{} days a month", days_said(d)));
        let windows = alarm.blocking.map_or_else(String::new, |b| format!("{}%", short(b * 100.0)));
        display::row(
            &mut table,
            [alarm.rule.clone(), alarm.windows.clone(), days, windows, alarm.finds.join(", "), alarm.assumes.clone()],
        );
    }
    table
}
