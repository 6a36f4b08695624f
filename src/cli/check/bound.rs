//! How much memory the daemon takes at most, whatever the streams bring: what the limits of the configuration and the policies allow,
//! part by part. It is an upper bound and no estimate: most daemons take a small part of it.

use comfy_table::Table;
use serde_json::{Value, json};

use super::watch::{self, Sizes, size};
use crate::cli::display;
use crate::config::{SourceConfig, SourceFormat};
use crate::sink::outbox;
use crate::view::Keep;
use driftgate_core::decode::coder;
use driftgate_core::event::Limits;
use driftgate_core::intake::features;
use driftgate_core::intake::guard::MOST_LIVE;
use driftgate_core::intake::newcomers::MOST_SOUGHT;
use driftgate_core::intake::panes::{DENSE_BYTES, DENSE_PANES};
use driftgate_core::policy::Policy;
use driftgate_core::window::keep::Keep as PaneKeep;

/// Versions that nobody registered are counted up to this number at a time.
pub const VERSIONS: u64 = MOST_LIVE as u64;

/// The program, its threads, its connections and what librdkafka keeps beside messages,
const PROCESS: u64 = 160 << 20;
/// and each worker's batches.
const WORKER: u64 = 48 << 20;
/// Results that wait for a topic, beside those that wait for the registry.
const LANES: u64 = 32 << 20;
/// What a decoder knows of texts before it begins anew: their bytes, and a place of each.
const DECODER: u64 = coder::MOST_BYTES as u64 + coder::MOST_VALUES as u64 * 96;
/// Events of the features stream that wait.
const HELD: u64 = features::MOST_BYTES as u64;
/// A name's places beside its bytes.
const NAME: u64 = 128;
/// Names of versions that were refused, and are looked for.
const SOUGHT: u64 = 2 * MOST_SOUGHT as u64;
/// The most a packed count takes, in bytes.
const COUNT: u64 = 6;
/// Unpacked panes of a version and group on a worker.
const OPEN: u64 = DENSE_BYTES as u64;
/// A version's name, registration, metrics and its place in the status.
const VERSION: u64 = 64 << 10;
/// A label of an intersection joins so many texts.
const PARTS: u64 = 4;

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub limits: Limits,
    pub keep: Keep,
    pub has_features: bool,
    pub sources: u64,
    pub workers: u64,
    /// The messages of a partition that were fetched and not read.
    pub partition: u64,
    /// Requests and responses that may wait for each other, of all topics.
    pub halves: u64,
}

impl Given {
    /// What does not depend on models, without the partitions.
    pub fn process(&self) -> u64 {
        process(self.workers).saturating_add(self.halves)
    }
}

/// A model's part.
#[derive(Clone, Debug)]
pub struct ModelBound {
    model: String,
    names: u64,
    decoders: u64,
    join: u64,
    held: u64,
    /// Of one version; `None` where the snapshot decides how fine its grids are.
    version: Option<VersionBound>,
}

#[derive(Clone, Copy, Debug)]
struct VersionBound {
    baseline: u64,
    panes: u64,
    verdicts: u64,
}

impl VersionBound {
    fn total(self) -> u64 {
        self.baseline.saturating_add(self.panes).saturating_add(self.verdicts).saturating_add(VERSION)
    }
}

impl ModelBound {
    pub fn new(policy: &Policy, given: &Given) -> Self {
        let limits = &given.limits;
        let text = limits.string_bytes as u64 + NAME;
        let features = policy.features.categorical.len() as u64 * limits.categories as u64 * text;
        let segments = policy.segments.len() as u64 * limits.segments as u64 * text * PARTS;
        let has_labels = policy.labels.is_some();
        Self {
            model: policy.model.clone(),
            names: features + segments + SOUGHT * text,
            decoders: DECODER * given.workers * given.sources,
            join: if has_labels { limits.join_bytes as u64 } else { 0 },
            held: if given.has_features { HELD } else { 0 },
            version: VersionBound::new(policy, given),
        }
    }

    /// With so many versions.
    pub fn total(&self, versions: u64) -> Option<u64> {
        let version = self.version?.total().saturating_mul(versions);
        Some(version.saturating_add(self.names).saturating_add(self.decoders).saturating_add(self.join + self.held))
    }

    pub fn to_json(&self) -> Value {
        let version = self.version.map(|v| {
            json!({
                "baseline_bytes": v.baseline, "panes_bytes": v.panes, "verdicts_bytes": v.verdicts, "total_bytes": v.total(),
            })
        });
        json!({
            "names_bytes": self.names, "decoders_bytes": self.decoders, "join_bytes": self.join, "held_bytes": self.held,
            "version": version, "versions": VERSIONS, "total_bytes": self.total(VERSIONS),
        })
    }
}

