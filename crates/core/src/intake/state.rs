//! What a checkpoint keeps of an intake, and an intake made from it: open panes, the join table, dictionaries, largest
//! times and closing lines. Baselines are loaded again by their digest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::codec::chunk::EachChunk;
use crate::join::{Bounds, Join, JoinState};
use crate::policy::Policy;
use crate::state_v4;
use crate::window::pane::Sealed;

use super::held::{Activity, Held};
use super::names::EventNames;
use super::panes::{Panes, open_panes};
use super::starts::{Cause, Starts};
use super::stored::StoredBaseline;
use super::traffic::ModelTraffic;
use super::versions::{Reference, Version};
use super::{Counters, Intake, Setup};

/// An intake's durable state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntakeState {
    names: EventNames,
    versions: Vec<VersionState>,
    join: Option<JoinState>,
    closed: Vec<i64>,
    starts: Starts,
    /// Events of the features stream that wait.
    held: Held,
    /// Up to which time events of versions were not taken on.
    refused_to: Option<i64>,
    counters: Counters,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct VersionState {
    last_ts: Option<i64>,
    measured_ts: Option<i64>,
    predictions: u64,
    pinned: bool,
    /// Digest of the baseline its panes were counted against.
    baseline: Option<String>,
    /// That baseline itself; the release before did not keep it.
    stored: Option<StoredBaseline>,
    /// It was counted without one.
    bare: bool,
    starts: Starts,
    /// By group.
    activity: Vec<Activity>,
    model: ModelTraffic,
    panes: OpenByGroup,
}

/// Open panes by group.
type OpenByGroup = Vec<Vec<(i64, Sealed)>>;

/// A version whose counts could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub version: String,
    pub why: String,
}

impl From<state_v4::IntakeState> for IntakeState {
    fn from(old: state_v4::IntakeState) -> Self {
        Self {
            names: old.names.into(),
            versions: old.versions.into_iter().map(VersionState::from).collect(),
            join: old.join.map(JoinState::from),
            closed: old.closed,
            starts: Starts::default(),
            held: Held::default(),
            refused_to: None,
            counters: old.counters.into(),
        }
    }
}

impl From<state_v4::VersionState> for VersionState {
    fn from(old: state_v4::VersionState) -> Self {
        let panes =
            |of: Vec<(i64, state_v4::Sealed)>| of.into_iter().map(|(pane, sealed)| (pane, sealed.into())).collect();
        Self {
            last_ts: old.last_ts,
            measured_ts: old.measured_ts,
            predictions: old.predictions,
            pinned: old.pinned,
            baseline: old.baseline,
            stored: None,
            bare: false,
            starts: Starts::default(),
            activity: vec![Activity::until(old.last_ts); old.panes.len()],
            model: ModelTraffic::of_v4(old.pinned, old.last_ts),
            panes: old.panes.into_iter().map(panes).collect(),
        }
    }
}

impl IntakeState {
    /// What does not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        self.join.iter_mut().for_each(|join| join.chunks(each));
        self.versions.iter_mut().filter_map(|v| v.stored.as_mut()).for_each(|stored| stored.chunks(each));
    }

    /// Versions with the digest of the baseline that their counts need.
    pub fn versions(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        (0_u32..).zip(&self.versions).filter_map(|(c, v)| Some((self.names.version(c)?, v.baseline.as_deref())))
    }

    /// How many predictions of each version were counted, in the order of `versions`.
    pub fn predictions(&self) -> impl Iterator<Item = u64> {
        self.versions.iter().map(|v| v.predictions)
    }

    /// Predictions that wait for labels, and labels that wait for predictions.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.join.as_ref().map_or((0, 0), JoinState::waiting)
    }

    /// Up to which event time (ms) the windows of every group are closed; `None` where none was.
    #[must_use]
    pub fn closed_to(&self) -> Option<i64> {
        self.closed.iter().copied().min().filter(|line| *line > i64::MIN)
    }
}

impl Intake {
    /// What to keep, with the open panes of all workers, who rest meanwhile.
    #[must_use]
    pub fn state(&self, workers: &[&Panes], counters: Counters) -> IntakeState {
        let versions = (0_u32..).zip(&self.versions).map(|(code, v)| VersionState {
            last_ts: v.last_ts,
            measured_ts: v.measured_ts,
            predictions: v.predictions,
            pinned: v.pinned,
            baseline: match v.reference() {
                Reference::Baseline { sha256, .. } => Some(sha256.to_string()),
                Reference::Unknown | Reference::Failed(_) => None,
            },
            stored: v.baseline().map(|baseline| StoredBaseline::new(baseline, &v.stored)),
            bare: v.bare,
            starts: v.known.starts,
            activity: v.activity.clone(),
            model: v.model,
            panes: (0..self.counting.reads.len()).map(|g| open_panes(code, g, workers.iter().copied())).collect(),
        });
        IntakeState {
            versions: versions.collect(),
            names: self.names.clone(),
            join: self.join.as_ref().map(Join::state),
            closed: self.closed.clone(),
            starts: self.starts,
            held: self.held.clone(),
            refused_to: self.refused_to(),
            counters,
        }
    }

