//! The names that rules refer to: features, segmentations, KPIs and measured metrics, each by its place in the policy.

use std::collections::HashMap;

use super::types::Target;
use crate::yaml::{Item, units};

/// Who knows what is called how.
pub trait Naming {
    /// The feature's name, or `score`.
    fn target(&self, target: Target) -> &str;
    fn segmentation(&self, by: usize) -> Option<&str>;
    fn kpi(&self, of: usize) -> Option<&str>;
    fn measured(&self, of: usize) -> Option<&str>;
}

/// The name of a target in a policy's lists of features.
#[must_use]
pub fn target_name<'n>(numeric: &'n [String], categorical: &'n [String], target: Target) -> &'n str {
    let name = match target {
        Target::Numeric(index) => numeric.get(index),
        Target::Categorical(index) => categorical.get(index),
        Target::Score => return "score",
        Target::Label => return "label",
        Target::Prediction => return "prediction",
    };
    name.map_or("", String::as_str)
}

/// What rules may name; grows by the KPIs and measured metrics they read.
pub struct PolicyNames {
    numeric: Vec<String>,
    categorical: Vec<String>,
    segmentations: Vec<String>,
    /// The policy's classes, of a model of several; `None` of other tasks, none where they could not be read.
    pub classes: Option<Vec<String>>,
    /// Whether labels are numbers.
    pub has_number_labels: bool,
    /// `score.threshold`, where it is written and could be read.
    pub threshold: Option<f64>,
    pub kpis: Vec<String>,
    pub measured: Vec<String>,
    targets: HashMap<String, Target>,
    /// Whether `features:` and `segments:` could be read; where not, nothing is reported about names.
    features_read: bool,
    segments_read: bool,
}

impl PolicyNames {
    /// The numeric and categorical features, and the segmentations, that the policy declares; `None` for a list that could
    /// not be read.
    #[must_use]
    pub fn new(
        features: Option<(Vec<String>, Vec<String>)>,
        segmentations: Option<Vec<String>>,
        classes: Option<&[String]>,
    ) -> Self {
        let (features_read, segments_read) = (features.is_some(), segmentations.is_some());
        let ((numeric, categorical), segmentations) = (features.unwrap_or_default(), segmentations.unwrap_or_default());
        let named = |names: &[String], target: fn(usize) -> Target| -> Vec<(String, Target)> {
            names.iter().enumerate().map(|(index, name)| (name.clone(), target(index))).collect()
        };
        // A feature that is called so is meant by the name.
        let prediction = classes.map(|_| ("prediction".to_owned(), Target::Prediction));
        let score = classes.is_none().then(|| ("score".to_owned(), Target::Score));
        let targets = [("label".to_owned(), Target::Label)]
            .into_iter()
            .chain(prediction)
            .chain(named(&numeric, Target::Numeric))
            .chain(named(&categorical, Target::Categorical))
            .chain(score)
            .collect();
        let (kpis, measured) = (Vec::new(), Vec::new());
        let classes = classes.map(<[String]>::to_vec);
        Self {
            numeric,
            categorical,
            segmentations,
            classes,
            threshold: None,
            has_number_labels: false,
            kpis,
            measured,
            targets,
            features_read,
            segments_read,
        }
    }

    #[must_use]
    pub fn features_read(&self) -> bool {
        self.features_read
    }

    /// Every feature, in the policy's order.
    pub fn all_features(&self) -> impl Iterator<Item = Target> {
        let numeric = (0..self.numeric.len()).map(Target::Numeric);
        numeric.chain((0..self.categorical.len()).map(Target::Categorical))
    }

    /// The feature or score of this name; reports to `item` where there is none.
    #[must_use]
    pub fn target_of(&self, name: &str, item: &Item) -> Option<Target> {
        self.targets.get(name).copied().or_else(|| {
            if !self.features_read {
                return None;
            }
            let known = self.numeric.iter().chain(&self.categorical).map(String::as_str);
            let known =
                item.known_names(name, known.chain([if self.classes.is_some() { "prediction" } else { "score" }]));
            item.fail(format!("unknown feature {}; {known}", units::quote(name)))
        })
    }

    /// The index of a declared segmentation.
    #[must_use]
    pub fn segmentation_of(&self, item: &Item) -> Option<usize> {
        let name = if item.is_list() {
            let parts = item.list("segment attributes")?;
            let parts: Option<Vec<&str>> = parts.iter().map(|part| part.text("a segment attribute")).collect();
            parts?.join("*")
        } else {
            crossed(item.text("a segment attribute, or a list of these")?).join("*")
        };
        self.segmentations.iter().position(|segmentation| *segmentation == name).or_else(|| {
            if !self.segments_read {
                return None;
            }
            let known = item.known_names(&name, self.segmentations.iter().map(String::as_str));
            item.fail(format!("{} is not in `segments:`; {known}", units::quote(&name)))
        })
    }

    /// The index of a KPI, new or seen before.
    pub fn kpi_of(&mut self, name: &str) -> usize {
        index_of(&mut self.kpis, name)
    }

    /// The index of a measured metric, new or seen before.
    pub fn measured_of(&mut self, name: &str) -> usize {
        index_of(&mut self.measured, name)
    }
}

impl Naming for PolicyNames {
    fn target(&self, target: Target) -> &str {
        target_name(&self.numeric, &self.categorical, target)
    }

    fn segmentation(&self, by: usize) -> Option<&str> {
        self.segmentations.get(by).map(String::as_str)
    }

    fn kpi(&self, of: usize) -> Option<&str> {
        self.kpis.get(of).map(String::as_str)
    }

    fn measured(&self, of: usize) -> Option<&str> {
        self.measured.get(of).map(String::as_str)
    }
}

/// Where a name stands in a list, which it is added to if it is new.
fn index_of(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

/// The attributes that a segmentation crosses, without the spaces around `*`.
#[must_use]
pub fn crossed(text: &str) -> Vec<String> {
    text.split('*').map(|part| part.trim().to_owned()).collect()
}