impl VersionBound {
    fn new(policy: &Policy, given: &Given) -> Option<Self> {
        let limits = &given.limits;
        // Four outcomes of each segment.
        let sizes = Sizes { categories: limits.categories as u64, segments: 4 * limits.segments as u64 };
        let mut panes = 0_u64;
        for group in &policy.groups {
            let counts = watch::counts(policy, group, sizes)?;
            let (window, slide) = (group.window, group.window.slide.max(1));
            let kept = PaneKeep::new(policy, group);
            let kept_panes = kept.panes(window).saturating_add(group.lateness / slide);
            let sealed = u64::try_from(kept_panes).unwrap_or(0).saturating_add(2);
            let open = OPEN.max(DENSE_PANES as u64 * 4 * counts).saturating_mul(given.workers);
            let all_open = sealed.saturating_mul(4 * counts).saturating_mul(given.workers);
            panes = panes.saturating_add(sealed.saturating_mul(COUNT * counts)).saturating_add(open.min(all_open));
            // The rolling sums of the window and of what it is compared with.
            panes = panes.saturating_add((2 + kept.versus.len() as u64) * 8 * counts);
        }
        // Verdicts list a hundred segments.
        let listed = Sizes { segments: 100, ..sizes };
        let verdicts = policy.groups.iter().map(|g| watch::verdicts(g, given.keep, listed)).sum();
        Some(Self { baseline: watch::baseline(policy, sizes)?, panes, verdicts })
    }
}

/// What does not depend on models, without the partitions.
pub fn process(workers: u64) -> u64 {
    PROCESS + WORKER * workers + outbox::MOST_BYTES as u64 + LANES
}

/// How many bytes of requests and responses of a source may wait; those of responses in a topic of their own wait with their requests.
pub fn halves(source: &SourceConfig) -> u64 {
    match &source.format {
        SourceFormat::Kserve(settings) if source.requests.is_none() => settings.most_bytes as u64,
        _ => 0,
    }
}

/// Memory that was given back and is not the system's yet: a quarter.
pub fn resident(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}

/// A line for each model.
pub fn table(models: &[ModelBound]) -> Table {
    let mut table = display::table(&[
        "at most",
        "names",
        "decoders",
        "join",
        "features that wait",
        "a version: baseline",
        "panes",
        "verdicts",
        "with 1,000 versions",
    ]);
    for model in models {
        let of = |part: fn(VersionBound) -> u64| {
            model.version.map_or_else(|| "by the snapshot".to_owned(), |version| size(part(version)))
        };
        let all = model.total(VERSIONS).map_or_else(|| "by the snapshot".to_owned(), size);
        display::row(
            &mut table,
            [
                model.model.clone(),
                size(model.names),
                size(model.decoders),
                size(model.join),
                size(model.held),
                of(|v| v.baseline),
                of(|v| v.panes),
                of(|v| v.verdicts),
                all,
            ],
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
    rules: [{psi: {of: features, lt: 0.2}}, {tpr_gap: {by: c, lt: 0.1}}]
";

    fn given() -> Given {
        Given {
            limits: Limits::default(),
            keep: Keep::default(),
            has_features: false,
            sources: 2,
            workers: 2,
            partition: 0,
            halves: 0,
        }
    }

    fn policy(grid: &str) -> Policy {
        driftgate_core::policy::parse(&POLICY.replace("GRID", grid), Path::new("p.yaml")).unwrap()
    }

    #[test]
    fn every_limit_is_in_it_and_a_grid_by_the_snapshot_has_none() {
        let policy = policy(", grid: {points: 101}");
        let of = |given: Given| ModelBound::new(&policy, &given).total(VERSIONS).unwrap();
        let base = of(given());
        let mut more = given();
        more.limits.join_bytes += 1 << 30;
        assert_eq!(of(more) - base, 1 << 30);
        let mut more = given();
        more.limits.categories += 1;
        assert!(of(more) - base > VERSIONS * 9 * COUNT);
        let mut more = given();
        more.limits.segments += 1;
        assert!(of(more) > base);
        assert_eq!(of(Given { has_features: true, ..given() }) - base, HELD);
        assert!(of(Given { keep: Keep { verdicts: 201, whole: 1 }, ..given() }) > base);
        assert!(of(Given { workers: 3, ..given() }) > base);
        assert_eq!(Given { halves: 7, ..given() }.process(), given().process() + 7);
        assert!(ModelBound::new(&self::policy(", grid: {points: exact}"), &given()).total(1).is_none());
    }

    #[test]
    fn it_is_above_what_is_said_to_be_usual() {
        let policy = policy(", grid: {points: 101}");
        let usual = super::super::watch::Watch::new(&policy, Keep::default()).memory().unwrap();
        assert!(ModelBound::new(&policy, &given()).version.unwrap().total() > usual);
    }
}
