//! Rules on distributions: PSI, KS and chi-square p-values, the safe KS bound, missing and invalid rates, AUC. Counts come
//! from the predictions, or from the features stream where the predictions do not carry the feature.

use serde_json::{Value, json};

use super::rules::{Judged, Window, at_least, at_most, enough, enough_events, limit, real, upper, warned};
use super::verdict::{Status, number};
use crate::baseline::Baseline;
use crate::event::code;
use crate::policy::{Correction, Subject, Target, Upper, Zero};
use crate::stats::bins::{Bin, sum_bins};
use crate::stats::chi2::{pearson_pooled, sparse};
use crate::stats::grid::Grid;
use crate::stats::limit::{Amount, Limit};
use crate::stats::psi::{CHANCE, Zero as ZeroRule, contributions, expected_null, method_name, null_quantile, psi};
use crate::stats::ratio::Ratio;
use crate::stats::{auc, ks, multiplicity};
use crate::window::layout::{Block, Layout};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;
/// At most so many categories stand in a result's bins; the rest are summed.
const SHOWN_CATEGORIES: usize = 50;
/// At most so many unseen categories are named.
const SHOWN_UNSEEN: usize = 5;

/// A PSI limit below the 99.9% quantile of PSI without drift.
const WITHIN_CHANCE: &str = "the limit is within chance at this n";

/// Reads a window's distributions.
pub(super) struct Reader<'w, 'a> {
    pub window: &'w Window<'a>,
    pub baseline: &'w Baseline,
    pub layout: &'w Layout,
}

/// One target's counts in the window.
struct Counts<'c> {
    cells: &'c [u64],
    n: u64,
    missing: u64,
    invalid: u64,
    reference_n: u64,
    reference_missing: u64,
}

impl Counts<'_> {
    /// Events of the window: the samples of rates of missing and invalid values. `n` counts only the values measured, of
    /// which a feature that is gone has none.
    fn events(&self) -> u64 {
        self.n + self.missing + self.invalid
    }
}

/// A p-value on the way to its status.
struct Tested {
    p: f64,
    /// What `min_effect` is compared with.
    effect: Amount,
    /// All categories are too rare to be told apart.
    blind: bool,
    evidence: Vec<(&'static str, Value)>,
}

impl Reader<'_, '_> {
    fn counts(&self, target: Target) -> Option<Counts<'_>> {
        let at = self.window.reads.targets.binary_search(&target).ok()?;
        let tally = &self.window.tally.counts;
        let of = |block: &Block| {
            let cells = block.slice(tally);
            let (missing, invalid) = block.absent(tally);
            (cells, cells.iter().sum::<u64>(), missing, invalid)
        };
        let mut found = of(self.layout.predictions.get(at)?);
        if found.1 + found.3 == 0
            && self.window.tally.features > 0
            && let Some(block) = self.layout.features.get(at).filter(|_| target != Target::Score)
        {
            found = of(block);
        }
        let (cells, n, missing, invalid) = found;
        let (reference_n, reference_missing) = match target {
            Target::Categorical(i) => self.baseline.categorical.get(i).map(|r| (r.count, r.missing))?,
            numeric => self.baseline.numeric(numeric).map(|r| (r.count, r.missing))?,
        };
        Some(Counts { cells, n, missing, invalid, reference_n, reference_missing })
    }

    fn name(&self, target: Target) -> String {
        self.window.policy.target_name(target).to_owned()
    }

    /// A result for a target without a reference (no score column in the snapshot).
    fn absent(&self, target: Target) -> Judged {
        Judged {
            evidence: vec![("n", 0.into())],
            ..Judged::insufficient(self.name(target), "the baseline has no such column")
        }
    }

    /// Reference and window counts by bin, and what the bins are.
    fn binned(&self, target: Target, bins: usize, cells: &[u64]) -> (Vec<u64>, Vec<u64>, Vec<Bin>) {
        match target {
            Target::Categorical(i) => {
                let mut reference = self.baseline.categorical.get(i).map(|r| r.counts.clone()).unwrap_or_default();
                reference.push(0);
                (reference, cells.to_vec(), Vec::new())
            }
            numeric => {
                let Some(reference) = self.baseline.numeric(numeric) else { return Default::default() };
                let bins = reference.bins.get(&bins).cloned().unwrap_or_default();
                (sum_bins(&bins, &reference.cells), sum_bins(&bins, cells), bins)
            }
        }
    }

