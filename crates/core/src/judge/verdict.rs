//! Verdicts and signals as they leave us: JSON with keys in a fixed order, times in UTC, numbers finite or null.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::codec::number::{number, short, written};
use crate::codec::time::utc;
use crate::rule::distributions::Distributions;
use crate::state_v4;

pub use crate::rule::types::Status;

/// One rule on one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleResult {
    /// `group/id`.
    pub rule: String,
    pub metric: Cow<'static, str>,
    pub subject: String,
    pub status: Status,
    pub value: Option<f64>,
    /// Everything beside the value, in the order it is written.
    pub evidence: Evidence,
    /// Why it is insufficient, or a warning beyond the warning limit.
    pub reason: Option<String>,
    /// End of the first window of this run of windows with this status; only where it is not pass.
    pub since: Option<i64>,
    /// Breached, but not for as long as `for:` asks.
    pub pending: bool,
    pub muted: bool,
    /// The distributions beside each other. They are written only where it is not pass; the history keeps them always.
    pub bins: Option<Distributions>,
}

/// What is in a result beside what every result has, in the order it is written: the text of a JSON object, which takes
/// a tenth of what its values would. Whatever its names are, it is read back as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence(Box<str>);

impl<K: AsRef<str>> FromIterator<(K, Value)> for Evidence {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pieces: I) -> Self {
        let mut text = Vec::with_capacity(256);
        for (name, value) in pieces {
            text.push(if text.is_empty() { b'{' } else { b',' });
            // Writing to memory does not fail, and neither do values whose names are texts.
            let _ = serde_json::to_writer(&mut text, name.as_ref());
            text.push(b':');
            let _ = serde_json::to_writer(&mut text, &value);
        }
        if !text.is_empty() {
            text.push(b'}');
        }
        Self(String::from_utf8(text).unwrap_or_default().into())
    }
}

impl From<Vec<(&'static str, Value)>> for Evidence {
    fn from(pieces: Vec<(&'static str, Value)>) -> Self {
        pieces.into_iter().collect()
    }
}

impl Evidence {
    /// Its pieces by name, in their order.
    fn pieces(&self) -> Pieces<'_> {
        // The text was written by `from_iter`.
        if self.0.is_empty() { Pieces::default() } else { serde_json::from_str(&self.0).unwrap_or_default() }
    }

    /// Its pieces as a type with fields of their names; `None` where there are none, or of other kinds.
    #[must_use]
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }

    /// The names of its pieces.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.pieces().0.into_iter().map(|(name, _)| name.into_owned()).collect()
    }
}

/// Names and the texts of their values.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Pieces<'t>(#[serde(borrow, deserialize_with = "pieces")] Vec<(Cow<'t, str>, &'t RawValue)>);

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

fn pieces<'de: 't, 't, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Cow<'t, str>, &'t RawValue)>, D::Error> {
    struct Each;
    impl<'de> Visitor<'de> for Each {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                all.push((name, value));
            }
            Ok(all)
        }
    }
    deserializer.deserialize_map(Each)
}

impl RuleResult {
    /// A piece of evidence by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        // Most results have no such piece, and are not looked through for it.
        if !self.evidence.0.contains(name) {
            return None;
        }
        let pieces = self.evidence.pieces();
        let (_, text) = pieces.0.iter().find(|(key, _)| key == name)?;
        serde_json::from_str(text.get()).ok()
    }

    /// What decisions see: a pending breach only warns, a muted result passes.
    #[must_use]
    pub fn decides(&self) -> Status {
        match (self.muted, self.status) {
            (true, _) => Status::Pass,
            (false, Status::Block) if self.pending => Status::Warn,
            (false, status) => status,
        }
    }

    /// The result in a line, for signals and people: `drift/psi temp 0.31 breaks lt 0.2`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let value = self.value.map_or_else(|| "no value".to_owned(), short);
        let mut out = format!("{} {} {value}", self.rule, self.subject);
        if let Some(Value::Object(limit)) = self.get("limit") {
            for (k, v) in &limit {
                out.push_str(if self.status == Status::Block { " breaks " } else { " against " });
                out.push_str(k);
                out.push(' ');
                out.push_str(&written(v));
            }
        }
        if let Some(reason) = &self.reason {
            out.push_str(": ");
            out.push_str(reason);
        }
        out
    }
}

