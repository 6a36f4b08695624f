//! Rules on business outcomes: a KPI against the champion, or what stands in for it.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::comparison::{Comparison, Decision, Share, Versus as Of};
use super::counts::{KpiCounts, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::forms;
use super::limits::Change;
use super::options::tolerance;
use super::result::{Certain, Judged, bounded, enough, limit};
use super::types::{Bound, Side, Status, Tolerance};
use super::versus::Versus;
use crate::codec::number::number;
use crate::stats::bounds;
use crate::yaml::Map;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 1] = [&KPI_DROP];

static KPI_DROP: Definition = Definition {
    name: "kpi_drop",
    documentation: "How far the rate of a KPI (labels that carry its name) lies below that of the version in prod in the same window. The \
        version in prod is compared with the one before it, or with its own past. It blocks when even the upper bound of the difference \
        lies below the tolerated drop. Without `for` that bound holds at all windows together; with `for` it is the window's.",
    guards: Guard::Outcome,
    counts: Counts::Pairs,
    subjects: Subjects::Kpi,
    baseline: Reference::Version,
    minimum: Minimum::Samples,
    limit: LimitForm::Drop,
    bounds: Bounds::Rate,
    example: "{relative: 0.01}",
    values: Values::Any,
    options: &[VERSUS],
    recorded_as: None,
    parse: |definition, map, names| {
        let of = map.require("of", "ctr").and_then(|item| item.name("a KPI's name"));
        let max = map.require("max", definition.example).and_then(|item| tolerance(&item));
        let versus = kpi_versus(map);
        let (of, max, versus) = (of?, max?, versus?);
        Some(RuleKind::new(KpiDrop { of: names.kpi_of(of), max, versus }))
    },
};
const VERSUS: Opt = Opt {
    key: "versus",
    takes: Takes::KpiVersus,
    default: "champion",
    documentation: "What the KPI is compared with first: the version in prod in the same window, or always the version before. An earlier time \
        (`previous`, `{rolling: n}`, `{season: 7d, back: n}`, `{from: …, to: …}`) is one of the version itself, by the window's interval alone.",
};

/// What is written for `versus`: words of this rule's own, or an earlier time.
fn kpi_versus(map: &Map) -> Option<KpiVersus> {
    let Some(item) = map.get(VERSUS.key) else { return Some(KpiVersus::Champion) };
    if item.is_map() {
        return forms::versus(&item).map(KpiVersus::Time);
    }
    let words = [
        ("champion", KpiVersus::Champion),
        ("predecessor", KpiVersus::Predecessor),
        ("previous", KpiVersus::Time(Versus::Previous)),
    ];
    item.choice(&words)
}

/// What a KPI is compared with first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KpiVersus {
    /// The version in prod in the same window; where there is none beside a version in prod, as `Predecessor`.
    Champion,
    /// The version that was in prod before this one; where there is none, the version's own past.
    Predecessor,
    /// An earlier time of the version itself.
    Time(Versus),
}

/// `of` is an index into the policy's KPIs.
#[derive(Clone, Debug, PartialEq)]
pub struct KpiDrop {
    pub of: usize,
    pub max: Tolerance,
    pub versus: KpiVersus,
}

impl KpiDrop {
    /// The form of the limit, and how much may be lost.
    fn limit(&self) -> (&'static str, crate::stats::limit::Limit) {
        match self.max {
            Tolerance::Absolute(x) => ("absolute", x),
            Tolerance::Relative(x) => ("relative", x),
        }
    }

    /// How far a rate lies below its reference, in the limit's terms.
    fn dropped(&self, own: Share, reference: Share) -> Option<f64> {
        own.rate().zip(reference.rate()).and_then(|(own, reference)| match self.max {
            Tolerance::Absolute(_) => Some(reference - own),
            Tolerance::Relative(_) => (reference > 0.0).then(|| (reference - own) / reference),
        })
    }
}

impl KpiDrop {
    /// The version, or the time, that the KPI is compared with.
    fn beside<'c>(&self, kpi: &KpiCounts<'c>) -> Option<&'c Comparison> {
        let compared = kpi.compared?;
        match self.versus {
            KpiVersus::Champion => compared.beside.as_ref().or(compared.before.as_ref()),
            KpiVersus::Predecessor | KpiVersus::Time(_) => compared.before.as_ref(),
        }
    }

    /// Against an earlier time: Newcombe's interval of the window, since an earlier time is looked at once.
    fn judge_time(&self, window: &dyn WindowCounts, own: Share, subject: String, versus: Versus) -> Judged {
        let reference = window.reference_kpi(self.of).unwrap_or_default();
        let (name, tolerance) = self.limit();
        let compared =
            Comparison { versus: Of::Itself, version: String::new(), reference, look: 1, totals: Vec::new() };
        let decision = compared.decide(own, self.max, true);
        let blocks = |_| (if decision.blocks() { Status::Block } else { Status::Pass }, None);
        let drop = self.dropped(own, reference);
        let least = window.min_samples();
        let (status, reason) = match enough(own.n, least, own.rate(), |_| (Status::Pass, None)) {
            (Status::Insufficient, reason) => (Status::Insufficient, reason),
            _ if reference.n < least => {
                let why = format!("reference_n {} of {} is below min_samples {least}", reference.n, versus.name());
                (Status::Insufficient, Some(why))
            }
            _ => enough(own.n, least, drop, blocks),
        };
        let evidence = vec![
            ("rate", number(own.rate())),
            ("limit", limit(name, tolerance)),
            ("n", own.n.into()),
            ("reference_value", number(reference.rate())),
            ("reference_n", reference.n.into()),
            ("lower", number(decision.bounds.map(|d| d.0))),
            ("upper", number(decision.bounds.map(|d| d.1))),
            ("method", "newcombe".into()),
        ];
        Judged { subject, status, value: drop, evidence, reason, bins: None }
    }
}