    /// An intake as a checkpoint kept it, and its open panes, for one worker. `reference` gives the reference of a version
    /// whose baseline the checkpoint does not hold; versions whose baseline is another than the one they were counted
    /// against lose their counts and are named in the result.
    #[must_use]
    pub fn restore(
        policy: Arc<Policy>,
        setup: Setup,
        state: IntakeState,
        mut reference: impl FnMut(&str) -> Reference,
    ) -> (Self, Panes, Vec<Lost>) {
        let mut intake = Self::new(policy, setup);
        let mut open = Panes::default();
        let mut lost = Vec::new();
        intake.names = state.names;
        intake.counters = state.counters;
        if state.closed.len() == intake.closed.len() {
            intake.closed = state.closed;
        }
        intake.starts = state.starts;
        intake.held = state.held;
        intake.refused_before = state.refused_to;
        for (code, kept) in (0_u32..).zip(state.versions) {
            let (version, panes) = match intake.restored(code, kept, setup, &mut reference) {
                (version, Ok(panes)) => (version, panes),
                (version, Err(anew)) => {
                    lost.push(anew);
                    (version, Vec::new())
                }
            };
            for (group, panes) in panes.into_iter().enumerate() {
                panes.into_iter().for_each(|(pane, sealed)| open.put_back(code, group, pane, sealed));
            }
            intake.versions.push(version);
        }
        if let (Some(labels), Some(join)) = (intake.policy.labels.as_ref(), state.join) {
            let bounds = Bounds { horizon: labels.horizon, early: labels.lateness };
            intake.join = Some(Join::restore(bounds, intake.policy.codes_of_pair(), join));
        }
        intake.stale = true;
        (intake, open, lost)
    }

    /// A version as a checkpoint kept it, and its open panes by group, or why its counts are lost.
    fn restored(
        &self,
        code: u32,
        kept: VersionState,
        setup: Setup,
        reference: &mut impl FnMut(&str) -> Reference,
    ) -> (Version, Result<OpenByGroup, Lost>) {
        let mut version = Version::default();
        version.last_ts = kept.last_ts;
        version.measured_ts = kept.measured_ts;
        version.predictions = kept.predictions;
        version.pinned = kept.pinned;
        version.bare = kept.bare;
        version.activity = kept.activity;
        version.model = kept.model;
        version.known.traffic = kept.model.span();
        version.known.starts = kept.starts;
        let name = self.names.version(code).unwrap_or_default();
        let stored = kept.stored.as_ref().and_then(|s| Baseline::decode(s.bytes(), &self.policy).ok());
        let found = match (&kept.baseline, stored) {
            (None, _) => Reference::Unknown,
            (Some(sha256), Some(baseline)) => {
                Reference::Baseline { baseline: Arc::new(baseline), sha256: sha256.as_str().into() }
            }
            (Some(_), None) => reference(name),
        };
        let why = match (&found, &kept.baseline) {
            (Reference::Baseline { sha256, .. }, Some(kept)) => {
                (**sha256 != **kept).then(|| format!("its baseline is {sha256} now, it was counted against {kept}"))
            }
            (Reference::Failed(why), Some(kept)) => {
                Some(format!("the baseline {kept} that it was counted against cannot be loaded: {why}"))
            }
            (Reference::Unknown, Some(kept)) => Some(format!("the baseline {kept} is not loaded")),
            (_, None) => None,
        };
        version.set_reference(found, &self.counting.reads, setup.has_features);
        version.look_up(&self.names);
        match why {
            Some(why) => {
                version.anew = Some(Cause::Baseline);
                (version, Err(Lost { version: name.to_owned(), why }))
            }
            None => (version, Ok(kept.panes)),
        }
    }

    /// Versions whose counts could not be kept begin where the sources stand, once all of those are there.
    pub fn begin_lost(&mut self) {
        for code in (0_u32..).take(self.versions.len()) {
            let anew = self.versions.get_mut(code as usize).and_then(|v| v.anew.take());
            if let Some(cause) = anew {
                self.begin_version(code, cause);
            }
        }
    }
}