impl Serialize for RuleResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rule", &self.rule)?;
        map.serialize_entry("metric", &self.metric)?;
        map.serialize_entry("subject", &self.subject)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("value", &number(self.value))?;
        let Pieces(pieces) = self.evidence.pieces();
        let (segments, pieces): (Vec<_>, Vec<_>) = pieces.iter().partition(|(key, _)| key == "segments");
        for (key, value) in pieces {
            map.serialize_entry(key, value)?;
        }
        if let Some(reason) = &self.reason {
            map.serialize_entry("reason", reason)?;
        }
        if let Some(since) = self.since {
            map.serialize_entry("since", &utc(since))?;
        }
        if self.pending {
            map.serialize_entry("pending", &true)?;
        }
        if self.muted {
            map.serialize_entry("muted", &true)?;
        }
        for (key, value) in segments {
            map.serialize_entry(key, value)?;
        }
        if let Some(bins) = self.bins.as_ref().filter(|_| self.status != Status::Pass) {
            map.serialize_entry("bins", &bins.own)?;
        }
        map.end()
    }
}

/// The span that a verdict is about: [start, end), as JSON RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Window))]
pub struct WindowSpan {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub start: i64,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub end: i64,
    /// Whether the streams had passed its end; only files have windows that are not complete.
    pub complete: bool,
}

impl Serialize for WindowSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("start", &utc(self.start))?;
        map.serialize_entry("end", &utc(self.end))?;
        map.serialize_entry("complete", &self.complete)?;
        map.end()
    }
}

/// What a window counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counted {
    pub predictions: u64,
    pub labels: u64,
}

/// A window of one (model, version, group), judged. No decision changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    pub verdict_id: String,
    pub model: String,
    pub version: String,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub stage: Option<String>,
    pub group: String,
    pub window: WindowSpan,
    pub status: Status,
    pub results: Vec<RuleResult>,
    pub counted: Counted,
    pub policy_sha256: String,
    /// Null while the version has no baseline.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub baseline_sha256: Option<String>,
}

impl Verdict {
    /// Verdicts are ordered by end, model, version and group.
    #[must_use]
    pub fn order(&self) -> (i64, &str, &str, &str) {
        (self.window.end, &self.model, &self.version, &self.group)
    }

    /// Leaves what is written.
    pub fn forget_distributions_by_segment(&mut self) {
        for bins in self.results.iter_mut().filter_map(|result| result.bins.as_mut()) {
            bins.by_segment = Vec::new();
        }
    }

    /// What decisions see of it: the worst result that decides.
    #[must_use]
    pub fn decides(&self) -> Status {
        self.results.iter().map(RuleResult::decides).max().unwrap_or(Status::Pass)
    }
}

/// What the registry is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Block,
    Clear,
    Rollback,
}

impl Action {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Clear => "clear",
            Self::Rollback => "rollback",
        }
    }
}

/// A signal to the registry. Its id is a function of what it says, so that applying it twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    pub signal_id: String,
    /// The window's end, RFC 3339.
    pub ts: String,
    pub model: String,
    pub version: String,
    pub group: String,
    pub action: Action,
    pub stage: Option<String>,
    pub rollback_to: Option<String>,
    pub reasons: Vec<String>,
    pub verdict_id: String,
    pub policy_sha256: String,
}

impl From<state_v4::Action> for Action {
    fn from(old: state_v4::Action) -> Self {
        match old {
            state_v4::Action::Block => Self::Block,
            state_v4::Action::Clear => Self::Clear,
            state_v4::Action::Rollback => Self::Rollback,
        }
    }
}

impl From<state_v4::Signal> for Signal {
    fn from(old: state_v4::Signal) -> Self {
        Self {
            signal_id: old.signal_id,
            ts: old.ts,
            model: old.model,
            version: old.version,
            group: old.group,
            action: old.action.into(),
            stage: old.stage,
            rollback_to: old.rollback_to,
            reasons: old.reasons,
            verdict_id: old.verdict_id,
            policy_sha256: old.policy_sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_in_order_and_never_with_a_number_that_is_not_finite() {
        let result = RuleResult {
            rule: "drift/psi".into(),
            metric: "psi".into(),
            subject: "temp".into(),
            status: Status::Block,
            value: Some(f64::INFINITY),
            evidence: vec![("limit", serde_json::json!({"lt": 0.2})), ("n", 3.into())].into(),
            reason: None,
            since: Some(1_362_700_800_000),
            pending: false,
            muted: true,
            bins: Some(Value::Array(vec![]).into()),
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"rule":"drift/psi","metric":"psi","subject":"temp","status":"block","value":null,"limit":{"lt":0.2},"n":3,"since":"2013-03-08T00:00:00Z","muted":true,"bins":[]}"#
        );
        assert_eq!(result.decides(), Status::Pass);
        assert_eq!(
            RuleResult { value: Some(0.31), muted: false, ..result }.sentence(),
            "drift/psi temp 0.31 breaks lt 0.2"
        );
    }
}
