//! The verdicts of a (version, group) that are kept to look back at: the newest ones whole, of the older ones what each
//! rule came to. Evidence, bins and segments are nearly all of a verdict's memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use driftgate_core::codec::number::number;
use driftgate_core::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};

/// How many verdicts of a (version, group) are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Of both kinds.
    pub verdicts: usize,
    /// The newest ones, with everything that they say.
    pub whole: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { verdicts: 200, whole: 1 }
    }
}

/// The verdicts of a (version, group), the newest last.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    brief: VecDeque<Arc<Brief>>,
    whole: VecDeque<Arc<Verdict>>,
}

impl Kept {
    /// Adds the newest verdict; what is beyond the bounds is shortened, then forgotten. One that is judged again, as after a restart, takes the place
    /// of the first.
    pub fn push(&mut self, verdict: Arc<Verdict>, keep: Keep) {
        if let Some(last) = self.whole.back_mut().filter(|last| last.verdict_id == verdict.verdict_id) {
            *last = verdict;
            return;
        }
        self.whole.push_back(verdict);
        while self.whole.len() > keep.whole.max(1)
            && let Some(old) = self.whole.pop_front()
        {
            let brief = Brief::new(&old, self.brief.back().map(|b| &b.frame));
            self.brief.push_back(Arc::new(brief));
        }
        while self.len() > keep.verdicts.max(1) && self.brief.pop_front().is_some() {}
    }

    /// The newest verdict.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<Verdict>> {
        self.whole.back()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.whole.len() + self.brief.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.brief.is_empty()
    }

    /// All of them, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = Past<'_>> {
        let whole = self.whole.iter().rev().map(|v| Past::Whole(v));
        whole.chain(self.brief.iter().rev().map(|b| Past::Brief(b)))
    }
}

/// A verdict as it is kept.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Past<'k> {
    Whole(&'k Verdict),
    Brief(&'k Brief),
}

impl Past<'_> {
    /// As `Verdict::order`.
    #[must_use]
    pub fn order(&self) -> (i64, &str, &str, &str) {
        match self {
            Self::Whole(verdict) => verdict.order(),
            Self::Brief(Brief { window, frame, .. }) => (window.end, &frame.model, &frame.version, &frame.group),
        }
    }
}

/// A verdict without its evidence: the status and value of each result. Written as a verdict, with `"brief": true`.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    verdict_id: Box<str>,
    window: WindowSpan,
    status: Status,
    counted: Counted,
    frame: Arc<Frame>,
    /// In the order of the frame's checks: values, not a number where there is none,
    values: Box<[f64]>,
    /// and what they came to.
    states: Box<[State]>,
}

/// What one verdict has in common with the next.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    model: String,
    version: String,
    stage: Option<String>,
    group: String,
    policy_sha256: String,
    baseline_sha256: Option<String>,
    checks: Box<[Check]>,
}

#[derive(Debug, PartialEq, Eq)]
struct Check {
    rule: Box<str>,
    metric: Cow<'static, str>,
    subject: Box<str>,
}

/// A status with two bits, in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u8);

const PENDING: u8 = 4;
const MUTED: u8 = 8;

impl State {
    fn new(result: &RuleResult) -> Self {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        Self(result.status.rank() | flag(result.pending, PENDING) | flag(result.muted, MUTED))
    }

    fn status(self) -> Status {
        Status::ALL.into_iter().find(|s| s.rank() == self.0 & 3).unwrap_or(Status::Insufficient)
    }
}

impl Brief {
    fn new(verdict: &Verdict, before: Option<&Arc<Frame>>) -> Self {
        let frame = match before {
            Some(frame) if frame.fits(verdict) => Arc::clone(frame),
            _ => Arc::new(Frame::new(verdict)),
        };
        Self {
            verdict_id: verdict.verdict_id.as_str().into(),
            window: verdict.window,
            status: verdict.status,
            counted: verdict.counted,
            frame,
            values: verdict.results.iter().map(|r| r.value.unwrap_or(f64::NAN)).collect(),
            states: verdict.results.iter().map(State::new).collect(),
        }
    }
}

impl Frame {
    fn new(verdict: &Verdict) -> Self {
        let check = |r: &RuleResult| Check {
            rule: r.rule.as_str().into(),
            metric: r.metric.clone(),
            subject: r.subject.as_str().into(),
        };
        Self {
            model: verdict.model.clone(),
            version: verdict.version.clone(),
            stage: verdict.stage.clone(),
            group: verdict.group.clone(),
            policy_sha256: verdict.policy_sha256.clone(),
            baseline_sha256: verdict.baseline_sha256.clone(),
            checks: verdict.results.iter().map(check).collect(),
        }
    }

    fn fits(&self, verdict: &Verdict) -> bool {
        self.stage == verdict.stage
            && self.policy_sha256 == verdict.policy_sha256
            && self.baseline_sha256 == verdict.baseline_sha256
            && (&self.model, &self.version, &self.group) == (&verdict.model, &verdict.version, &verdict.group)
            && self.checks.len() == verdict.results.len()
            && self
                .checks
                .iter()
                .zip(&verdict.results)
                .all(|(c, r)| *c.rule == *r.rule && c.metric == r.metric && *c.subject == *r.subject)
    }
}

