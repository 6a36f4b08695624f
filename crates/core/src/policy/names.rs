//! The names a policy declares: features and segments, and what rules may refer to.

use std::collections::HashMap;

use super::types::{FeatureSpec, GridPoints, Policy, RuleKind, Segmentation, Target};
use crate::yaml::{Item, units};

const MAX_FEATURES: usize = 10_000;
const MAX_SEGMENTATIONS: usize = 256;
const MAX_PARTS: usize = 4;
const DEFAULT_GRID: GridPoints = GridPoints::At(1021);
/// Names that mean something else wherever a feature is named.
const RESERVED: [&str; 3] = ["score", "label", "features"];

impl Policy {
    /// The name of a rule's subject as verdicts show it: the feature's, or `score`.
    #[must_use]
    pub fn target_name(&self, target: Target) -> &str {
        name_of(&self.features, target)
    }

    /// What a rule's results are about, as verdicts name it, in the policy's order.
    #[must_use]
    pub fn subjects(&self, kind: &RuleKind) -> Vec<String> {
        let Self { features, segments, kpis, measured, .. } = self;
        kind.subjects(&Vocabulary { features, segments, kpis, measured })
    }
}

/// What rules refer to by index.
pub(super) struct Vocabulary<'a> {
    features: &'a FeatureSpec,
    pub segments: &'a [Segmentation],
    pub kpis: &'a [String],
    pub measured: &'a [String],
}

impl<'a> Vocabulary<'a> {
    pub fn target(&self, target: Target) -> &'a str {
        name_of(self.features, target)
    }
}

fn name_of(features: &FeatureSpec, target: Target) -> &str {
    let name = match target {
        Target::Numeric(index) => features.numeric.get(index),
        Target::Categorical(index) => features.categorical.get(index),
        Target::Score => return "score",
    };
    name.map_or("", String::as_str)
}

/// What rules may name; grows by the KPIs and measured metrics they read.
pub(super) struct Names {
    pub features: FeatureSpec,
    pub segments: Vec<Segmentation>,
    pub kpis: Vec<String>,
    pub measured: Vec<String>,
    targets: HashMap<String, Target>,
    /// Whether `features:` and `segments:` could be read; where not, nothing is said about names.
    features_read: bool,
    segments_read: bool,
}

impl Names {
    pub fn new(features: Option<FeatureSpec>, segments: Option<Vec<Segmentation>>) -> Self {
        let (features_read, segments_read) = (features.is_some(), segments.is_some());
        let (features, segments) = (features.unwrap_or_else(no_features), segments.unwrap_or_default());
        let numeric = features.numeric.iter().enumerate().map(|(index, name)| (name.clone(), Target::Numeric(index)));
        let categorical =
            features.categorical.iter().enumerate().map(|(index, name)| (name.clone(), Target::Categorical(index)));
        let targets = numeric.chain(categorical).chain([("score".to_owned(), Target::Score)]).collect();
        Self { features, segments, kpis: Vec::new(), measured: Vec::new(), targets, features_read, segments_read }
    }

    /// These names, if all of them could be read.
    pub fn complete(self) -> Option<Self> {
        (self.features_read && self.segments_read).then_some(self)
    }

    pub fn features_read(&self) -> bool {
        self.features_read
    }

    /// Every feature, in the policy's order.
    pub fn all_features(&self) -> impl Iterator<Item = Target> {
        let numeric = (0..self.features.numeric.len()).map(Target::Numeric);
        numeric.chain((0..self.features.categorical.len()).map(Target::Categorical))
    }

    /// The feature or score of this name; reports to `item` where there is none.
    pub fn target(&self, name: &str, item: &Item) -> Option<Target> {
        self.targets.get(name).copied().or_else(|| {
            if !self.features_read {
                return None;
            }
            let known = self.features.numeric.iter().chain(&self.features.categorical).map(String::as_str);
            let known = item.known_names(name, known.chain(["score"]));
            item.fail(format!("unknown feature {}; {known}", units::quote(name)))
        })
    }

    /// The index of a declared segmentation.
    pub fn segmentation(&self, item: &Item) -> Option<usize> {
        let text = item.text("a segment attribute")?;
        let name = parts(text).join("*");
        self.segments.iter().position(|segment| segment.name == name).or_else(|| {
            if !self.segments_read {
                return None;
            }
            let known = item.known_names(&name, self.segments.iter().map(|segment| segment.name.as_str()));
            item.fail(format!("{} is not in `segments:`; {known}", units::quote(text)))
        })
    }

    /// The index of a KPI, new or seen before.
    pub fn kpi(&mut self, name: &str) -> usize {
        index_of(&mut self.kpis, name)
    }

    /// The index of a measured metric, new or seen before.
    pub fn metric(&mut self, name: &str) -> usize {
        index_of(&mut self.measured, name)
    }

    /// What a rule's results are about, as verdicts name it.
    pub fn subjects_of(&self, kind: &RuleKind) -> Vec<String> {
        let Self { features, segments, kpis, measured, .. } = self;
        kind.subjects(&Vocabulary { features, segments, kpis, measured })
    }
}

/// Where a name stands in a list, which it is added to if it is new.
fn index_of(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

pub(super) fn no_features() -> FeatureSpec {
    FeatureSpec { numeric: Vec::new(), categorical: Vec::new(), grid: DEFAULT_GRID }
}

pub(super) fn features(item: &Item) -> Option<FeatureSpec> {
    let map = item.map(&["numeric", "categorical", "grid"])?;
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
    let points = item.map(&["points"])?.require("points", "1021")?;
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
        let parts = parts(text);
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

fn parts(text: &str) -> Vec<String> {
    text.split('*').map(|part| part.trim().to_owned()).collect()
}
