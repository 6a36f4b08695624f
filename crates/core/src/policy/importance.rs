//! `importance:` of a policy: how much features matter, by which results over them are ranked. A column of a file is read in place of the
//! mapping (`yaml::table`), so that only mappings come here.

use std::collections::BTreeMap;

use super::types::FeatureSpec;
use crate::yaml::{Item, Table, units};

/// Where the rows of `importance: {file: …}` are: `feature` and `weight` name columns.
pub(super) const TABLE: Table = Table { key: "importance", name: "feature", value: "weight" };

/// Weights by feature, each finite and from 0 on; unknown features are told where `features` is known.
pub(super) fn importance(item: &Item, features: Option<&FeatureSpec>) -> Option<BTreeMap<String, f64>> {
    let map = item.open_map("a mapping of features to weights, such as {amount: 0.4}")?;
    let mut weights = BTreeMap::new();
    for (name, item) in map.entries() {
        let known = || features.into_iter().flat_map(|f| f.numeric.iter().chain(&f.categorical)).map(String::as_str);
        if features.is_some() && !known().any(|known| known == name) {
            let names: Vec<&str> = known().collect();
            item.report(format!(
                "unknown feature {}; {}",
                units::quote(name),
                item.known_names(name, names.iter().copied())
            ));
        } else if let Some(weight) = item.number("a finite number from 0 on", |x| x.is_finite() && x >= 0.0) {
            // A weight of -0 is 0.
            weights.insert(name.to_owned(), weight.abs());
        }
    }
    Some(weights)
}