impl Check for KpiDrop {
    fn definition(&self) -> &'static Definition {
        &KPI_DROP
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Kpi(self.of)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![bounded(Side::Lte, self.limit().1)]
    }

    fn judge(&self, window: &dyn WindowCounts, lasts: bool) -> Vec<Judged> {
        let kpi = window.kpi(self.of);
        let (own, subject) = (kpi.own, kpi.name.to_owned());
        let (name, tolerance) = self.limit();
        let mut evidence = vec![("rate", number(own.rate())), ("limit", limit(name, tolerance)), ("n", own.n.into())];
        if let KpiVersus::Time(versus) = self.versus {
            return vec![self.judge_time(window, own, subject, versus)];
        }
        let Some(compared) = self.beside(&kpi) else {
            let reason =
                "nothing to compare with in this window: no other version in prod, and no earlier time in prod";
            return vec![Judged { evidence, ..Judged::insufficient(subject, reason) }];
        };
        let decision = compared.decide(own, self.max, lasts);
        let reference = compared.reference;
        // The value is that of what decides.
        let by_sums = decision.total.filter(|_| decision.by_total && !decision.by_window);
        let drop = match by_sums {
            Some(total) => self.dropped(total.own, total.reference),
            None => self.dropped(own, reference),
        };
        let blocks = |_| (if decision.blocks() { Status::Block } else { Status::Pass }, None);
        let (status, reason) = enough(own.n.min(reference.n), window.min_samples(), drop, blocks);
        let reason = reason.or_else(|| by_sums.map(|total| format!("by the sums {}", total.of)));
        evidence.extend(against(compared, &decision, lasts));
        vec![Judged { subject, status, value: drop, evidence, reason, bins: None }]
    }

    /// Of what is compared in the window, and of its sums.
    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(None);
        let kpi = window.kpi(self.of);
        let of = |own: Share, reference: Share, alpha: f64| {
            let bound = |share: Share| bounds::share((share.yes, share.n), effect, alpha / 2.0);
            let ends = Change::Drop.of_intervals(self.max, bound(own)?, bound(reference)?)?;
            Some(certain::of_drop(self.max, ends))
        };
        if matches!(self.versus, KpiVersus::Time(_)) {
            return vec![window.reference_kpi(self.of).and_then(|reference| of(kpi.own, reference, alpha))];
        }
        let Some(compared) = self.beside(&kpi) else { return vec![None] };
        let total = compared.decide(kpi.own, self.max, false).total;
        let each = [
            of(kpi.own, compared.reference, alpha / 2.0),
            total.and_then(|total| of(total.own, total.reference, alpha / 2.0)),
        ];
        vec![Certain::any(each.into_iter().flatten())]
    }

    fn versus(&self) -> Option<Versus> {
        if let KpiVersus::Time(versus) = self.versus { Some(versus) } else { None }
    }

    fn simulation(&self) -> Simulation {
        match self.versus {
            KpiVersus::Time(_) => Simulation::Unknown("it is not computed against an earlier time"),
            _ => Simulation::Kpi { max: self.max },
        }
    }

    fn breach(&self, subject: &str) -> String {
        let kpi = if subject.is_empty() { "the KPI" } else { subject };
        let drop = match self.max {
            Tolerance::Absolute(by) => format!("{by}"),
            Tolerance::Relative(by) => by.percent(),
        };
        match self.versus {
            KpiVersus::Time(versus) => format!("{kpi} down more than {drop} against {}", versus.name()),
            _ => format!("{kpi} down more than {drop} against the champion"),
        }
    }
}

/// What a KPI was compared with, and what came of it.
fn against(compared: &Comparison, decision: &Decision, lasts: bool) -> Vec<(&'static str, Value)> {
    let reference = compared.reference;
    let mut evidence = vec![
        ("versus", compared.versus.name().into()),
        ("champion", Value::from(compared.version.as_str())),
        ("champion_rate", number(reference.rate())),
        ("champion_n", reference.n.into()),
        ("lower", number(decision.bounds.map(|d| d.0))),
        ("upper", number(decision.bounds.map(|d| d.1))),
        ("method", if lasts { "newcombe" } else { "always-valid" }.into()),
    ];
    if let Some(total) = decision.total {
        evidence.extend([
            ("total_rate", number(total.own.rate())),
            ("total_n", total.own.n.into()),
            ("total_champion_rate", number(total.reference.rate())),
            ("total_champion_n", total.reference.n.into()),
            ("total_lower", number(total.bounds.map(|b| b.0))),
            ("total_upper", number(total.bounds.map(|b| b.1))),
        ]);
    }
    evidence
}
