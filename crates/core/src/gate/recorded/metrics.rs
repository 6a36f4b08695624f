//! The metrics of a run and what the policy's rules make of them.
//!
//! A single number is judged by every rule of its metric, at the tightest limit among the rule's subjects; an object is
//! judged subject by subject, and what the rule asks for and the object lacks is inconclusive. Numbers mean what verdicts
//! mean by them: a `missing_rate` is its increase. A p-value is taken as it is, without a correction or an effect size.

use std::cell::RefCell;

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};

use super::run::{RESERVED, RunError, gate, object};
use crate::codec::decimal;
use crate::codec::time::utc;
use crate::policy::{Bound, Group, Mute, Policy, Rule, RuleKind, Side};
use crate::promotion::evidence::KINDS;
use crate::promotion::types::{Finding, GateOutcome};
use crate::rule;
use crate::rule::definition::{Subjects, Takes, Values};
use crate::stats::limit::Limit;

/// A number of the run; rates are fractions.
#[derive(Clone, Debug)]
struct Amount {
    float: f64,
    /// What its text says, `None` beyond 28 digits.
    decimal: Option<Decimal>,
    /// The run says its unit.
    has_unit: bool,
}

impl Amount {
    /// `None` for what is not finite; `percent` is the run's unit, if it says one.
    fn read(number: &Number, percent: Option<bool>) -> Option<Self> {
        let float = number.as_f64().filter(|x| x.is_finite())?;
        let amount = Self { float, decimal: decimal::of(float), has_unit: percent.is_some() };
        Some(if percent == Some(true) { amount.hundredth() } else { amount })
    }

    fn hundredth(&self) -> Self {
        let decimal = self.decimal.and_then(|x| x.checked_div(Decimal::ONE_HUNDRED));
        Self { float: self.float / 100.0, decimal, has_unit: self.has_unit }
    }

    fn passes(&self, side: Side, limit: Limit) -> bool {
        side.passes(match self.decimal {
            Some(value) => value.cmp(&limit.decimal()),
            None => limit.order(self.float),
        })
    }
}

impl From<Limit> for Amount {
    fn from(limit: Limit) -> Self {
        Self { float: limit.value(), decimal: Some(limit.decimal()), has_unit: true }
    }
}

/// A metric where it stands in the run.
#[derive(Clone, Debug)]
struct Metric {
    /// E.g. `drift.psi`.
    at: String,
    name: String,
    /// One number without a subject, or one a subject.
    values: Vec<(Option<String>, Amount)>,
}

/// Every metric of a run.
#[derive(Debug)]
pub struct Metrics {
    all: Vec<Metric>,
    /// Places that some rule has judged.
    judged: RefCell<Vec<String>>,
}

/// Reads everything that is a number or an object of numbers and has a metric's place.
pub fn read(run: &Map<String, Value>, policy: &Policy) -> Result<Metrics, RunError> {
    let reader = MetricReader { policy, units: units(run)? };
    let mut all = Vec::new();
    for (key, value) in
        run.iter().filter(|(key, _)| !RESERVED.contains(&key.as_str()) && !KINDS.contains(&key.as_str()))
    {
        match value {
            Value::Object(section) if !reader.is_metric(key) => {
                for (name, value) in section {
                    // A record's checks hold the offline metrics too.
                    if key != "checks" || name != "auc" {
                        all.extend(reader.metric(format!("{key}.{name}"), name, value)?);
                    }
                }
            }
            value => all.extend(reader.metric(key.clone(), key, value)?),
        }
    }
    Ok(Metrics { all, judged: RefCell::default() })
}

/// Which metrics the run gives a unit, and whether that is percent.
fn units(run: &Map<String, Value>) -> Result<Vec<(String, bool)>, RunError> {
    let mut units = Vec::new();
    for (name, unit) in object(run, "units")?.into_iter().flatten() {
        let is_latency = name.starts_with("latency");
        let percent = match unit.as_str() {
            Some("percent" | "%") if !is_latency => true,
            Some("fraction") if !is_latency => false,
            Some("ms" | "milliseconds") if is_latency => continue,
            _ => {
                let expected = if is_latency { "\"ms\"" } else { "\"percent\" or \"fraction\"" };
                return Err(RunError::value(format!("units.{name}"), expected, unit));
            }
        };
        if name == "rates" {
            let rates = rule::all().filter(|definition| definition.is_rate());
            units.extend(rates.map(|definition| (definition.name.to_owned(), percent)));
        } else {
            units.push((canonical(name).to_owned(), percent));
        }
    }
    Ok(units)
}

