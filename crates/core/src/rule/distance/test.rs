//! `ks_p`: the test of each subject, corrected for their number.

use serde_json::Value;

use super::super::binning::DECILES;
use super::super::counts::{Distribution, TargetReference, WindowCounts};
use super::super::limits::Limits;
use super::super::result::{Judged, enough, real};
use super::super::shown;
use super::super::types::{Correction, Status, Subject, Target};
use super::KsP;
use crate::codec::number::number;
use crate::stats::chi2::pearson_pooled;
use crate::stats::limit::Amount;
use crate::stats::{ks, multiplicity};

/// A p-value on the way to its status.
struct Tested {
    p: f64,
    /// What `min_effect` is compared with.
    effect: Amount,
    /// All categories are too rare to be told apart.
    blind: bool,
    evidence: Vec<(&'static str, Value)>,
}

impl KsP {
    fn least(&self, window: &dyn WindowCounts) -> u64 {
        self.min_samples.unwrap_or_else(|| window.min_samples())
    }

    pub(super) fn judge_all(&self, window: &dyn WindowCounts) -> Vec<Judged> {
        let tested: Vec<_> =
            self.of.iter().map(|s| window.distribution(s.target).map(|c| (test(window, s.target, &c), c))).collect();
        let counts = |t: &Tested, c: &Distribution<'_>| {
            c.n >= self.least(window) && c.reference_n >= window.min_reference() && !t.blind
        };
        let measured: Vec<f64> =
            tested.iter().flatten().filter_map(|(t, c)| t.as_ref().filter(|t| counts(t, c)).map(|t| t.p)).collect();
        let corrected = match self.correction {
            Correction::None => Vec::new(),
            Correction::Bonferroni => multiplicity::bonferroni(&measured),
            Correction::Holm => multiplicity::holm(&measured),
            Correction::Bh => multiplicity::bh(&measured),
        };
        // Bonferroni's method over segments, of which each has a correction for its subjects.
        let segments = real(window.comparisons());
        let mut adjusted = corrected.into_iter().map(|p| (p * segments).min(1.0));
        let judge = |(subject, tested): (&Subject<Limits>, Option<(Option<Tested>, Distribution<'_>)>)| {
            let Some((test, c)) = tested else { return shown::absent(window, subject.target) };
            let decisive = match (&test, self.correction) {
                (Some(t), Correction::None) => Some((t.p, None)),
                (Some(t), _) if counts(t, &c) => adjusted.next().map_or(Some((t.p, None)), |a| Some((a, Some(a)))),
                (Some(t), _) => Some((t.p, None)),
                (None, _) => None,
            };
            self.judge_one(window, subject, test, &c, decisive)
        };
        self.of.iter().zip(tested).map(judge).collect()
    }

    /// `decisive` is the p-value that decides, and the adjusted one where there is one.
    fn judge_one(
        &self,
        window: &dyn WindowCounts,
        subject: &Subject<Limits>,
        test: Option<Tested>,
        c: &Distribution<'_>,
        decisive: Option<(f64, Option<f64>)>,
    ) -> Judged {
        let matters = test.as_ref().is_some_and(|t| self.min_effect.order(t.effect).is_ge());
        let blocks = |p: f64| if matters { subject.limit.status(p) } else { (Status::Pass, None) };
        let judged = enough(c.n, self.least(window), decisive.map(|d| d.0), blocks);
        let (status, reason) = shown::against(window, c.reference_n, judged);
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
                ("test", test_name(c).into()),
            ],
        };
        evidence.push(("limit", subject.limit.evidence()));
        evidence.extend(shown::tail(c));
        let bins =
            (status != Status::Pass).then(|| shown::beside(c, &window.binned(subject.target, &DECILES, c.cells)));
        Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins }
    }
}

fn test_name(c: &Distribution<'_>) -> &'static str {
    match c.reference {
        TargetReference::Numeric { discrete: false, .. } => "ks",
        _ => "chi2",
    }
}

/// The test of one target: KS where the reference is continuous, else chi-square on its bins.
fn test(window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Option<Tested> {
    let test = test_name(c);
    if matches!(c.reference, TargetReference::Numeric { discrete: false, .. }) {
        let distance = window.ks(target, c)?;
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
    let binned = window.binned(target, &DECILES, c.cells);
    let (mut reference, mut counted) = (binned.reference, binned.window);
    let scattered = tell_unseen_apart(window, target, &mut reference, &mut counted);
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

/// Puts each unseen category in place of the one bin they share: together they are in no row of the snapshot by
/// construction, and where categories are many and rare some are unseen in any window. Returns how many values stay where
/// they cannot be told apart.
fn tell_unseen_apart(
    window: &dyn WindowCounts,
    target: Target,
    reference: &mut Vec<u64>,
    counted: &mut Vec<u64>,
) -> u64 {
    let Target::Categorical(_) = target else { return 0 };
    let (Some(unseen), Some(_)) = (counted.pop(), reference.pop()) else { return 0 };
    // With too many of them, which have a code of their own depends on which came first.
    let each = window.unseen(target).filter(|each| each.iter().sum::<u64>() == unseen);
    let Some(mut each) = each else { return unseen };
    each.sort_unstable();
    reference.extend(each.iter().map(|_| 0));
    counted.append(&mut each);
    0
}
