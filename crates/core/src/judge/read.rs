//! Verdicts read back from their JSON: what the registry and the checkpoint keep is shown and acted upon again. Every name
//! that evidence may have is read, so that no verdict of a newer or an older driftgate goes missing without a word.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

use super::verdict::{Evidence, RuleResult, Status, Verdict, WindowSpan};
use crate::rule;

/// A text that is no verdict.
#[derive(Debug, thiserror::Error)]
#[error("a stored verdict cannot be read: {0}")]
pub struct VerdictError(#[from] serde_json::Error);

/// The verdict of a JSON text.
///
/// # Errors
/// What the text lacks, or has otherwise than verdicts do, and where.
pub fn verdict_from_json(json: &str) -> Result<Verdict, VerdictError> {
    Ok(serde_json::from_str(json)?)
}

impl<'de> Deserialize<'de> for WindowSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Span {
            start: String,
            end: String,
            complete: bool,
        }
        let Span { start, end, complete } = Span::deserialize(deserializer)?;
        Ok(Self { start: time(&start).map_err(Error::custom)?, end: time(&end).map_err(Error::custom)?, complete })
    }
}

impl<'de> Deserialize<'de> for RuleResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let common = Common::take(&mut fields).map_err(Error::custom)?;
        // What is left stands in the order it was written in.
        let evidence = fields.into_iter().collect();
        Ok(Self { evidence, ..common.0 })
    }
}

/// A result without its evidence.
struct Common(RuleResult);

impl Common {
    /// Takes what every result has.
    fn take(fields: &mut Map<String, Value>) -> Result<Self, String> {
        let metric = text(fields, "metric")?;
        Ok(Self(RuleResult {
            metric: rule::find(&metric).map_or(Cow::Owned(metric), |definition| Cow::Borrowed(definition.name)),
            rule: text(fields, "rule")?,
            subject: text(fields, "subject")?,
            status: required(fields, "status").and_then(status)?,
            value: match required(fields, "value")? {
                Value::Null => None,
                value => Some(value.as_f64().ok_or_else(|| format!("value is {value}, which is no number"))?),
            },
            evidence: Evidence::default(),
            reason: optional(fields, "reason", |v| v.as_str().map(str::to_owned))?,
            since: match optional(fields, "since", |v| v.as_str().map(str::to_owned))? {
                Some(since) => Some(time(&since)?),
                None => None,
            },
            pending: optional(fields, "pending", Value::as_bool)?.unwrap_or(false),
            muted: optional(fields, "muted", Value::as_bool)?.unwrap_or(false),
            bins: fields.shift_remove("bins").map(Into::into),
        }))
    }
}

fn required(fields: &mut Map<String, Value>, key: &str) -> Result<Value, String> {
    fields.shift_remove(key).ok_or_else(|| format!("a result lacks {key}"))
}

fn optional<T>(
    fields: &mut Map<String, Value>,
    key: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(value) = fields.shift_remove(key) else { return Ok(None) };
    read(&value).map(Some).ok_or_else(|| format!("{key} of a result is {value}"))
}

fn text(fields: &mut Map<String, Value>, key: &str) -> Result<String, String> {
    match required(fields, key)? {
        Value::String(text) => Ok(text),
        other => Err(format!("{key} of a result is {other}, which is no text")),
    }
}

fn status(value: Value) -> Result<Status, String> {
    serde_json::from_value(value).map_err(|e| format!("status of a result: {e}"))
}

