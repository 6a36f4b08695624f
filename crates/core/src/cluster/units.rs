//! What a cluster divides between its processes: units, each of models that have to be counted by one process, since they read a topic in
//! common. A unit is named by its first model. Where the partitions of its topics are divided, too, each number of them is a unit that counts
//! (a shard), and the unit of the models' name judges. Slot 0 of the topic of units is the ledger's, slot `n` that of the `n`th unit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ownership::Slot;
use crate::codec::hash;

/// The slot of the ledger.
pub const LEDGER: Slot = 0;

/// What of its models' work a unit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// It judges what so many shards count.
    Evaluator { shards: u32 },
    /// It counts the partitions of this number.
    Shard(u32),
}

/// Models that one process counts, or what of them it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// The first of its models, by name; of a shard with its number behind it: `churn/3`.
    pub name: String,
    /// By name.
    pub models: Vec<String>,
    /// By name.
    pub topics: Vec<String>,
    pub part: Part,
    /// Of a part: a digest of what the policies have counted. Parts that count otherwise are other units.
    pub counts: String,
}

/// A topic, and the models that its events are for; none: all models.
#[derive(Clone, Copy, Debug)]
pub struct Read<'r> {
    pub topic: &'r str,
    pub models: &'r [&'r str],
}

impl Unit {
    /// The name as keys, folders and transactional ids have it.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::new();
        for (at, byte) in self.name.bytes().enumerate() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0) {
                key.push(char::from(byte));
            } else {
                let _ = write!(key, "%{byte:02x}");
            }
        }
        if self.part != Part::Whole {
            // No name has this byte.
            key.push('~');
            key.push_str(&self.counts);
        }
        key
    }

    /// The unit divided by the partitions of its topics: what judges, and what counts the partitions of each number. `counts` is a digest of what
    /// the policies have counted.
    #[must_use]
    pub fn divided(self, partitions: u32, counts: &str) -> Vec<Self> {
        let part = |name: String, part| Self { name, part, counts: counts.to_owned(), ..self.clone() };
        let shard = |number| part(format!("{}/{number}", self.name), Part::Shard(number));
        let evaluator = part(self.name.clone(), Part::Evaluator { shards: partitions });
        std::iter::once(evaluator).chain((0..partitions).map(shard)).collect()
    }

    /// The unit of a shard of this one's models.
    #[must_use]
    pub fn shard(&self, number: u32) -> Self {
        Self { name: format!("{}/{number}", self.name), part: Part::Shard(number), ..self.clone() }
    }
}

