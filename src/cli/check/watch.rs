//! What a policy watches, for people: its groups, windows, rules and subjects, its snapshots, and about how much memory a
//! version takes.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::display;
use crate::view::Keep;
use driftgate_core::intake::panes::{DENSE_BYTES, DENSE_PANES};
use driftgate_core::policy::{Enforce, GridPoints, Group, Policy, Target, Traffic};
use driftgate_core::stats::quantile;
use driftgate_core::window::keep::Keep as PaneKeep;
use driftgate_core::window::layout::Reads;
use driftgate_core::yaml::units::show_duration;

/// Counts of a categorical feature, and of a segment attribute times its four outcomes: a guess, without data.
const CATEGORIES: u64 = 100;
const SEGMENTS: u64 = 200;
const GUESS: Sizes = Sizes { categories: CATEGORIES, segments: SEGMENTS };
/// What a verdict takes while it is kept: a result with its evidence, a bin and a segment that it lists; and without them.
const RESULT_BYTES: u64 = 500;
const BINS: u64 = 20;
const BIN_BYTES: u64 = 60;
const SEGMENT_BYTES: u64 = 300;
const BRIEF_RESULT_BYTES: u64 = 9;
const BRIEF_BYTES: u64 = 350;
/// A grid's point in a baseline: value, counts, and its part of the guide.
const POINT_BYTES: u64 = 32;
/// A check's streak.
const STREAK_BYTES: u64 = 150;

/// How many values of a categorical feature are counted, and how many counts a segmentation has.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub categories: u64,
    pub segments: u64,
}

/// A policy and what it keeps.
pub struct Watch<'p> {
    policy: &'p Policy,
    keep: Keep,
    snapshots: Snapshots,
}

/// The training snapshots a policy leads to.
#[derive(Debug, PartialEq, Eq)]
enum Snapshots {
    /// The policy names none: versions bring their own.
    Unnamed,
    Remote(String),
    /// One file for every version, and whether it is there.
    One(String, bool),
    /// So many files that some version could name, and the last of these versions.
    Matching(String, usize, Option<String>),
}

impl<'p> Watch<'p> {
    pub fn new(policy: &'p Policy, keep: Keep) -> Self {
        let snapshots = match policy.baseline.snapshot.as_deref() {
            None => Snapshots::Unnamed,
            Some(pattern) => Snapshots::find(&policy.directory, pattern),
        };
        Self { policy, keep, snapshots }
    }

    /// A line on the whole of it.
    pub fn summary(&self) -> String {
        let policy = self.policy;
        let rules = policy.rules().count();
        let memory = self.memory().map_or_else(String::new, |bytes| format!(", about {} a version", size(bytes)));
        let digest = policy.sha256.get(..12).unwrap_or(&policy.sha256);
        format!(
            "model {}, {} groups, {rules} rules{memory}, policy {digest}\nsnapshots: {}",
            policy.model,
            policy.groups.len(),
            self.snapshots
        )
    }

    pub fn table(&self) -> comfy_table::Table {
        let mut table = display::table(&[
            "group",
            "window",
            "every",
            "enforce",
            "traffic",
            "rules",
            "subjects",
            "memory a version",
        ]);
        for group in &self.policy.groups {
            let rules: Vec<&str> = group.rules.iter().map(|r| r.id.as_str()).collect();
            display::row(
                &mut table,
                [
                    group.name.clone(),
                    show_duration(group.window.size),
                    show_duration(group.window.slide),
                    enforce(group.enforce).to_owned(),
                    traffic(group.traffic).to_owned(),
                    rules.join(", "),
                    subjects(group).to_string(),
                    self.of_group(group).map_or_else(|| "by the snapshot".to_owned(), size),
                ],
            );
        }
        table
    }

