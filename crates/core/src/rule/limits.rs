//! What a rule's value is compared with: one of `lt`, `lte`, `gt`, `gte`, `between`, or a change against the training snapshot
//! (`max_increase`, `max_drop`), and a `warn` inside of it. A value may be an interval, where the counts of a grid's cells leave
//! open where in a cell each value lies.

mod region;

use serde_json::{Value, json};

use super::definition::{Bounds, Definition, LimitForm, Opt, Takes};
use super::options::{ReadLimit, limit, tolerance};
use super::types::{Bound, Side, Status, Tolerance};
use crate::stats::limit::{Amount, Limit};
use crate::yaml::{Item, Map};
use region::Lies;
pub(super) use region::tolerated;

pub(super) use super::forms::VERSUS;
pub use region::{Change, Region};

/// `min_samples` of a rule that has its own.
pub(super) const MIN_SAMPLES: Opt = Opt {
    key: "min_samples",
    takes: Takes::Whole { least: 1, most: 1_000_000_000 },
    default: "",
    documentation: "The rule's own minimum of samples, in place of the policy's.",
};

/// The reason of a warning where part of an interval breaks the limit.
const UNDERRESOLVED: &str = "underresolved";

/// A rule's limit and the warning before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub region: Region,
    pub warn: Option<Region>,
}

impl From<Bound> for Limits {
    fn from(Bound { side, limit, warn }: Bound) -> Self {
        Self { region: Region::Side(side, limit), warn: warn.map(|warn| Region::Side(side, warn)) }
    }
}

impl Limits {
    /// The limit that a value has to lie below, if it is one.
    pub(super) fn upper(&self) -> Option<Limit> {
        if let Region::Side(Side::Lt | Side::Lte, limit) = self.region { Some(limit) } else { None }
    }

    /// The limit that a value has to lie above, if it is one.
    pub(super) fn lower(&self) -> Option<Limit> {
        if let Region::Side(Side::Gt | Side::Gte, limit) = self.region { Some(limit) } else { None }
    }

    /// The limits of fractions that were written as percentages.
    pub(super) fn of_percent(self) -> Self {
        let of = |region| match region {
            Region::Side(side, limit) => Region::Side(side, limit.of_percent()),
            Region::Between(low, high) => Region::Between(low.of_percent(), high.of_percent()),
            change @ (Region::Change(..) | Region::Sigmas(..)) => change,
        };
        Self { region: of(self.region), warn: self.warn.map(of) }
    }

    /// How a rule blocks, as a part of a sentence: `at 0.2 or above`.
    pub(super) fn breach(&self) -> String {
        match self.region {
            Region::Side(Side::Lt, limit) => format!("of {limit} or above"),
            Region::Side(Side::Lte, limit) => format!("above {limit}"),
            Region::Side(Side::Gt, limit) => format!("of {limit} or below"),
            Region::Side(Side::Gte, limit) => format!("below {limit}"),
            Region::Between(low, high) => format!("outside of [{low}, {high}]"),
            Region::Change(change, tolerance) => format!("that breaks {} {}", change.key(), tolerated(tolerance)),
            Region::Sigmas(change, limit) => format!("that breaks {} {limit} standard deviations", change.key()),
        }
    }

    /// What passes up to a limit.
    pub(super) fn at_most(limit: Limit) -> Self {
        Self { region: Region::Side(Side::Lte, limit), warn: None }
    }

    /// Reads exactly one limit, and a `warn` of its form inside of it.
    pub(super) fn read(definition: &'static Definition, map: &Map) -> Option<Self> {
        Self::read_within(definition.bounds, definition, map)
    }

    /// The same of numbers within other bounds than the definition's.
    pub(super) fn read_within(bounds: Bounds, definition: &'static Definition, map: &Map) -> Option<Self> {
        let (key, item) = &written(definition, map)?.or_else(|| none(definition, map))?;
        let place = map.get("warn");
        let found = region(bounds, key, item);
        let warn = match &place {
            // Of the limit's form.
            Some(item) => Some(region(bounds, key, item)?),
            None => None,
        };
        let region = found?;
        match (warn.filter(|warn| !region.encloses(*warn)), &place) {
            (Some(warn), Some(place)) => place.fail(outside_of(region, warn)),
            _ => Some(Self { region, warn }),
        }
    }

    /// Turns a status into `insufficient` where a rule's own minimum of samples is not met.
    pub(super) fn with_least(
        (status, reason): (Status, Option<String>),
        n: u64,
        least: Option<u64>,
    ) -> (Status, Option<String>) {
        match least.filter(|least| n < *least && status != Status::Insufficient) {
            Some(least) => (Status::Insufficient, Some(format!("n {n} is below min_samples {least}"))),
            None => (status, reason),
        }
    }