    /// Turns a status into `insufficient` where the snapshot has too few values to compare with.
    fn against(&self, reference: u64, (status, reason): (Status, Option<String>)) -> (Status, Option<String>) {
        let least = self.window.policy.min_reference;
        let why = match reference {
            0 => "the snapshot has no value of it".to_owned(),
            _ if status == Status::Insufficient || reference >= least => return (status, reason),
            n => format!("reference_n {n} is below min_reference {least}"),
        };
        (Status::Insufficient, Some(why))
    }

    pub fn psi(&self, subject: &Subject<Upper>, bins: usize, zero: Zero) -> Judged {
        let Some(c) = self.counts(subject.target) else { return self.absent(subject.target) };
        let zero = match zero {
            Zero::Half => ZeroRule::Half,
            Zero::Floor(f) => ZeroRule::Floor(f),
        };
        let (reference, counted, edges) = self.binned(subject.target, bins, c.cells);
        let value = psi(&reference, &counted, zero);
        let judged = enough(c.n, self.window.policy.min_samples, value, |v| upper(v, subject.limit));
        let (status, reason) = self.against(c.reference_n, judged);
        let chance = null_quantile(c.n, c.reference_n, reference.len(), CHANCE);
        let reason = reason.or_else(|| psi_note(status, subject.limit, chance));
        let categorical = matches!(subject.target, Target::Categorical(_));
        let mut evidence = vec![
            ("limit", limit("lt", subject.limit.lt)),
            ("method", method_name((!categorical).then_some(bins), zero).into()),
            ("expected_null", number(expected_null(c.n, c.reference_n, reference.len()))),
        ];
        let sparse = sparse(&reference, &counted);
        evidence.extend((sparse > 0).then(|| ("sparse", sparse.into())));
        evidence.extend(tail(&c));
        let shown = (status != Status::Pass).then(|| self.shown(subject.target, &reference, &counted, &edges));
        if status != Status::Pass {
            evidence.extend(self.unseen(subject.target));
        }
        Judged { subject: self.name(subject.target), status, value, evidence, reason, bins: shown }
    }

    pub fn ks_p(&self, of: &[Subject<Limit>], correction: Correction, min_effect: Limit) -> Vec<Judged> {
        let least = self.window.policy.min_samples;
        let tested: Vec<_> = of.iter().map(|s| self.counts(s.target).map(|c| (self.test(s.target, &c), c))).collect();
        let counts =
            |t: &Tested, c: &Counts<'_>| c.n >= least && c.reference_n >= self.window.policy.min_reference && !t.blind;
        let measured: Vec<f64> =
            tested.iter().flatten().filter_map(|(t, c)| t.as_ref().filter(|t| counts(t, c)).map(|t| t.p)).collect();
        let mut adjusted = match correction {
            Correction::None => Vec::new(),
            Correction::Holm => multiplicity::holm(&measured),
            Correction::Bh => multiplicity::bh(&measured),
        }
        .into_iter();
        of.iter()
            .zip(tested)
            .map(|(subject, tested)| {
                let Some((test, c)) = tested else { return self.absent(subject.target) };
                let decisive = match (&test, correction) {
                    (Some(t), Correction::None) => Some((t.p, None)),
                    (Some(t), _) if counts(t, &c) => adjusted.next().map_or(Some((t.p, None)), |a| Some((a, Some(a)))),
                    (Some(t), _) => Some((t.p, None)),
                    (None, _) => None,
                };
                let matters = test.as_ref().is_some_and(|t| min_effect.order(t.effect).is_ge());
                let blocks = |p: f64| if matters { at_least(p, subject.limit) } else { Status::Pass };
                let (status, reason) = self.against(c.reference_n, enough(c.n, least, decisive.map(|d| d.0), blocks));
                let blind = test.as_ref().is_some_and(|t| t.blind) && status != Status::Insufficient;
                let (status, reason) = if blind {
                    (Status::Insufficient, Some("no category is expected 5 times at this n".to_owned()))
                } else {
                    (status, reason)
                };
                let value = test.as_ref().map(|t| t.p);
                let mut evidence = match test {
                    Some(t) => {
                        let mut evidence = t.evidence;
                        if let Some(slot) = evidence.iter_mut().find(|(k, _)| *k == "adjusted") {
                            slot.1 = number(decisive.and_then(|d| d.1));
                        }
                        evidence
                    }
                    None => vec![
                        ("ln_p", Value::Null),
                        ("adjusted", Value::Null),
                        ("d", Value::Null),
                        ("d_hi", Value::Null),
                        ("test", self.test_name(subject.target).into()),
                    ],
                };
                evidence.push(("limit", limit("gte", subject.limit)));
                evidence.extend(tail(&c));
                let bins = (status != Status::Pass).then(|| {
                    let (reference, counted, edges) = self.binned(subject.target, 10, c.cells);
                    self.shown(subject.target, &reference, &counted, &edges)
                });
                Judged { subject: self.name(subject.target), status, value, evidence, reason, bins }
            })
            .collect()
    }