    pub fn to_json(&self) -> Value {
        let group = |group: &Group| {
            json!({
                "group": group.name, "window_ms": group.window.size, "slide_ms": group.window.slide, "lateness_ms": group.lateness,
                "enforce": enforce(group.enforce), "traffic": traffic(group.traffic),
                "rules": group.rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(),
                "subjects": subjects(group), "memory_bytes": self.of_group(group),
            })
        };
        let (location, files) = match &self.snapshots {
            Snapshots::Unnamed => (None, None),
            Snapshots::Remote(location) => (Some(location), None),
            Snapshots::One(location, there) => (Some(location), Some(usize::from(*there))),
            Snapshots::Matching(location, files, _) => (Some(location), Some(*files)),
        };
        json!({
            "model": self.policy.model, "policy_sha256": self.policy.sha256, "memory_bytes": self.memory(),
            "snapshots": {"location": location, "files": files}, "groups": self.policy.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }

    /// About the bytes of a version: its baseline, and what its groups take.
    pub fn memory(&self) -> Option<u64> {
        let groups: u64 = self.policy.groups.iter().map(|g| self.of_group(g)).sum::<Option<u64>>()?;
        Some(groups.saturating_add(baseline(self.policy, GUESS)?))
    }

    /// A version's panes in a group, open ones too, their sum and the verdicts that are kept of it.
    fn of_group(&self, group: &Group) -> Option<u64> {
        let (panes, verdicts) = (panes(self.policy, group)?, verdicts(group, self.keep, GUESS));
        Some(panes.saturating_add(open_panes(self.policy, group)?).saturating_add(verdicts))
    }

    /// A version whose snapshot is at hand, and where that lies, as the policy names it.
    pub fn sample(&self) -> Option<(String, String)> {
        let pattern = self.policy.baseline.snapshot.as_deref()?;
        match &self.snapshots {
            Snapshots::One(_, true) => Some(("1".to_owned(), pattern.to_owned())),
            Snapshots::Matching(_, _, Some(version)) => Some((version.clone(), pattern.replace("{version}", version))),
            _ => None,
        }
    }

    /// A snapshot that every version needs and that is not there.
    pub fn missing_snapshot(&self) -> Option<&str> {
        match &self.snapshots {
            Snapshots::One(location, false) => Some(location),
            _ => None,
        }
    }
}

impl Snapshots {
    fn find(directory: &Path, pattern: &str) -> Self {
        if pattern.contains("://") {
            return Self::Remote(pattern.to_owned());
        }
        let path = directory.join(pattern);
        let shown = path.display().to_string();
        let Some((before, after)) = pattern.split_once("{version}") else {
            return Self::One(shown, path.exists());
        };
        // A version is no path, so what it names lies in one folder, unless the folder's name holds it too.
        let (folder, head) = before.rsplit_once('/').map_or(("", before), |(folder, head)| (folder, head));
        let folder = if before.starts_with('/') && folder.is_empty() {
            Path::new("/").to_owned()
        } else {
            directory.join(folder)
        };
        let (tail, rest) = after.split_once('/').map_or((after, None), |(tail, rest)| (tail, Some(rest)));
        let readable = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        let names = std::fs::read_dir(readable)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let versions = names.filter_map(|name| {
            let version = name.strip_prefix(head).and_then(|n| version_in(n, tail))?;
            let there = rest.is_none_or(|rest| folder.join(&name).join(rest.replace("{version}", version)).exists());
            there.then(|| version.to_owned())
        });
        let versions: Vec<String> = versions.collect();
        // 10 comes after 9.
        let last = versions.iter().max_by_key(|version| (version.len(), version.as_str())).cloned();
        Self::Matching(shown, versions.len(), last)
    }
}

/// The version in a name's rest that ends like `tail`, which may hold the version again.
fn version_in<'n>(name: &'n str, tail: &str) -> Option<&'n str> {
    let Some((middle, _)) = tail.split_once("{version}") else {
        return name.strip_suffix(tail).filter(|version| !version.is_empty());
    };
    let version = name.split(middle).next().filter(|version| !version.is_empty())?;
    (name == format!("{version}{}", tail.replace("{version}", version))).then_some(version)
}