    /// `{"lt": x}` and the like.
    pub(super) fn evidence(&self) -> Value {
        match self.region {
            Region::Side(side, limit) => json!({ side.name(): limit.value() }),
            Region::Between(low, high) => json!({"between": [low.value(), high.value()]}),
            Region::Change(change, tolerance) => {
                let by = match tolerance {
                    Tolerance::Absolute(limit) => json!(limit.value()),
                    Tolerance::Relative(limit) => json!({"relative": limit.value()}),
                };
                json!({ change.key(): by })
            }
            Region::Sigmas(change, limit) => json!({ change.key(): {"sigmas": limit.value()} }),
        }
    }

    /// The change that is compared with the limit, if one is.
    #[must_use]
    pub fn change(&self) -> Option<(Change, Tolerance)> {
        if let Region::Change(change, tolerance) = self.region { Some((change, tolerance)) } else { None }
    }

    /// The change in standard deviations of the training values that is compared with the limit, if one is.
    #[must_use]
    pub fn sigmas(&self) -> Option<(Change, Limit)> {
        if let Region::Sigmas(change, limit) = self.region { Some((change, limit)) } else { None }
    }

    /// Whether a change is compared with the limit.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self.region, Region::Change(..) | Region::Sigmas(..))
    }

    /// The limit as one bound; of `between` the upper one.
    pub(super) fn bound(&self) -> Bound {
        let of = |region| match region {
            Region::Side(side, limit) => (side, limit),
            Region::Between(_, high) => (Side::Lte, high),
            Region::Change(_, tolerance) => (Side::Lte, tolerated(tolerance)),
            Region::Sigmas(_, limit) => (Side::Lte, limit),
        };
        let (side, limit) = of(self.region);
        Bound { side, limit, warn: self.warn.map(|warn| of(warn).1) }
    }

    /// Whether a whole interval breaks the limit.
    pub(super) fn is_broken_by(&self, ends: [Amount; 2]) -> bool {
        self.region.lies(ends) == Lies::Outside
    }

    /// The lower bound of `between`.
    pub(super) fn floor(&self) -> Option<Bound> {
        let low = |region| if let Region::Between(low, _) = region { Some(low) } else { None };
        let limit = low(self.region)?;
        Some(Bound { side: Side::Gte, limit, warn: self.warn.and_then(low) })
    }

    /// The status of a value, and why it warns.
    pub(super) fn status(&self, value: impl Into<Amount>) -> (Status, Option<String>) {
        self.status_of_interval([value.into(); 2])
    }

    /// Blocks where the whole interval breaks the limit. Warns with `underresolved` where part of it does, and where any of it is
    /// beyond `warn`.
    pub(super) fn status_of_interval(&self, ends: [Amount; 2]) -> (Status, Option<String>) {
        match (self.region.lies(ends), self.warn) {
            (Lies::Outside, _) => (Status::Block, None),
            (Lies::InPart, _) => (Status::Warn, Some(UNDERRESOLVED.to_owned())),
            (Lies::Inside, Some(warn)) if warn.lies(ends) != Lies::Inside => (Status::Warn, Some(warn.warned())),
            (Lies::Inside, _) => (Status::Pass, None),
        }
    }

    /// Of two ratios whether the other lies worse: further beyond the limit, or nearer to it.
    pub(super) fn is_worse(&self, one: impl Into<Amount>, other: impl Into<Amount>) -> bool {
        let (one, other) = (one.into(), other.into());
        match self.region {
            Region::Side(Side::Lt | Side::Lte, _) | Region::Change(Change::Increase, _) | Region::Sigmas(..) => {
                other.order(one).is_gt()
            }
            Region::Side(Side::Gt | Side::Gte, _) | Region::Change(Change::Drop, _) => other.order(one).is_lt(),
            Region::Between(low, high) => {
                // By what factor the band is left; a ratio of 0 leaves it by any.
                let (low, high) = (Amount::from(low.ratio()), Amount::from(high.ratio()));
                let beyond = |value: Amount| -> Option<Amount> {
                    let (below, above) = (low.over(value)?, value.over(high)?);
                    Some(if above.order(below).is_gt() { above } else { below })
                };
                match (beyond(one), beyond(other)) {
                    (Some(one), Some(other)) => other.order(one).is_gt(),
                    (one, other) => one.is_some() && other.is_none(),
                }
            }
        }
    }
}

/// The one limit that is written, with its key; the inner `None` where none is.
#[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
fn written<'a>(definition: &'static Definition, map: &Map<'a>) -> Option<Option<(&'static str, Item<'a>)>> {
    let limits = definition.limit.keys().iter().filter(|key| **key != "warn");
    let mut given = limits.filter_map(|key| Some((*key, map.get(key)?)));
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, item))) => item
            .fail(format!("both `{first}` and `{second}`: keep one limit, and write the other as a rule of its own")),
        (found, _) => Some(found),
    }
}