    fn test_name(&self, target: Target) -> &'static str {
        match self.baseline.numeric(target) {
            Some(r) if !r.discrete => "ks",
            _ => "chi2",
        }
    }

    /// The test of one target: KS where the reference is continuous, else chi-square on its bins.
    fn test(&self, target: Target, c: &Counts<'_>) -> Option<Tested> {
        let test = self.test_name(target);
        if test == "ks" {
            let distance = ks::distance(&self.baseline.numeric(target)?.cells, c.cells)?;
            let (p, method) = ks::p_value(&distance);
            return Some(Tested {
                p: p.p,
                effect: distance.exact().map_or(Amount::Float(distance.d_lo), Amount::Exact),
                blind: false,
                evidence: vec![
                    ("ln_p", number(Some(p.ln_p))),
                    ("adjusted", Value::Null),
                    ("d", number(Some(distance.d_lo))),
                    ("d_hi", number(Some(distance.d_hi))),
                    ("test", test.into()),
                    ("method", method.into()),
                ],
            });
        }
        let (mut reference, mut counted, _) = self.binned(target, 10, c.cells);
        let scattered = self.tell_unseen_apart(target, &mut reference, &mut counted);
        let (found, pooled) = pearson_pooled(&reference, &counted, scattered)?;
        // Cramér's V of a 2 × K table: the effect that `min_effect` is compared with.
        let effect = (found.statistic / real(c.n + c.reference_n)).sqrt();
        let mut evidence = vec![
            ("ln_p", number(Some(found.p.ln_p))),
            ("adjusted", Value::Null),
            ("d", Value::Null),
            ("d_hi", Value::Null),
            ("test", test.into()),
            ("method", "pearson".into()),
            ("statistic", number(Some(found.statistic))),
            ("df", found.df.into()),
            ("cramers_v", number(Some(effect))),
        ];
        evidence.extend((pooled > 0).then(|| ("pooled", pooled.into())));
        Some(Tested { p: found.p.p, effect: effect.into(), blind: pooled > 0 && found.df == 0, evidence })
    }

    pub fn ks_lcb(&self, subject: &Subject<Limit>, subjects: usize, budget: f64, design_effect: f64) -> Judged {
        let Some(c) = self.counts(subject.target) else { return self.absent(subject.target) };
        let Some(reference) = self.baseline.numeric(subject.target) else {
            return Judged::insufficient(
                self.name(subject.target),
                "a category has no KS distance: leave it out of ks_lcb",
            );
        };
        let distance = ks::distance(&reference.cells, c.cells);
        let features = real(subjects as u64);
        #[allow(clippy::cast_precision_loss, reason = "a slide is far below 2^53 ms")]
        let evaluations = (DAY_MS / self.window.group.window.slide as f64).max(1.0);
        let bound = distance
            .as_ref()
            .map(|d| ks::lcb(d.d_lo, d.n, d.m, budget / (features * evaluations), budget / features, design_effect));
        let value = bound.as_ref().map(|b| b.lcb);
        let judged = enough(c.n, self.window.policy.min_samples, value, |v| at_most(v, subject.limit));
        let (status, reason) = self.against(c.reference_n, judged);
        let mut evidence = vec![
            ("d", number(distance.as_ref().map(|d| d.d_lo))),
            ("d_hi", number(distance.as_ref().map(|d| d.d_hi))),
            ("band_window", number(bound.as_ref().map(|b| b.window))),
            ("band_reference", number(bound.as_ref().map(|b| b.reference))),
            ("method", "dkw-massart".into()),
            ("limit", limit("lte", subject.limit)),
        ];
        evidence.extend((design_effect > 1.0).then(|| ("design_effect", number(Some(design_effect)))));
        evidence.extend(tail(&c));
        let bins = (status != Status::Pass).then(|| {
            let (reference, counted, edges) = self.binned(subject.target, 10, c.cells);
            self.shown(subject.target, &reference, &counted, &edges)
        });
        Judged { subject: self.name(subject.target), status, value, evidence, reason, bins }
    }

    pub fn missing_rate(&self, subject: &Subject<Limit>) -> Judged {
        let Some(c) = self.counts(subject.target) else { return self.absent(subject.target) };
        let reference_total = c.reference_n + c.reference_missing;
        let (rate, reference) =
            (Ratio::of_counts(c.missing, c.events()), Ratio::of_counts(c.reference_missing, reference_total));
        let increase = rate.zip(reference).and_then(|(now, then)| now.minus(then));
        let value = increase.map(Ratio::value);
        let judged = enough_events(c.events(), self.window.policy.min_samples, increase, |v| at_most(v, subject.limit));
        // The share of missing values in the snapshot is one of all its rows.
        let (status, reason) = self.against(reference_total, judged);
        let mut evidence =
            vec![("rate", number(rate.map(Ratio::value))), ("limit", limit("max_increase", subject.limit))];
        evidence.extend(tail(&c));
        evidence.push(("reference_value", number(reference.map(Ratio::value))));
        Judged { subject: self.name(subject.target), status, value, evidence, reason, bins: None }
    }

    pub fn invalid_rate(&self, subject: &Subject<Limit>) -> Judged {
        let Some(c) = self.counts(subject.target) else { return self.absent(subject.target) };
        let rate = Ratio::of_counts(c.invalid, c.events());
        let value = rate.map(Ratio::value);
        let (status, reason) =
            enough_events(c.events(), self.window.policy.min_samples, rate, |v| at_most(v, subject.limit));
        let mut evidence = vec![("limit", limit("lte", subject.limit))];
        evidence.extend(tail(&c));
        Judged { subject: self.name(subject.target), status, value, evidence, reason, bins: None }
    }

    pub fn auc(&self, gte: Limit) -> Judged {
        let counts = &self.window.tally.counts;
        let found = self.layout.auc.and_then(|[no, yes]| auc::auc(yes.slice(counts), no.slice(counts), Grid::is_atom));
        let n = self.layout.auc.map_or(0, |b| b.iter().map(|b| b.slice(counts).iter().sum::<u64>()).sum());
        let reference = self.baseline.score_by_label.as_ref().and_then(|[no, yes]| auc::auc(yes, no, Grid::is_atom));
        let value = found.as_ref().map(|a| a.mid);
        let exact = found.as_ref().map(|a| a.exact);
        let (status, reason) = enough(n, self.window.policy.min_samples, exact, |v| at_least(v, gte));
        let evidence = vec![
            ("lower", number(found.as_ref().map(|a| a.lo))),
            ("upper", number(found.as_ref().map(|a| a.hi))),
            ("limit", limit("gte", gte)),
            ("n", n.into()),
            ("reference_value", number(reference.map(|a| a.mid))),
        ];
        Judged { subject: "score".to_owned(), status, value, evidence, reason, bins: None }
    }

    /// The two distributions beside each other.
    fn shown(&self, target: Target, reference: &[u64], counted: &[u64], edges: &[Bin]) -> Value {
        if let Target::Categorical(i) = target {
            let names = self.baseline.categorical.get(i).map_or(&[][..], |r| &r.names);
            return categories(names, reference, counted);
        }
        let bin = |(bin, (r, w)): (&Bin, (&u64, &u64))| {
            let edge = number(bin.le);
            if bin.atom {
                json!({"eq": edge, "reference": r, "window": w})
            } else {
                json!({"le": edge, "reference": r, "window": w})
            }
        };
        edges.iter().zip(reference.iter().zip(counted)).map(bin).collect()
    }

    /// Puts each unseen category in place of the one bin they share: together they are in no row of the snapshot by
    /// construction, and where categories are many and rare some are unseen in any window. Returns how many values stay where
    /// they cannot be told apart.
    fn tell_unseen_apart(&self, target: Target, reference: &mut Vec<u64>, counted: &mut Vec<u64>) -> u64 {
        let at = self.window.reads.targets.binary_search(&target).ok().and_then(|at| u32::try_from(at).ok());
        let (Target::Categorical(_), Some(at)) = (target, at) else { return 0 };
        let (Some(unseen), Some(_)) = (counted.pop(), reference.pop()) else { return 0 };
        let of_target = || self.window.tally.unseen.iter().filter(|((t, _), _)| *t == at);
        let mut each: Vec<u64> = of_target().map(|(_, n)| *n).collect();
        // With too many of them, which have a code of their own depends on which came first.
        if each.iter().sum::<u64>() != unseen || of_target().any(|((_, code), _)| *code >= code::SPECIAL) {
            return unseen;
        }
        each.sort_unstable();
        reference.extend(each.iter().map(|_| 0));
        counted.append(&mut each);
        0
    }

    /// The most frequent unseen categories.
    fn unseen(&self, target: Target) -> Option<(&'static str, Value)> {
        let Target::Categorical(feature) = target else { return None };
        let at = u32::try_from(self.window.reads.targets.binary_search(&target).ok()?).ok()?;
        let named = self.window.tally.unseen.iter().filter(|((t, _), _)| *t == at);
        let mut named: Vec<(u64, &str)> =
            named.filter_map(|((_, c), n)| Some((*n, self.window.names.category(feature, *c)?))).collect();
        if named.is_empty() {
            return None;
        }
        named.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let list: Vec<Value> =
            named.iter().take(SHOWN_UNSEEN).map(|(n, name)| json!({"category": name, "window": n})).collect();
        Some(("unseen", list.into()))
    }
}