impl Serialize for Brief {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { frame, .. } = self;
        let results: Vec<Written<'_>> = frame
            .checks
            .iter()
            .zip(self.values.iter().zip(&self.states))
            .map(|(check, (&value, &state))| Written { check, value, state })
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("verdict_id", &self.verdict_id)?;
        map.serialize_entry("model", &frame.model)?;
        map.serialize_entry("version", &frame.version)?;
        map.serialize_entry("stage", &frame.stage)?;
        map.serialize_entry("group", &frame.group)?;
        map.serialize_entry("window", &self.window)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("results", &results)?;
        map.serialize_entry("counted", &self.counted)?;
        map.serialize_entry("policy_sha256", &frame.policy_sha256)?;
        map.serialize_entry("baseline_sha256", &frame.baseline_sha256)?;
        map.serialize_entry("brief", &true)?;
        map.end()
    }
}

struct Written<'b> {
    check: &'b Check,
    value: f64,
    state: State,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { check, value, state } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rule", &check.rule)?;
        map.serialize_entry("metric", &check.metric)?;
        map.serialize_entry("subject", &check.subject)?;
        map.serialize_entry("status", &state.status())?;
        map.serialize_entry("value", &number(Some(value)))?;
        if state.0 & PENDING != 0 {
            map.serialize_entry("pending", &true)?;
        }
        if state.0 & MUTED != 0 {
            map.serialize_entry("muted", &true)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(end: i64, value: f64, stage: Option<&str>) -> Arc<Verdict> {
        let result = RuleResult {
            rule: "drift/psi".into(),
            metric: "psi".into(),
            subject: "temp".into(),
            status: Status::Block,
            value: Some(value),
            evidence: vec![("limit", json!({"lt": 0.2})), ("n", 600.into())].into(),
            reason: Some("why".into()),
            since: Some(end),
            pending: true,
            muted: false,
            bins: Some(json!([{"le": 1.0, "reference": 5, "window": 3}]).into()),
        };
        Arc::new(Verdict {
            verdict_id: format!("v{end}"),
            model: "m".into(),
            version: "1".into(),
            stage: stage.map(str::to_owned),
            group: "drift".into(),
            window: WindowSpan { start: end - 10, end, complete: true },
            status: Status::Block,
            results: vec![result],
            counted: Counted { predictions: 600, labels: 0 },
            policy_sha256: "p".into(),
            baseline_sha256: None,
        })
    }

    fn kept(keep: Keep, ends: std::ops::Range<i64>) -> Kept {
        let mut kept = Kept::default();
        for end in ends {
            kept.push(verdict(end, 0.5, None), keep);
        }
        kept
    }

    fn ends(kept: &Kept) -> Vec<(i64, bool)> {
        kept.newest_first().map(|p| (p.order().0, matches!(p, Past::Whole(_)))).collect()
    }

    #[test]
    fn a_window_that_is_judged_again_stands_there_once() {
        let mut kept = kept(Keep::default(), 0..3);
        kept.push(verdict(2, 0.25, None), Keep::default());
        assert_eq!(ends(&kept), [(2, true), (1, false), (0, false)]);
        assert_eq!(kept.latest().and_then(|latest| latest.results[0].value), Some(0.25));
    }

    #[test]
    fn the_newest_are_whole_the_others_brief_and_the_oldest_forgotten() {
        let of = |verdicts, whole| ends(&kept(Keep { verdicts, whole }, 0..6));
        assert_eq!(of(4, 1), [(5, true), (4, false), (3, false), (2, false)]);
        assert_eq!(of(4, 3), [(5, true), (4, true), (3, true), (2, false)]);
        assert_eq!(of(1, 1), [(5, true)]);
        assert_eq!(of(2, 9).len(), 6, "whole ones are not shortened below their bound");
        assert_eq!(of(0, 0), [(5, true)], "the latest is what decisions read");
        assert_eq!(kept(Keep::default(), 0..1000).len(), 200);
    }

    #[test]
    fn a_brief_one_is_the_verdict_without_its_evidence() {
        let kept = kept(Keep::default(), 7..9);
        let written: Vec<Value> = kept.newest_first().map(|p| json!(p)).collect();
        assert_eq!(written[0].to_string(), serde_json::to_string(&*verdict(8, 0.5, None)).unwrap());
        let mut expected = json!(*verdict(7, 0.5, None));
        let result = json!({"rule": "drift/psi", "metric": "psi", "subject": "temp", "status": "block", "value": 0.5, "pending": true});
        expected["results"] = json!([result]);
        expected["brief"] = json!(true);
        assert_eq!(written[1].to_string(), expected.to_string());
    }

    #[test]
    fn what_verdicts_have_in_common_is_kept_once() {
        let mut kept = Kept::default();
        for (end, stage) in [(1, None), (2, None), (3, Some("prod")), (4, Some("prod")), (5, None)] {
            kept.push(verdict(end, f64::NAN, stage), Keep::default());
        }
        let frames: Vec<*const Frame> = kept.brief.iter().map(|b| Arc::as_ptr(&b.frame)).collect();
        assert!(frames[0] == frames[1] && frames[1] != frames[2] && frames[2] == frames[3]);
        let written = json!(kept.newest_first().collect::<Vec<_>>());
        assert_eq!((&written[1]["stage"], &written[4]["stage"]), (&json!("prod"), &Value::Null));
        assert_eq!(written[1]["results"][0]["value"], Value::Null, "numbers leave finite or null");
    }
}
