//! The rows of the overview: a version each, from the status view and what the registry knows, the worst first. Pure functions.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::OverviewQuery;
use crate::problems::{Problem, Severity};
use crate::view::{ModelView, VersionView};
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};
use driftgate_core::policy::{Enforce, Policy};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::VersionRecord;
use driftgate_core::rollout;

/// What a version's enforced groups come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Block,
    Insufficient,
    Warn,
    Unjudged,
    Pass,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Block, Self::Insufficient, Self::Warn, Self::Unjudged, Self::Pass];

    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Insufficient => "insufficient",
            Self::Warn => "warn",
            Self::Unjudged => "unjudged",
            Self::Pass => "pass",
        }
    }
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        match status {
            Status::Block => Self::Block,
            Status::Insufficient => Self::Insufficient,
            Status::Warn => Self::Warn,
            Status::Pass => Self::Pass,
        }
    }
}

/// The latest verdict of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub group: String,
    /// `None`: not judged yet.
    pub status: Option<Status>,
    /// It no longer promotes, since its window ended too long ago.
    pub is_stale: bool,
    /// It can block.
    pub is_enforced: bool,
    pub slide_ms: i64,
}

/// A version.
#[derive(Clone, Debug)]
pub struct Row {
    pub model: String,
    pub version: String,
    pub team: Option<String>,
    pub stages: Vec<String>,
    pub cells: Vec<Cell>,
    pub state: State,
    /// Features that warn or block, and features that were judged.
    pub drifted: Option<(usize, usize)>,
    /// The share of the traffic that a rollout gives it, in percent.
    pub weight: Option<f64>,
    /// The end of the newest window, ms.
    pub newest_ms: Option<i64>,
    /// The worst that is wrong with it.
    pub worst: Option<(Severity, String)>,
}

impl Row {
    /// Whether every verdict of it is too old to count.
    pub fn is_stale(&self) -> bool {
        let mut judged = self.cells.iter().filter(|cell| cell.status.is_some()).peekable();
        judged.peek().is_some() && judged.all(|cell| cell.is_stale)
    }

    fn order(&self) -> impl Ord + use<> {
        let severity = self.worst.as_ref().map(|(severity, _)| *severity);
        // What halts, fails in production or waits for a person comes before a block of a candidate, and that before the rest.
        let rank = match severity {
            Some(Severity::Halted | Severity::Production | Severity::Refused | Severity::Waiting) => 0,
            _ if self.state == State::Block => 1,
            Some(_) => 2,
            None => 3,
        };
        let serves = self.stages.iter().any(|stage| stage == PROD);
        (rank, severity, self.state, !serves, self.model.clone(), self.version.clone())
    }

    /// Whether a text is in one of its names.
    fn has(&self, text: &str) -> bool {
        let names = [&self.model, &self.version].into_iter().chain(&self.team).chain(&self.stages);
        names.into_iter().any(|name| name.to_lowercase().contains(text))
    }

    fn is_asked(&self, query: &OverviewQuery) -> bool {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let status = |wanted: &str| if wanted == STALE { self.is_stale() } else { self.state.name() == wanted };
        set(&query.q).is_none_or(|q| q.to_lowercase().split_whitespace().all(|word| self.has(word)))
            && set(&query.team).is_none_or(|team| self.team.as_ref() == Some(&team))
            && set(&query.status).is_none_or(|wanted| status(&wanted))
            && set(&query.stage)
                .is_none_or(|stage| self.stages.contains(&stage) || (stage == NO_STAGE && self.stages.is_empty()))
    }
}

/// Versions whose verdicts are too old, and those without a stage, in a query.
pub const STALE: &str = "stale";
pub const NO_STAGE: &str = "none";

/// The worst first.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by_cached_key(Row::order);
}

/// Those that a query asks for.
pub fn asked(rows: Vec<Row>, query: &OverviewQuery) -> Vec<Row> {
    rows.into_iter().filter(|row| row.is_asked(query)).collect()
}

/// The versions of a model; `found` are its problems, the worst first.
pub fn of_model(
    model: &str,
    seen: &ModelView,
    records: &[VersionRecord],
    active: Option<&rollout::State>,
    (found, now_ms): (&[Problem], i64),
) -> Vec<Row> {
    let names: BTreeSet<&String> = seen.versions.keys().chain(records.iter().map(|r| &r.version)).collect();
    let features: BTreeSet<&str> =
        seen.policy.features.numeric.iter().chain(&seen.policy.features.categorical).map(String::as_str).collect();
    let row = |name: &String| {
        let view = seen.versions.get(name);
        let record = records.iter().find(|r| r.version == *name);
        let latest: BTreeMap<&str, &Verdict> =
            view.into_iter().flat_map(VersionView::latest).map(|v| (v.group.as_str(), &**v)).collect();
        let cells = cells(&seen.policy, &latest, now_ms);
        let is_blocked = record.is_some_and(|r| !r.blocks.is_empty()) || view.is_some_and(|v| !v.blocks.is_empty());
        let problem = found.iter().find(|p| p.version.as_ref() == Some(name));
        Row {
            model: model.to_owned(),
            version: name.clone(),
            team: seen.policy.metadata.get("team").cloned(),
            stages: record.map(|r| r.stages.clone()).unwrap_or_default(),
            state: state(&latest, &cells, is_blocked),
            drifted: drifted(&latest, &features),
            weight: active.and_then(|state| weight(state, name)),
            newest_ms: latest.values().map(|v| v.window.end).max(),
            worst: problem.map(|p| (p.severity, p.problem.clone())),
            cells,
        }
    };
    names.into_iter().map(row).collect()
}