/// The metric that a promotion record gives another name.
fn canonical(name: &str) -> &str {
    rule::all().find(|definition| definition.recorded_as == Some(name)).map_or(name, |definition| definition.name)
}

/// The name under which a run holds what a rule reads.
fn key<'p>(policy: &'p Policy, rule: &'p Rule) -> &'p str {
    match rule.kind.measured() {
        Some(of) => policy.measured.get(of).map_or("", String::as_str),
        None => rule.kind.metric(),
    }
}

struct MetricReader<'p> {
    policy: &'p Policy,
    units: Vec<(String, bool)>,
}

impl MetricReader<'_> {
    fn is_metric(&self, name: &str) -> bool {
        self.policy.rules().any(|rule| key(self.policy, rule) == canonical(name) || rule.id == name)
    }

    fn metric(&self, at: String, name: &str, value: &Value) -> Result<Option<Metric>, RunError> {
        let metric = canonical(name).to_owned();
        let wanted = |value| RunError::value(at.as_str(), "a number, or an object of numbers by subject", value);
        let values = match value {
            Value::Number(number) => vec![(None, self.amount(&at, &metric, number)?)],
            Value::Object(map) if map.values().all(|v| v.is_number() || v.is_null()) => {
                let mut values = Vec::new();
                for (subject, value) in map {
                    if let Value::Number(number) = value {
                        values.push((Some(subject.clone()), self.amount(&format!("{at}.{subject}"), &metric, number)?));
                    }
                }
                values
            }
            Value::Null => return Ok(None),
            other if self.is_metric(name) => return Err(wanted(other)),
            _ => return Ok(None),
        };
        Ok(Some(Metric { at, name: metric, values }))
    }

    fn amount(&self, at: &str, metric: &str, number: &Number) -> Result<Amount, RunError> {
        let value = Value::Number(number.clone());
        let percent = self.units.iter().find(|(name, _)| name == metric).map(|(_, percent)| *percent);
        let amount = Amount::read(number, percent).ok_or_else(|| RunError::value(at, "a finite number", &value))?;
        // By the metric, also where it stands under a rule's id.
        let rule = self.policy.rules().find(|rule| key(self.policy, rule) == metric || rule.id == metric);
        let Some((least, most, what)) = rule.and_then(|rule| rule.kind.definition().values.range()) else {
            return Ok(amount);
        };
        if (least..=most).contains(&amount.float) {
            return Ok(amount);
        }
        let hint = if metric == "error_rate" { ", or `units: {\"error_rate\": \"percent\"}`" } else { "" };
        Err(RunError::value(at, format!("{what}{hint}"), &value))
    }
}

/// A rule's limit, the tightest first where its subjects have their own.
fn limits(policy: &Policy, kind: &RuleKind) -> (Bound, Vec<(String, Bound)>) {
    let bounds = kind.bounds();
    let tighter = |one: Bound, other: Bound| {
        let pick = |a: Limit, b: Limit| if matches!(one.side, Side::Lt | Side::Lte) { a.min(b) } else { a.max(b) };
        let warn = match (one.warn, other.warn) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        Bound { side: one.side, limit: pick(one.limit, other.limit), warn }
    };
    let none = Bound { side: Side::Lte, limit: Limit::ZERO, warn: None };
    let tightest = bounds.iter().copied().reduce(tighter).unwrap_or(none);
    // Latency and errors have no subject that a run would name.
    let named = match kind.definition().subjects {
        Subjects::Only(_) | Subjects::Measured => Vec::new(),
        _ => policy.subjects(kind).into_iter().zip(bounds).collect(),
    };
    (tightest, named)
}

/// How bad an outcome is.
fn weight(outcome: GateOutcome) -> u8 {
    match outcome {
        GateOutcome::Pass => 0,
        GateOutcome::Warn => 1,
        _ => 2,
    }
}