/// A time as verdicts are written with: RFC 3339, or milliseconds beyond its years.
fn time(text: &str) -> Result<i64, String> {
    if let Some(ms) = text.strip_suffix(" ms").and_then(|ms| ms.parse().ok()) {
        return Ok(ms);
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(jiff::Timestamp::as_millisecond).map_err(|e| format!("{text:?} is no time: {e}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::verdict::Counted;
    use super::*;

    const JSON: &str = r#"{"verdict_id":"ab","model":"m","version":"1","stage":"prod","group":"drift","window":{"start":"2013-03-01T00:00:00Z","end":"2013-03-08T00:00:00Z","complete":true},"status":"block","results":[{"rule":"drift/psi","metric":"psi","subject":"temp","status":"block","value":0.31,"limit":{"lt":0.2},"method":"quantile-10/half","expected_null":0.0017,"n":6012,"missing":3,"invalid":0,"reference_n":50009,"since":"2013-03-08T00:00:00Z","pending":true,"bins":[{"le":28.9,"reference":5120,"window":310}]},{"rule":"f/tpr_gap","metric":"tpr_gap","subject":"origin","status":"insufficient","value":null,"lower":null,"n":0,"reason":"nothing","muted":true,"segments":[]}],"counted":{"predictions":6012,"labels":5990},"policy_sha256":"p","baseline_sha256":null}"#;

    #[test]
    fn what_is_read_back_is_written_the_same() {
        let verdict = verdict_from_json(JSON).unwrap();
        assert_eq!(serde_json::to_string(&verdict).unwrap(), JSON);
    }

    #[test]
    fn names_that_are_not_known_are_read_all_the_same() {
        let json =
            JSON.replace("\"psi\",\"subject\"", "\"wasserstein\",\"subject\"").replace("\"method\"", "\"bandwidth\"");
        let verdict = verdict_from_json(&json).unwrap();
        assert_eq!(verdict.results[0].metric, "wasserstein");
        assert_eq!(verdict.results[0].get("bandwidth"), Some(json!("quantile-10/half")));
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
    }

    #[test]
    fn what_is_no_verdict_is_an_error_that_says_so() {
        for (from, to, says) in [
            (JSON, "{}", "missing field `verdict_id`"),
            (JSON, "", "EOF"),
            ("\"block\",\"value\":0.31", "\"broken\",\"value\":0.31", "unknown variant `broken`"),
            ("\"value\":0.31", "\"value\":\"high\"", "value is \"high\", which is no number"),
            ("\"value\":0.31,", "", "a result lacks value"),
            ("\"subject\":\"temp\"", "\"subject\":1", "subject of a result is 1"),
            ("\"since\":\"2013-03-08T00:00:00Z\"", "\"since\":\"soon\"", "\"soon\" is no time"),
            ("\"end\":\"2013-03-08T00:00:00Z\"", "\"end\":\"late\"", "\"late\" is no time"),
            ("\"muted\":true", "\"muted\":1", "muted of a result is 1"),
        ] {
            let error = verdict_from_json(&JSON.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with("a stored verdict cannot be read: ") && error.contains(says), "{error}");
        }
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<f64>().prop_map(|x| crate::codec::number::number(Some(x))),
            (0.0..1.0_f64).prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), ".*".prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// Times from the year 1 to 9999.
    fn ms() -> impl Strategy<Value = i64> {
        -62_135_596_800_000..253_402_300_799_999_i64
    }

    fn result() -> impl Strategy<Value = RuleResult> {
        let known: Vec<&'static str> = rule::all()
            .map(|definition| definition.name)
            .chain(["limit", "n", "segments", "unseen", "champion_rate"])
            .collect();
        let name = prop_oneof![
            prop::sample::select(known).prop_map(Cow::Borrowed),
            "evidence_[a-z]{0,12}".prop_map(Cow::Owned),
        ];
        let evidence = prop::collection::vec((name.clone(), value()), 0..8).prop_map(|mut pieces| {
            let mut seen = std::collections::BTreeSet::new();
            pieces.retain(|(name, _)| seen.insert(name.clone()));
            pieces.into_iter().collect::<Evidence>()
        });
        let float = prop_oneof![any::<f64>(), 0.0..1.0_f64].prop_filter("finite", |x| x.is_finite());
        let flags = (any::<bool>(), any::<bool>(), prop::sample::select(Status::ALL.to_vec()));
        let more = (prop::option::of(".*"), prop::option::of(ms()), prop::option::of(value()));
        (".*", name, ".*", flags, prop::option::of(float), evidence, more).prop_map(
            |(rule, metric, subject, (pending, muted, status), value, evidence, (reason, since, bins))| RuleResult {
                rule,
                metric,
                subject,
                status,
                value,
                evidence,
                reason,
                since,
                pending,
                muted,
                // Those of one that passes are not written.
                bins: bins.filter(|_| status != Status::Pass).map(Into::into),
            },
        )
    }

    proptest! {
        /// Byte for byte, whatever the evidence is called and holds.
        #[test]
        fn any_verdict_is_read_back_as_it_was_written(
            results in prop::collection::vec(result(), 0..4),
            texts in (".*", ".*", ".*", prop::option::of(".*"), ".*", ".*", prop::option::of(".*")),
            (start, end, complete) in (ms(), ms(), any::<bool>()),
            (predictions, labels) in (any::<u64>(), any::<u64>()),
            status in prop::sample::select(Status::ALL.to_vec()),
        ) {
            let (verdict_id, model, version, stage, group, policy_sha256, baseline_sha256) = texts;
            let verdict = Verdict {
                verdict_id, model, version, stage, group, status, results, policy_sha256, baseline_sha256,
                window: WindowSpan { start, end, complete },
                counted: Counted { predictions, labels },
            };
            let json = serde_json::to_string(&verdict).unwrap();
            let read = verdict_from_json(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
            // But for the place of segments, which are written last.
            let last = |r: &RuleResult| r.evidence.names().last().is_none_or(|name| name == "segments")
                || r.get("segments").is_none();
            if verdict.results.iter().all(last) {
                prop_assert_eq!(read, verdict);
            }
        }
    }
}