/// Says that a rule has no limit.
fn none<T>(definition: &'static Definition, map: &Map) -> Option<T> {
    match (definition.limit, definition.limit.keys().first()) {
        (LimitForm::Usual(_) | LimitForm::UsualFull(_), Some(key)) => map.require(key, definition.example).and(None),
        (LimitForm::Any, _) => map.item().fail("no limit: write one of `lt`, `lte`, `gt` or `gte`, like `lt: 0.5`"),
        (LimitForm::Full, _) => map.item().fail(
            "no limit: write one of `lt`, `lte`, `gt`, `gte`, `between`, `max_increase` or `max_drop`, like `lt: 0.5`",
        ),
        _ => map.item().fail("no limit: write one of `lt`, `lte`, `gt`, `gte` or `between`, like `lt: 0.5`"),
    }
}

/// A rule's limit, or that of an exception: what is left out is the rule's. The rule's `warn` goes on holding for a limit of its form.
impl ReadLimit for Limits {
    fn in_options(map: &Map, base: Option<Self>, definition: &'static Definition) -> Option<Self> {
        let Some(base) = base else { return Self::read(definition, map) };
        let (limit, place) = (written(definition, map)?, map.get("warn"));
        let (region, key) = match &limit {
            Some((key, item)) => (region(definition.bounds, key, item)?, *key),
            None => (base.region, base.region.key()),
        };
        let warn = match &place {
            Some(item) => Some(self::region(definition.bounds, key, item)?),
            None => base.warn.filter(|warn| warn.key() == key),
        };
        if let Some(warn) = warn.filter(|warn| !region.encloses(*warn)) {
            let whose = if place.is_some() { "" } else { "the rule's " };
            return place.as_ref().unwrap_or(map.item()).fail(format!("{whose}{}", outside_of(region, warn)));
        }
        Some(Self { region, warn })
    }
}

/// The region that a key and its value say.
fn region(bounds: Bounds, key: &str, item: &Item) -> Option<Region> {
    match key {
        "between" => {
            let (low, high) = pair(item, bounds)?;
            Some(Region::Between(low, high))
        }
        "max_increase" => change(bounds, Change::Increase, item),
        "max_drop" => change(bounds, Change::Drop, item),
        key => {
            let side = Side::ALL.into_iter().find(|side| side.name() == key)?;
            Some(Region::Side(side, limit(item, bounds)?))
        }
    }
}

/// `[a, b]`, ascending.
fn pair(item: &Item, bounds: Bounds) -> Option<(Limit, Limit)> {
    let items = item.list("two numbers, like [0.8, 1.25]")?;
    let [low, high] = items.as_slice() else {
        return item.fail(format!("expected two numbers, read {}: write [0.8, 1.25]", items.len()));
    };
    let (low, high) = (limit(low, bounds), limit(high, bounds));
    let (low, high) = (low?, high?);
    if low >= high {
        return item.fail(format!("{low} is not below {high}: write the smaller number first"));
    }
    Some((low, high))
}

/// `0.05`, `{absolute: 0.05}` or `{relative: 0.1}`, from 0 on; of means also `{sigmas: 3}`.
fn change(bounds: Bounds, change: Change, item: &Item) -> Option<Region> {
    let of = |tolerance| Region::Change(change, tolerance);
    if !bounds.is_wide() {
        let rate = || limit(item, Bounds::Rate).map(Tolerance::Absolute);
        return if item.scalar().is_none() { tolerance(item) } else { rate() }.map(of);
    }
    let amount = |item: &Item| limit(item, Bounds::FromZero);
    if item.scalar().is_some() {
        return amount(item).map(Tolerance::Absolute).map(of);
    }
    let keys: &[&'static str] =
        if bounds == Bounds::Value { &["absolute", "relative", "sigmas"] } else { &["absolute", "relative"] };
    let map = item.map(keys)?;
    match (map.get("absolute"), map.get("relative"), map.get("sigmas")) {
        (Some(item), None, None) => amount(&item).map(Tolerance::Absolute).map(of),
        (None, Some(item), None) => amount(&item).map(Tolerance::Relative).map(of),
        (None, None, Some(item)) => limit(&item, Bounds::AboveZero).map(|limit| Region::Sigmas(change, limit)),
        _ => item.fail(format!("expected one of {}: write one, like {{relative: 0.1}}", keys.join(", "))),
    }
}

fn outside_of(region: Region, warn: Region) -> String {
    match (region, warn) {
        (Region::Side(side, limit), Region::Side(_, warn)) => {
            let below = if matches!(side, Side::Lt | Side::Lte) { "below" } else { "above" };
            format!("warn {warn} is not {below} {} {limit}: write a `warn` {below} the limit", side.name())
        }
        (Region::Between(low, high), Region::Between(from, to)) => {
            format!("warn [{from}, {to}] does not lie inside of [{low}, {high}]: write a narrower pair")
        }
        (Region::Sigmas(_, limit), Region::Sigmas(_, warn)) => {
            format!("warn {warn} is not below the limit {limit}: write fewer standard deviations")
        }
        (Region::Change(_, limit), Region::Change(_, warn)) => {
            format!("warn {} is not below the limit {}: write a smaller change", tolerated(warn), tolerated(limit))
        }
        _ => "the warning is of another form than the limit: write it alike".to_owned(),
    }
}

#[cfg(test)]
mod tests;
