//! The configuration as one unit has it: its models' sources, and a state folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, DeadLetterTarget};
use driftgate_core::cluster::units::{Part, Unit};
use driftgate_core::policy::Policy;

/// The configuration of a unit among so many.
pub fn of_unit(config: &Config, unit: &Unit, units: usize) -> Config {
    let mut config = config.clone();
    config.sources.retain(|source| unit.topics.contains(&source.topic));
    config.state.path = config.state.path.join(unit.key());
    match unit.part {
        Part::Whole => {}
        // It judges nothing.
        Part::Shard(_) => config.publish.verdicts = None,
        // It reads no events.
        Part::Evaluator { .. } => config.publish.dead_letters = None,
    }
    if let Some(dead) = &mut config.publish.dead_letters
        && let DeadLetterTarget::Path(path) = &mut dead.to
        && units > 1
    {
        *path = beside(path, &unit.key());
    }
    config
}

/// The policies of its models.
pub fn policies(policies: &[Arc<Policy>], unit: &Unit) -> Vec<Arc<Policy>> {
    policies.iter().filter(|policy| unit.models.contains(&policy.model)).cloned().collect()
}

/// How many of a process's threads read and count a unit among so many: with few units each may have all, since mostly not all have something to
/// read.
pub fn workers(threads: usize, units: usize) -> usize {
    (threads * 2).div_ceil(units.max(1)).clamp(1, threads.max(1))
}

/// A file of the unit's own: `dead.jsonl` is `dead.<unit>.jsonl`.
fn beside(path: &Path, unit: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(unit);
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_its_own_sources_folder_and_files() {
        let text = "policies: [p.yaml]\nkafka: {brokers: b, group: g}\nsources: [{topic: a, kind: predictions, models: [m]}, {topic: b, kind: labels, models: [n]}]\n\
                    state: {path: /s}\npublish: {dead_letters: {path: /d/dead.jsonl}}\n";
        let config = crate::config::parse(text, Path::new("/c/d.yaml")).unwrap();
        let unit = Unit { name: "n".into(), models: vec!["n".into()], topics: vec!["b".into()], ..Unit::default() };
        let of = of_unit(&config, &unit, 2);
        assert_eq!(of.sources.iter().map(|s| s.topic.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(of.state.path, Path::new("/s/n"));
        let dead = of.publish.dead_letters.map(|dead| dead.to);
        assert_eq!(dead, Some(DeadLetterTarget::Path("/d/dead.n.jsonl".into())));
        let alone = of_unit(&config, &unit, 1).publish.dead_letters.map(|dead| dead.to);
        assert_eq!(alone, Some(DeadLetterTarget::Path("/d/dead.jsonl".into())));
    }

    #[test]
    fn few_units_have_all_threads_each_and_many_have_one() {
        assert_eq!([1, 2, 3, 4, 8, 50].map(|units| workers(8, units)), [8, 8, 6, 4, 2, 1]);
        assert_eq!((workers(1, 1), workers(0, 3)), (1, 1));
    }
}