impl std::fmt::Display for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unnamed => f.write_str("none named, so each version is registered with its own"),
            Self::Remote(location) => write!(f, "{location} (not looked at)"),
            Self::One(location, true) => write!(f, "{location}, for every version"),
            Self::One(location, false) => write!(f, "{location}, which does not exist"),
            Self::Matching(location, 1, _) => write!(f, "{location}, 1 file there"),
            Self::Matching(location, files, _) => write!(f, "{location}, {files} files there"),
        }
    }
}

fn enforce(level: Enforce) -> &'static str {
    match level {
        Enforce::Block => "block",
        Enforce::Warn => "warn",
        Enforce::Observe => "observe",
    }
}

fn traffic(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Version => "version",
        Traffic::Model => "model",
    }
}

/// Results in one verdict of the group.
fn subjects(group: &Group) -> usize {
    group.rules.iter().map(|rule| rule.kind.bounds().len()).sum()
}

/// Counts of a target; `None` where the snapshot decides.
fn cells(policy: &Policy, target: &Target, sizes: Sizes) -> Option<u64> {
    match (target, policy.features.grid) {
        (Target::Categorical(_), _) => Some(sizes.categories),
        (Target::Label | Target::Prediction, _) if policy.is_multiclass() => Some(policy.classes.len() as u64 + 1),
        (Target::Label, _) if !policy.is_regression() => Some(3),
        (_, GridPoints::At(points)) => Some(2 * points as u64 + 1),
        (_, GridPoints::Exact) => None,
    }
}

/// About the bytes of a version's baseline.
pub fn baseline(policy: &Policy, sizes: Sizes) -> Option<u64> {
    let numeric = policy.features.numeric.len() as u64 + 1;
    let points = match policy.features.grid {
        GridPoints::At(points) => points as u64,
        GridPoints::Exact => return None,
    };
    Some(numeric * points * POINT_BYTES + policy.features.categorical.len() as u64 * sizes.categories * POINT_BYTES)
}

/// Counts of one pane.
pub fn counts(policy: &Policy, group: &Group, sizes: Sizes) -> Option<u64> {
    let reads = Reads::new(group);
    let mut counts = reads.targets.iter().map(|target| cells(policy, target, sizes)).sum::<Option<u64>>()?;
    if reads.auc {
        counts += 2 * cells(policy, &Target::Score, sizes)?;
    }
    counts += reads.segment_lists().count() as u64 * sizes.segments;
    counts += if reads.latency { quantile::BUCKETS as u64 } else { 0 };
    counts += 2 * (u64::from(reads.error) + reads.kpis.len() as u64 + u64::from(reads.decisions));
    counts += 4 * u64::from(reads.confusion) + 3 * u64::from(reads.labels);
    Some(counts)
}

/// About the bytes of a version's unpacked panes in this group on each core, which are as many as the lateness spans, and of
/// their rolling sum.
fn open_panes(policy: &Policy, group: &Group) -> Option<u64> {
    let (counts, slide) = (counts(policy, group, GUESS)?, group.window.slide.max(1));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let open = u64::try_from(group.lateness / slide).unwrap_or(0).saturating_add(2);
    let room = DENSE_BYTES as u64 / (4 * counts).max(1);
    let unpacked = open.min(room.max(DENSE_PANES as u64)).saturating_mul(4 * counts).saturating_mul(cores);
    Some(unpacked.saturating_add(8 * counts))
}

/// About the bytes of a version's panes in this group: 1.2 a count; `None` where the snapshot decides.
fn panes(policy: &Policy, group: &Group) -> Option<u64> {
    let counts = counts(policy, group, GUESS)?;
    let panes = u64::try_from(PaneKeep::new(policy, group).panes(group.window)).ok()?;
    Some(panes.saturating_mul(counts).saturating_mul(6) / 5)
}

