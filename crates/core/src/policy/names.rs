//! The names that a policy declares: features and segments.

use std::collections::HashMap;

use super::keys;
use super::types::{FeatureSpec, GridPoints, Segmentation};
use crate::rule::names::crossed;
use crate::yaml::{Item, units};

const MAX_FEATURES: usize = 10_000;
const MAX_SEGMENTATIONS: usize = 256;
const MAX_PARTS: usize = 4;
const DEFAULT_GRID: GridPoints = GridPoints::At(1021);
/// Names that mean something else wherever a feature is named.
const RESERVED: [&str; 3] = ["score", "label", "features"];

pub(super) fn no_features() -> FeatureSpec {
    FeatureSpec { numeric: Vec::new(), categorical: Vec::new(), grid: DEFAULT_GRID }
}

pub(super) fn features(item: &Item) -> Option<FeatureSpec> {
    let map = item.map(&keys::FEATURES.names())?;
    let mut seen = HashMap::new();
    let mut read = |key: &'static str| {
        let Some(item) = map.get(key) else {
            return Some(Vec::new());
        };
        let mut names = Vec::new();
        for item in item.list("feature names")? {
            let Some(name) = item.name("a feature's name") else {
                continue;
            };
            if RESERVED.contains(&name) {
                item.report(format!(
                    "a feature cannot be called {}: `rename` it in the daemon's configuration",
                    units::quote(name)
                ));
                continue;
            }
            match seen.insert(name.to_owned(), key) {
                None => names.push(name.to_owned()),
                Some(first) if first == key => item.report(format!("{} is named twice: keep one", units::quote(name))),
                Some(first) => item.report(format!("{} is in `{first}` and in `{key}`: keep one", units::quote(name))),
            }
        }
        Some(names)
    };
    let (numeric, categorical) = (read("numeric"), read("categorical"));
    let grid = map.get("grid").and_then(|item| grid(&item)).unwrap_or(DEFAULT_GRID);
    let (numeric, categorical) = (numeric?, categorical?);
    let count = numeric.len() + categorical.len();
    if count > MAX_FEATURES {
        return item.fail(format!("{count} features: name at most {MAX_FEATURES}"));
    }
    Some(FeatureSpec { numeric, categorical, grid })
}

fn grid(item: &Item) -> Option<GridPoints> {
    let points = item.map(&keys::GRID.names())?.require("points", "1021")?;
    if points.scalar() == Some("exact") {
        return Some(GridPoints::Exact);
    }
    match points.scalar().map(str::parse::<usize>) {
        Some(Ok(count @ 21..=100_000)) => Some(GridPoints::At(count)),
        _ => points.fail("expected `exact` or a whole number from 21 to 100000: write 1021, the default"),
    }
}

pub(super) fn segments(item: &Item) -> Option<Vec<Segmentation>> {
    let mut segments: Vec<Segmentation> = Vec::new();
    let items = item.list("segment attributes")?;
    if items.len() > MAX_SEGMENTATIONS {
        return item.fail(format!("{} segment attributes: name at most {MAX_SEGMENTATIONS}", items.len()));
    }
    for item in items {
        let Some(text) = item.name("a segment attribute") else {
            continue;
        };
        let parts = crossed(text);
        let name = parts.join("*");
        let repeated =
            parts.iter().enumerate().find(|(place, part)| parts.iter().take(*place).any(|other| other == *part));
        if parts.iter().any(String::is_empty) {
            item.report(format!("{} has an empty part: write names joined by `*`, like a*b", units::quote(text)));
        } else if parts.len() > MAX_PARTS {
            item.report(format!(
                "{} crosses {} attributes: cross at most {MAX_PARTS}",
                units::quote(text),
                parts.len()
            ));
        } else if let Some((_, part)) = repeated {
            item.report(format!("{} crosses `{part}` with itself: keep one", units::quote(text)));
        } else if segments.iter().any(|segment| segment.name == name) {
            item.report(format!("{} is named twice: keep one", units::quote(text)));
        } else {
            segments.push(Segmentation { name, parts });
        }
    }
    Some(segments)
}