/// The lower limit of a subject; of several ones' the tightest, for a value that names none.
fn floor(kind: &RuleKind, subjects: &[String], subject: Option<&str>) -> Option<Bound> {
    match subjects.iter().position(|name| Some(name.as_str()) == subject) {
        Some(at) => kind.floor(at),
        None => (0..subjects.len()).filter_map(|at| kind.floor(at)).max_by_key(|floor| floor.limit),
    }
}

impl Metrics {
    /// Judges a rule by the run: a finding for each value, or one that says what the run lacks.
    pub fn judge(&self, policy: &Policy, group: &Group, rule: &Rule, now_ms: i64) -> Vec<Finding> {
        let name = format!("{}/{}", group.name, rule.id);
        let metric = key(policy, rule);
        let (tightest, named) = limits(policy, &rule.kind);
        // What stands under the rule's own id is its alone.
        let by_id = self.all.iter().any(|m| m.name == rule.id);
        let wanted = if by_id { rule.id.as_str() } else { metric };
        let found: Vec<&Metric> = self.all.iter().filter(|m| m.name == wanted && !m.values.is_empty()).collect();
        if found.is_empty() {
            return vec![gate(name.clone(), GateOutcome::Inconclusive, format!("{name}: the run has no {metric}"))];
        }
        if let Some(unclear) = unclear(policy, rule, by_id) {
            return vec![gate(name.clone(), GateOutcome::Inconclusive, format!("{name}: {unclear}"))];
        }
        self.judged.borrow_mut().extend(found.iter().map(|m| m.at.clone()));
        let of_metric = policy.rules().filter(|r| key(policy, r) == metric);
        let universe: Vec<String> =
            of_metric.flat_map(|r| limits(policy, &r.kind).1).map(|(subject, _)| subject).collect();
        // A number without a subject is about the only one that the rule has.
        let subjects = policy.subjects(&rule.kind);
        let only = if let [only] = subjects.as_slice() { Some(only.as_str()) } else { None };
        let judge = |value: &Amount, subject: Option<&str>, bound: Bound| {
            let upper = one(&name, &rule.kind, subject, value, bound);
            let lower =
                floor(&rule.kind, &subjects, subject).map(|floor| one(&name, &rule.kind, subject, value, floor));
            // Of two limits the one that the value lies worse to.
            let (outcome, detail) = lower.filter(|lower| weight(lower.0) > weight(upper.0)).unwrap_or(upper);
            let mute =
                policy.mutes.iter().find(|m| outcome != GateOutcome::Pass && mutes(m, &name, subject.or(only), now_ms));
            match mute {
                Some(m) => {
                    let detail = format!("{detail} (muted until {}: {})", utc(m.until), m.reason);
                    gate(name.clone(), GateOutcome::Warn, detail)
                }
                None => gate(name.clone(), outcome, detail),
            }
        };
        let mut out = Vec::new();
        for metric in found {
            let subject_of = |subject: &str| metric.values.iter().find(|(s, _)| s.as_deref() == Some(subject));
            let known = metric.values.iter().filter_map(|(s, _)| s.as_ref()).any(|s| universe.contains(s));
            if !known {
                out.extend(metric.values.iter().map(|(subject, value)| judge(value, subject.as_deref(), tightest)));
                continue;
            }
            let mut missing = Vec::new();
            for (subject, bound) in &named {
                match subject_of(subject) {
                    Some((_, value)) => out.push(judge(value, Some(subject), *bound)),
                    None => missing.push(subject.as_str()),
                }
            }
            if !missing.is_empty() {
                let detail = format!("{name}: {} of the run lacks {}", metric.at, missing.join(", "));
                out.push(gate(name.clone(), GateOutcome::Inconclusive, detail));
            }
        }
        out
    }

    /// What no rule has judged, a note each.
    pub fn unread(&self) -> Vec<String> {
        let judged = self.judged.borrow();
        let unread = self.all.iter().filter(|m| !judged.contains(&m.at));
        unread.map(|m| format!("{}: no rule that counts here judges it", m.at)).collect()
    }
}