/// Why PSI warns, and whether its limit lies where PSI comes without any drift.
fn psi_note(status: Status, limit: Upper, chance: Option<f64>) -> Option<String> {
    let within = |limit: Limit| chance.is_some_and(|chance| limit.value() < chance);
    let warns = warned(status, limit);
    match (warns, within(limit.lt)) {
        (None, false) => None,
        (None, true) => Some(WITHIN_CHANCE.to_owned()),
        (Some(warns), true) => Some(format!("{warns}; {WITHIN_CHANCE}")),
        (Some(warns), false) if limit.warn.is_some_and(within) => {
            Some(format!("{warns}, which is within chance at this n"))
        }
        (Some(warns), false) => Some(warns),
    }
}

/// What every distribution result ends with.
fn tail(c: &Counts<'_>) -> [(&'static str, Value); 4] {
    [
        ("n", c.n.into()),
        ("missing", c.missing.into()),
        ("invalid", c.invalid.into()),
        ("reference_n", c.reference_n.into()),
    ]
}

/// Categories by their part in PSI, the largest first, the others summed; the unseen ones are `null`.
fn categories(names: &[String], reference: &[u64], counted: &[u64]) -> Value {
    let parts = contributions(reference, counted, ZeroRule::Half);
    let mut order: Vec<usize> = (0..reference.len()).collect();
    let part = |i: &usize| parts.get(*i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| part(b).total_cmp(&part(a)).then(a.cmp(b)));
    let count = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0);
    let (shown, rest) = order.split_at(order.len().min(SHOWN_CATEGORIES));
    let mut out: Vec<Value> = shown
        .iter()
        .map(|&i| json!({"category": names.get(i), "reference": count(reference, i), "window": count(counted, i)}))
        .collect();
    if !rest.is_empty() {
        let sum = |counts: &[u64]| rest.iter().map(|&i| count(counts, i)).sum::<u64>();
        out.push(json!({"others": rest.len(), "reference": sum(reference), "window": sum(counted)}));
    }
    out.into()
}