fn cells(policy: &Policy, latest: &BTreeMap<&str, &Verdict>, now_ms: i64) -> Vec<Cell> {
    let cell = |group: &driftgate_core::policy::Group| {
        let verdict = latest.get(group.name.as_str());
        Cell {
            group: group.name.clone(),
            status: verdict.map(|v| v.status),
            is_stale: verdict.is_some_and(|v| now_ms.saturating_sub(v.window.end) > group.stale_after),
            is_enforced: group.enforce == Enforce::Block,
            slide_ms: group.window.slide,
        }
    };
    policy.groups.iter().map(cell).collect()
}

/// The worst of what decides in groups that are enforced.
fn state(latest: &BTreeMap<&str, &Verdict>, cells: &[Cell], is_blocked: bool) -> State {
    if is_blocked {
        return State::Block;
    }
    let enforced = cells.iter().filter(|cell| cell.is_enforced).filter_map(|cell| latest.get(cell.group.as_str()));
    enforced.map(|v| v.decides()).max().map_or(State::Unjudged, State::from)
}

fn drifted(latest: &BTreeMap<&str, &Verdict>, features: &BTreeSet<&str>) -> Option<(usize, usize)> {
    let results: Vec<&RuleResult> =
        latest.values().flat_map(|v| &v.results).filter(|r| features.contains(r.subject.as_str())).collect();
    let all: BTreeSet<&str> = results.iter().map(|r| r.subject.as_str()).collect();
    let fails = |r: &&&RuleResult| !r.muted && matches!(r.status, Status::Warn | Status::Block);
    let drifted: BTreeSet<&str> = results.iter().filter(fails).map(|r| r.subject.as_str()).collect();
    (!all.is_empty()).then_some((drifted.len(), all.len()))
}

fn weight(state: &rollout::State, version: &str) -> Option<f64> {
    if state.phase.is_over() {
        None
    } else if state.candidate == version {
        Some(state.weight)
    } else {
        (state.champion.as_deref() == Some(version)).then_some(100.0 - state.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::status_view::{END, HOUR, MODEL, status_view};

    fn rows(now_ms: i64) -> Vec<Row> {
        let view = status_view();
        let mut rows = of_model(MODEL, &view.models[MODEL], &[], None, (&[], now_ms));
        sort(&mut rows);
        rows
    }

    fn query(of: impl FnOnce(&mut OverviewQuery)) -> OverviewQuery {
        let mut query = OverviewQuery::default();
        of(&mut query);
        query
    }

    #[test]
    fn the_worst_stand_first_with_their_drifted_features() {
        let rows = rows(END);
        let shown: Vec<_> = rows.iter().map(|r| (r.version.as_str(), r.state, r.drifted)).collect();
        assert_eq!(
            shown,
            [("1", State::Block, Some((1, 2))), ("3", State::Unjudged, None), ("2", State::Pass, Some((0, 1)))]
        );
        let cells: Vec<_> = rows[0].cells.iter().map(|c| (c.group.as_str(), c.status)).collect();
        let (block, warn, pass) = (Some(Status::Block), Some(Status::Warn), Some(Status::Pass));
        assert_eq!(cells, [("drift", block), ("fairness", warn), ("slo", pass)]);
        assert!(!rows[0].is_stale() && !rows[1].is_stale(), "what was never judged is not stale");
    }

    #[test]
    fn a_version_is_stale_once_all_that_was_judged_is() {
        // The windows of `slo` count for minutes, those of the others for days.
        let later = rows(END + 2 * HOUR);
        assert!(later[0].cells[2].is_stale && !later[0].is_stale());
        assert!(rows(END + 1000 * HOUR)[0].is_stale());
    }

    #[test]
    fn a_query_narrows_by_every_part_of_it() {
        let found = |of: fn(&mut OverviewQuery)| -> Vec<String> {
            asked(rows(END), &query(of)).into_iter().map(|r| r.version).collect()
        };
        assert_eq!(found(|q| q.q = Some("CREDIT ops".into())), ["1", "3", "2"]);
        assert_eq!(found(|q| q.q = Some("nothing".into())), [""; 0]);
        assert_eq!(found(|q| q.team = Some("ops".into())).len(), 3);
        assert_eq!(found(|q| q.team = Some("other".into())).len(), 0);
        assert_eq!(found(|q| q.status = Some("block".into())), ["1"]);
        assert_eq!(found(|q| q.status = Some(STALE.into())), [""; 0]);
        assert_eq!(found(|q| q.stage = Some(NO_STAGE.into())).len(), 3);
        assert_eq!(found(|q| q.stage = Some("prod".into())).len(), 0);
        assert_eq!(found(|q| q.stage = Some(String::new())).len(), 3, "a field of the form that is empty");
    }
}