/// The units of a configuration, by name. A model that reads no topic belongs to the first unit: nothing is counted of it.
#[must_use]
pub fn units(models: &[String], reads: &[Read<'_>]) -> Vec<Unit> {
    let mut models: Vec<&str> = models.iter().map(String::as_str).collect();
    models.sort_unstable();
    models.dedup();
    // Of each model the smallest that it belongs together with, as far as is known.
    let mut first: Vec<usize> = (0..models.len()).collect();
    let mut topics: BTreeMap<&str, usize> = BTreeMap::new();
    for read in reads {
        let is_read = |model: &str| read.models.is_empty() || read.models.contains(&model);
        let of: Vec<usize> = (0..models.len()).filter(|at| models.get(*at).is_some_and(|m| is_read(m))).collect();
        let known = topics.get(read.topic).copied();
        let together: Vec<usize> = of.iter().copied().chain(known).filter_map(|at| first.get(at).copied()).collect();
        let Some(least) = together.iter().copied().min() else { continue };
        for one in &mut first {
            if together.contains(one) {
                *one = least;
            }
        }
        topics.insert(read.topic, least);
    }
    let mut found: BTreeMap<usize, Unit> = BTreeMap::new();
    for (topic, at) in topics {
        let Some(least) = first.get(at) else { continue };
        let unit = || Unit::default();
        found.entry(*least).or_insert_with(unit).topics.push(topic.to_owned());
    }
    if found.is_empty() && !models.is_empty() {
        found.insert(0, Unit::default());
    }
    let begins = found.keys().next().copied();
    for (model, least) in models.iter().zip(&first) {
        let place = if found.contains_key(least) { Some(*least) } else { begins };
        if let Some(unit) = place.and_then(|place| found.get_mut(&place)) {
            unit.models.push((*model).to_owned());
        }
    }
    let mut units: Vec<Unit> = found.into_values().collect();
    for unit in &mut units {
        unit.name = unit.models.first().cloned().unwrap_or_default();
    }
    units.sort_by(|a, b| a.name.cmp(&b.name));
    units
}

/// What tells two divisions apart: processes of one cluster have the same.
#[must_use]
pub fn layout(units: &[Unit]) -> String {
    let of = |unit: &Unit| match unit.part {
        Part::Whole => unit.name.clone(),
        Part::Evaluator { .. } | Part::Shard(_) => unit.key(),
    };
    let text = units.iter().map(of).collect::<Vec<_>>().join("\n");
    let mut digest = hash::sha256_hex(text.as_bytes());
    digest.truncate(8);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(models: &[&str], reads: &[(&str, &[&str])]) -> Vec<(String, Vec<String>, Vec<String>)> {
        let models: Vec<String> = models.iter().map(|m| (*m).to_owned()).collect();
        let reads: Vec<Read<'_>> = reads.iter().map(|(topic, models)| Read { topic, models }).collect();
        units(&models, &reads).into_iter().map(|u| (u.name, u.models, u.topics)).collect()
    }

    fn unit(models: &[&str], topics: &[&str]) -> (String, Vec<String>, Vec<String>) {
        let texts = |of: &[&str]| of.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        (models[0].to_owned(), texts(models), texts(topics))
    }

    #[test]
    fn models_that_read_a_topic_in_common_are_one_unit() {
        let reads: [(&str, &[&str]); 4] = [
            ("shop-p", &["shop"]),
            ("shop-l", &["shop"]),
            ("both-p", &["risk", "fraud"]),
            ("both-l", &["risk", "fraud"]),
        ];
        assert_eq!(
            of(&["shop", "risk", "fraud"], &reads),
            [unit(&["fraud", "risk"], &["both-l", "both-p"]), unit(&["shop"], &["shop-l", "shop-p"])]
        );
        // By way of a third one.
        let chain: [(&str, &[&str]); 3] = [("x", &["a", "c"]), ("y", &["d", "b"]), ("z", &["c", "d"])];
        assert_eq!(of(&["a", "b", "c", "d", "e"], &chain), [unit(&["a", "b", "c", "d", "e"], &["x", "y", "z"])]);
    }

    #[test]
    fn a_topic_of_all_models_makes_one_unit_and_what_reads_nothing_is_with_the_first() {
        let one: [(&str, &[&str]); 2] = [("a-only", &["a"]), ("all", &[])];
        assert_eq!(of(&["b", "a"], &one), [unit(&["a", "b"], &["a-only", "all"])]);
        let two: [(&str, &[&str]); 2] = [("z", &["zoo"]), ("k", &["kilo", "nobody"])];
        assert_eq!(of(&["zoo", "kilo", "paper"], &two), [unit(&["kilo", "paper"], &["k"]), unit(&["zoo"], &["z"])]);
        assert_eq!(of(&["b", "a"], &[]), [unit(&["a", "b"], &[])]);
        assert_eq!(of(&[], &[("t", &[])]), []);
        // Of models without a policy nothing is read.
        assert_eq!(of(&["a"], &[("t", &["other"])]), [unit(&["a"], &[])]);
    }

    #[test]
    fn the_order_of_models_and_sources_changes_nothing() {
        let (models, reads) =
            (["d", "a", "c", "b"], [("x", &["a", "b"] as &[&str]), ("y", &["c"]), ("z", &["b", "d"]), ("x", &["a"])]);
        let whole = of(&models, &reads);
        for at in 0..reads.len() {
            let (mut models, mut reads) = (models, reads);
            models.rotate_left(at);
            reads.rotate_left(at);
            assert_eq!(of(&models, &reads), whole);
            reads.reverse();
            assert_eq!(of(&models, &reads), whole);
        }
    }

    #[test]
    fn keys_are_names_of_files_and_of_nothing_else() {
        let key = |name: &str| Unit { name: name.to_owned(), ..Unit::default() }.key();
        assert_eq!(key("credit-eu_2.1"), "credit-eu_2.1");
        assert_eq!((key("a/b c"), key(".."), key("ü")), ("a%2fb%20c".into(), "%2e.".into(), "%c3%bc".into()));
        assert_ne!(key("a%2fb"), key("a/b"));
    }

    #[test]
    fn a_unit_is_divided_into_what_judges_and_what_counts_each_number_of_partitions() {
        let whole =
            || Unit { name: "a b".into(), models: vec!["a b".into()], topics: vec!["t".into()], ..Unit::default() };
        let parts = whole().divided(2, "0f");
        let keys: Vec<(String, Part)> = parts.iter().map(|unit| (unit.key(), unit.part)).collect();
        assert_eq!(
            keys,
            [
                ("a%20b~0f".into(), Part::Evaluator { shards: 2 }),
                ("a%20b%2f0~0f".into(), Part::Shard(0)),
                ("a%20b%2f1~0f".into(), Part::Shard(1))
            ]
        );
        assert!(parts.iter().all(|unit| unit.models == ["a b"] && unit.topics == ["t"]));
        assert_eq!(parts[0].shard(1), parts[2]);
        // More partitions, other counts, or no division: other processes do not know what the slots stand for.
        let of = |units: &[Unit]| layout(units);
        let all = [of(&[whole()]), of(&parts), of(&whole().divided(3, "0f")), of(&whole().divided(2, "1f"))];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn another_division_has_another_layout() {
        let all = |names: &[&str]| {
            let unit = |n: &&str| Unit { name: (*n).to_owned(), ..Unit::default() };
            layout(&names.iter().map(unit).collect::<Vec<_>>())
        };
        assert_eq!(all(&["a", "b"]), all(&["a", "b"]));
        assert_ne!(all(&["a", "b"]), all(&["a"]));
        assert_eq!(all(&["a"]).len(), 8);
    }
}
