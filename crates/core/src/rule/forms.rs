//! Options that are more than a number or a word: `bins`, `range` and `versus`.

use super::binning::{Binning, DECILES};
use super::definition::Definition;
use super::options::limit;
use super::properties::{Bounds, Opt, Takes};
use super::versus::Versus;
use crate::yaml::{Item, Map, units};

/// At most so many bins, and one edge fewer.
const MOST: u64 = 100;
/// At most so many earlier windows are summed.
const MOST_WINDOWS: u64 = 1000;

/// What rules compare with.
pub(super) const VERSUS: Opt = Opt {
    key: "versus",
    takes: Takes::Versus,
    default: "training",
    documentation: "What it compares with: the training snapshot; `previous`, the window of the same length that ends where this one starts; \
        `{rolling: n}`, the n before it, summed; `{season: 7d, back: 4}`, the same window 7, 14, 21 and 28 days earlier, summed; `champion`, the \
        version in prod in the same window; `{from: …, to: …}`, the version's own events of that time. A reference with fewer than \
        `min_samples` is `insufficient`.",
};

/// `bins` of rules over bins.
pub(super) const BINS: Opt = Opt {
    key: "bins",
    takes: Takes::Bins { least: 2, most: MOST },
    default: "10",
    documentation: "How a numeric feature is divided: so many quantile bins of its training values, `{width: n}` into n bins of equal width over the \
        training range, or `{edges: [a, b]}` at these values (a value at an edge lies in the bin below it).",
};

/// How a rule's numeric subjects are divided.
pub(super) fn binning(map: &Map) -> Option<Binning> {
    let Some(item) = map.get(BINS.key) else { return Some(DECILES) };
    let whole = |item: &Item| item.whole(2, MOST).and_then(|bins| usize::try_from(bins).ok());
    if !item.is_map() {
        return whole(&item).map(Binning::Quantile);
    }
    let map = item.map(&["edges", "width"])?;
    match (map.get("edges"), map.get("width")) {
        (Some(item), None) => edges(&item).map(Binning::Edges),
        (None, Some(item)) => whole(&item).map(Binning::Width),
        (Some(_), Some(_)) => item.fail("both `edges` and `width`: keep one"),
        (None, None) => {
            item.fail("neither `edges` nor `width`: write one, like {edges: [300, 500, 700]} or {width: 10}")
        }
    }
}

fn edges(item: &Item) -> Option<Vec<f64>> {
    let items = item.list("ascending numbers, like [300, 500, 700]")?;
    if items.is_empty() || items.len() as u64 >= MOST {
        return item.fail(format!("expected from 1 to {} edges, read {}", MOST - 1, items.len()));
    }
    let mut edges: Vec<f64> = Vec::with_capacity(items.len());
    for item in &items {
        // The sum gives zero one sign.
        let edge = limit(item, Bounds::Value)?.value() + 0.0;
        if edges.last().is_some_and(|last| *last >= edge) {
            return item.fail(format!("{edge} is not above the edge before it: write the edges in ascending order"));
        }
        edges.push(edge);
    }
    Some(edges)
}

/// `range` of `out_of_range`.
pub(super) const RANGE: Opt = Opt {
    key: "range",
    takes: Takes::Range,
    default: "",
    documentation: "`[a, b]`: values below a or above b are out of range, in place of the training range; both ends are in it.",
};

/// The range that is written, if one is.
#[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
pub(super) fn range(map: &Map) -> Option<Option<[f64; 2]>> {
    let Some(item) = map.get(RANGE.key) else { return Some(None) };
    let items = item.list("two numbers, like [0, 120]")?;
    let [low, high] = items.as_slice() else {
        return item.fail(format!("expected two numbers, read {}: write [0, 120]", items.len()));
    };
    let (low, high) = (limit(low, Bounds::Value), limit(high, Bounds::Value));
    let (low, high) = (low?.value() + 0.0, high?.value() + 0.0);
    if low >= high {
        return item.fail(format!("{low} is not below {high}: write the smaller number first"));
    }
    Some(Some([low, high]))
}

/// What a rule compares with; `kpi_drop` has words of its own, which its own reader knows.
pub(crate) fn read(definition: &'static Definition, map: &Map) -> Option<Versus> {
    let known = definition.options.iter().any(|option| option.takes == Takes::Versus);
    let Some(item) = map.get(VERSUS.key).filter(|_| known) else { return Some(Versus::Training) };
    versus(&item)
}

/// The same of one value.
pub(super) fn versus(item: &Item) -> Option<Versus> {
    if !item.is_map() {
        let words = [("training", Versus::Training), ("previous", Versus::Previous), ("champion", Versus::Champion)];
        return item.choice(&words);
    }
    let map = item.map(&["rolling", "season", "back", "from", "to"])?;
    let count = |item: &Item| item.whole(1, MOST_WINDOWS).and_then(|n| u32::try_from(n).ok());
    let time = |item: &Item| item.convert("a date or a time with its zone, like 2026-01-01", units::time);
    match (map.get("rolling"), map.get("season"), map.get("back"), map.get("from"), map.get("to")) {
        (Some(n), None, None, None, None) => count(&n).map(Versus::Rolling),
        (None, Some(every), back, None, None) => {
            let back = back.map_or(Some(1), |back| count(&back));
            Some(Versus::Season { every: every.duration(false)?, back: back? })
        }
        (None, None, None, Some(from), Some(to)) => {
            let ends = (time(&from), time(&to));
            match (ends.0?, ends.1?) {
                (start, end) if start < end => Some(Versus::Between(start, end)),
                _ => to.fail("it is not after `from`: write a later time"),
            }
        }
        _ => item.fail("expected one of training, previous, champion, {rolling: 4}, {season: 7d, back: 4} or {from: 2026-01-01, to: 2026-02-01}"),
    }
}