/// About the bytes of the verdicts that are kept of a version in this group: of those kept whole with all that they may
/// list, of the others the values.
pub fn verdicts(group: &Group, keep: Keep, sizes: Sizes) -> u64 {
    let reads = Reads::new(group);
    let bins = reads.targets.iter().map(|target| match target {
        Target::Categorical(_) => sizes.categories,
        _ => BINS,
    });
    let checks = subjects(group) as u64;
    let listed = bins.sum::<u64>() * BIN_BYTES + reads.segmentations.len() as u64 * sizes.categories * SEGMENT_BYTES;
    let whole = checks * RESULT_BYTES + listed + checks * STREAK_BYTES;
    let brief = checks * BRIEF_RESULT_BYTES + BRIEF_BYTES;
    let kept = (keep.whole as u64, keep.verdicts.saturating_sub(keep.whole) as u64);
    whole.saturating_mul(kept.0).saturating_add(brief.saturating_mul(kept.1))
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{} MB", display::count(bytes / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a, b], categorical: [c]GRID}
score: {threshold: 0.5}
labels: {horizon: 1d}
segments: [c]
checks:
  drift:
    window: {size: 7d, slide: 1d}
    rules: [{psi: {of: features, lt: 0.2}}, {psi: {id: s, of: score, lt: 0.2}}, {missing_rate: {of: a, max_increase: 0.1}}]
  fair:
    window: {size: 28d, slide: 7d}
    rules: [{tpr_gap: {by: c, lt: 0.1}}]
";

    fn policy(grid: &str) -> Policy {
        driftgate_core::policy::parse(&POLICY.replace("GRID", grid), Path::new("p.yaml")).unwrap()
    }

    #[test]
    fn memory_grows_with_panes_and_grids() {
        let policy = policy(", grid: {points: 101}");
        let of: Vec<Option<u64>> = policy.groups.iter().map(|g| panes(&policy, g)).collect();
        assert_eq!(of, [Some(7 * (3 * 203 + CATEGORIES) * 6 / 5), Some(4 * SEGMENTS * 6 / 5)]);
        assert_eq!(policy.groups.iter().map(subjects).collect::<Vec<_>>(), [5, 1]);
        let exact = self::policy(", grid: {points: exact}");
        assert!(Watch::new(&exact, Keep::default()).memory().is_none());
        // Verdicts are counted by the bounds that the configuration gives.
        let of = |verdicts, whole| Watch::new(&policy, Keep { verdicts, whole }).memory().unwrap();
        let (drift, fair) = (5 * (500 + 150) + (3 * 20 + 100) * 60, 500 + 150 + 100 * 300);
        let panes = 7 * (3 * 203 + CATEGORIES) * 6 / 5 + 4 * SEGMENTS * 6 / 5;
        let open: u64 = policy.groups.iter().map(|g| open_panes(&policy, g).unwrap()).sum();
        let cores = std::thread::available_parallelism().unwrap().get() as u64;
        // Two panes of each group on each core, and a sum of eight bytes a count.
        assert_eq!(open, (3 * 203 + CATEGORIES + SEGMENTS) * (2 * 4 * cores + 8));
        let panes = panes + open + 3 * 101 * POINT_BYTES + CATEGORIES * POINT_BYTES;
        assert_eq!(of(1, 1), panes + drift + fair);
        assert_eq!(of(200, 200), panes + 200 * (drift + fair));
        assert_eq!(of(201, 1) - of(1, 1), 200 * (6 * 9 + 2 * 350));
        assert_eq!(
            (size(999), size(48_230), size(1_234_567_890)),
            ("999 bytes".into(), "48 KB".into(), "1,234 MB".into())
        );
    }

    #[test]
    fn snapshots_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train_v1.parquet", "train_v2.parquet", "train_v.parquet", "other.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir_all(folder.path().join("7")).unwrap();
        std::fs::write(folder.path().join("7/t-7.csv"), "").unwrap();
        let find = |pattern: &str| Snapshots::find(folder.path(), pattern);
        let files = |pattern: &str| match find(pattern) {
            Snapshots::Matching(_, files, _) => files,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (files("train_v{version}.parquet"), files("x/{version}.csv"), files("{version}/t-{version}.csv")),
            (2, 0, 1)
        );
        assert!(
            matches!(find("other.csv"), Snapshots::One(_, true)) && matches!(find("no.csv"), Snapshots::One(_, false))
        );
        assert!(matches!(find("s3://b/{version}"), Snapshots::Remote(_)));
        assert_eq!(version_in("1-1.csv", "-{version}.csv"), Some("1"));
    }
}