/// Why a number under this name may not be what the rule limits; under an id of its own it is.
fn unclear(policy: &Policy, rule: &Rule, by_id: bool) -> Option<String> {
    let metric = rule.kind.metric();
    if by_id && rule.id != metric {
        return None;
    }
    if rule.kind.is_change() {
        return Some(format!(
            "the rule limits the change of {metric} against training, and the run's {metric} may be the metric itself: give the rule an `id`, and the change under it"
        ));
    }
    if rule.kind.is_by_chance() {
        return Some(format!(
            "the limit of {metric} follows from the counts of a window, and the run has none: write a rule with `lt` for it"
        ));
    }
    // `gap`, `ratio`: which metric of segments a number is of stands in the rule alone.
    let names_metric = rule.kind.definition().options.iter().any(|option| matches!(option.takes, Takes::OneOf(_)));
    let several = policy.rules().filter(|other| other.kind.metric() == metric).count() > 1;
    (names_metric && several).then(|| {
        format!(
            "several rules are a {metric}, each of its own metric: give each an `id`, and the run's numbers under it"
        )
    })
}

fn mutes(mute: &Mute, rule: &str, subject: Option<&str>, now_ms: i64) -> bool {
    mute.until >= now_ms
        && mute.rule.as_deref().is_none_or(|name| name == rule)
        && mute.of.as_deref().is_none_or(|name| subject == Some(name))
}

/// A value against its limit, in a sentence: `slo/p95 95 ms >= 80 ms`.
fn one(name: &str, kind: &RuleKind, subject: Option<&str>, value: &Amount, bound: Bound) -> (GateOutcome, String) {
    let shown = Shown::of(kind);
    let passes = value.passes(bound.side, bound.limit);
    let sign = match (bound.side, passes) {
        (Side::Lt, true) | (Side::Gte, false) => "<",
        (Side::Lte, true) | (Side::Gt, false) => "<=",
        (Side::Gt, true) | (Side::Lte, false) => ">",
        (Side::Gte, true) | (Side::Lt, false) => ">=",
    };
    let subject = subject.map_or_else(String::new, |subject| format!(" {subject}"));
    let mut detail = format!("{name}{subject} {} {sign} {}", shown.amount(value), shown.limit(bound.limit));
    if !passes {
        // A percentage where a fraction is meant is the likeliest of mistakes.
        let would_pass = || value.hundredth().passes(bound.side, bound.limit);
        if kind.definition().values == Values::Percent && !value.has_unit && would_pass() {
            detail.push_str("; if the run means percent, it says so in `units`");
        }
        return (GateOutcome::Block, detail);
    }
    match bound.warn.filter(|warn| !value.passes(bound.side, *warn)) {
        Some(warn) => {
            let side = if matches!(bound.side, Side::Lt | Side::Lte) { "above" } else { "below" };
            (GateOutcome::Warn, format!("{detail}, at or {side} warn {}", shown.limit(warn)))
        }
        None => (GateOutcome::Pass, detail),
    }
}

/// How a metric's numbers are shown.
#[derive(Clone, Copy)]
enum Shown {
    Plain,
    Milliseconds,
    Percent,
}

impl Shown {
    fn of(kind: &RuleKind) -> Self {
        match kind.definition().values {
            Values::Milliseconds => Self::Milliseconds,
            Values::Percent => Self::Percent,
            _ => Self::Plain,
        }
    }

    fn amount(self, value: &Amount) -> String {
        let percent = || value.decimal.and_then(|x| x.checked_mul(Decimal::ONE_HUNDRED));
        match (self, value.decimal) {
            (Self::Plain, Some(x)) => x.normalize().to_string(),
            (Self::Plain, None) => format!("{:e}", value.float),
            (Self::Milliseconds, Some(x)) => format!("{} ms", x.normalize()),
            (Self::Milliseconds, None) => format!("{:e} ms", value.float),
            (Self::Percent, _) => {
                percent().map_or_else(|| format!("{:e}%", value.float * 100.0), |x| format!("{}%", x.normalize()))
            }
        }
    }

    fn limit(self, limit: Limit) -> String {
        self.amount(&limit.into())
    }
}
