//! What fields are for, by their names and types: which field of an event each is, what kind of events they are, what numbers of times count,
//! and which names would be what in a policy. A guess is made only where name and type agree in every value that was looked at.

use std::collections::BTreeMap;

use super::fields::{Field, Fields};
use crate::cli::init::names::{self, Output};
use driftgate_core::event::{EventKind, Field as Of, TimeUnit};

const NUMBERS: [&str; 2] = ["integer", "number"];
const TEXTS: [&str; 2] = ["text", "integer"];
/// Fields of features streams are at least so many numbers or texts.
const FEW: usize = 2;

/// Names of each field, the likeliest first, as words joined by `_`.
const NAMES: [(Of, &[&str]); 13] = [
    (
        Of::PredictionId,
        &[
            "prediction_id",
            "predictionid",
            "inference_id",
            "request_id",
            "requestid",
            "correlation_id",
            "event_id",
            "transaction_id",
            "trace_id",
            "uuid",
            "id",
            "key",
            "ce_id",
        ],
    ),
    (Of::Model, &["model", "model_name", "modelname", "model_id"]),
    (Of::Version, &["version", "model_version", "modelversion"]),
    (
        Of::Ts,
        &[
            "ts",
            "timestamp",
            "event_time",
            "eventtime",
            "event_timestamp",
            "event_ts",
            "timestamp_ms",
            "ts_ms",
            "time",
            "occurred_at",
            "created_at",
            "logged_at",
            "inference_time",
            "prediction_time",
            "scored_at",
            "labeled_at",
            "datetime",
            "date",
            "ce_time",
        ],
    ),
    (Of::LatencyMs, &["latency_ms", "latency", "duration_ms", "execution_time_ms", "response_time_ms"]),
    (Of::Error, &["error", "is_error"]),
    (Of::Decision, &["decision"]),
    (Of::Stage, &["stage"]),
    (Of::Segments, &["segments"]),
    (Of::Features, &["features", "inputs", "input", "feature_values"]),
    (Of::Kpi, &["kpi", "kpis"]),
    (Of::Metric, &["metric", "metric_name"]),
    (Of::Value, &["value", "metric_value"]),
];

/// What was guessed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guess {
    pub kind: Option<EventKind>,
    /// The pointer's parts of each field of an event.
    pub fields: BTreeMap<Of, Vec<String>>,
    /// `timestamp` of the source, where times are numbers.
    pub unit: Option<&'static str>,
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    /// What is open, a sentence each.
    pub open: Vec<String>,
}

/// Guesses from all fields.
pub fn guess(all: &Fields) -> Guess {
    let mut guess = Guess::default();
    for (of, known) in NAMES {
        if let Some(field) = named(all, known).filter(|field| fits(of, field)) {
            guess.fields.insert(of, field.place.clone());
        }
    }
    let object = guess.fields.get(&Of::Features).cloned();
    let outside = |field: &&Field| object.as_ref().is_none_or(|at| !field.place.starts_with(at));
    if let Some(field) = all.all.iter().filter(outside).filter(|f| is_score(f)).min_by_key(|f| (rank(f), f.place.len()))
    {
        guess.fields.insert(Of::Score, field.place.clone());
    }
    let outcomes = all.all.iter().filter(outside).filter(|f| names::is_outcome(f.name()) && is_flag(f));
    if let Some(field) = outcomes.min_by_key(|f| (names::outcome(f.name()), f.place.len())) {
        guess.fields.insert(Of::Label, field.place.clone());
    }
    features(all, &mut guess);
    guess.kind = kind(&guess);
    time(all, &mut guess);
    remarks(&mut guess);
    guess
}

fn at<'f>(all: &'f Fields, place: &[String]) -> Option<&'f Field> {
    all.all.iter().find(|field| field.place == place)
}

/// The field with the likeliest of these names; of two, the one that is less deep.
fn named<'f>(all: &'f Fields, known: &[&str]) -> Option<&'f Field> {
    let rank = |field: &Field| known.iter().position(|name| *name == names::words(field.name()).join("_"));
    let ranked = all.all.iter().filter_map(|field| Some((rank(field)?, field)));
    ranked.min_by_key(|(rank, field)| (*rank, field.place.len())).map(|(_, field)| field)
}

fn fits(of: Of, field: &Field) -> bool {
    match of {
        Of::Segments | Of::Features | Of::Kpi => field.is(&["object"]),
        Of::LatencyMs | Of::Value => field.is(&NUMBERS),
        Of::Error | Of::Decision => is_flag(field),
        Of::Ts => unit(field).is_some() || is_text_time(field),
        _ => field.is(&TEXTS),
    }
}

fn is_flag(field: &Field) -> bool {
    let bits = field.is(&NUMBERS) && field.range.is_some_and(|(least, most)| least >= 0.0 && most <= 1.0);
    field.is(&["boolean"]) || field.is(&["text"]) || bits
}

/// The model's output, from 0 to 1.
fn is_score(field: &Field) -> bool {
    let output = matches!(names::output(field.name()), Some(Output::Probability | Output::Score | Output::Prediction));
    output && field.is(&NUMBERS) && field.range.is_some_and(|(least, most)| least >= 0.0 && most <= 1.0)
}

fn rank(field: &Field) -> u8 {
    match (field.name(), names::output(field.name())) {
        ("score", _) => 0,
        (_, Some(Output::Probability)) => 1,
        (_, Some(Output::Score)) => 2,
        _ => 3,
    }
}

/// Members of the object of features, else fields at the top that are nothing else.
fn features(all: &Fields, guess: &mut Guess) {
    let object = guess.fields.get(&Of::Features).cloned();
    let taken: Vec<Vec<String>> = guess.fields.values().cloned().collect();
    let within = object.clone().unwrap_or_default();
    let member = |field: &&Field| {
        field.place.starts_with(&within) && field.place.len() == within.len() + 1 && !taken.contains(&field.place)
    };
    for field in all.all.iter().filter(member) {
        let name = field.name().to_owned();
        if object.is_none()
            && (name.starts_with("ce_") || names::is_id(&name) || names::output(&name).is_some() || field.times > 0)
        {
            continue;
        }
        if field.is(&NUMBERS) {
            guess.numeric.push(name);
        } else if field.is(&["text"]) || field.is(&["boolean"]) || field.is(&["text", "boolean"]) {
            guess.categorical.push(name);
        }
    }
}

fn kind(guess: &Guess) -> Option<EventKind> {
    let has = |of: Of| guess.fields.contains_key(&of);
    let features = guess.numeric.len() + guess.categorical.len();
    if has(Of::Metric) && has(Of::Value) && !has(Of::Score) {
        Some(EventKind::Measurements)
    } else if has(Of::Score) || (has(Of::Version) && has(Of::Features)) {
        Some(EventKind::Predictions)
    } else if has(Of::PredictionId) && (has(Of::Label) || has(Of::Kpi)) && !has(Of::Features) {
        Some(EventKind::Labels)
    } else if !has(Of::Version) && (has(Of::Features) || features >= FEW) && has(Of::Ts) {
        Some(EventKind::Features)
    } else {
        None
    }
}

/// What a number counts, if every value of the field lies between 1990 and 2100 by it.
fn unit(field: &Field) -> Option<&'static str> {
    let (least, most) = field.range.filter(|_| field.is(&NUMBERS))?;
    let units = TimeUnit::KEYS.iter().filter(|(name, _)| *name != "rfc3339_or_ms");
    let within = |unit: TimeUnit| {
        let ticks = match unit {
            TimeUnit::Seconds => 1.0,
            TimeUnit::Millis => 1e3,
            TimeUnit::Micros => 1e6,
            TimeUnit::Nanos => 1e9,
        };
        least >= 631_152_000.0 * ticks && most < 4_102_444_800.0 * ticks
    };
    units.clone().find(|(_, unit)| within(*unit)).map(|(name, _)| *name)
}

fn is_text_time(field: &Field) -> bool {
    let texts = field.types.get("text").copied().unwrap_or(0);
    field.is(&["text"]) && field.times + field.times_without_zone == texts
}

fn time(all: &Fields, guess: &mut Guess) {
    let Some(field) = guess.fields.get(&Of::Ts).and_then(|place| at(all, place)) else {
        guess.open.push("no field is a time by name and values: name it by `fields: {ts: /…}`".to_owned());
        return;
    };
    guess.unit = unit(field).filter(|unit| *unit != "ms");
    if field.times_without_zone > 0 {
        let pointer = field.pointer();
        guess
            .open
            .push(format!("times in {pointer} have no time zone: say by `timezone` in which one they are written"));
    }
}

fn remarks(guess: &mut Guess) {
    let has = |of: Of| guess.fields.contains_key(&of);
    let mut open = Vec::new();
    match guess.kind {
        None => open.push("the fields do not say what kind of events these are: write `kind` by hand".to_owned()),
        Some(kind) => {
            if !has(Of::Model) {
                open.push("no field names the model: write its name in place of MODEL".to_owned());
            }
            let needed = |of: Of| kind.has(of) && !has(of);
            if matches!(kind, EventKind::Predictions | EventKind::Measurements) && needed(Of::Version) {
                open.push(
                    "no field names the version, which these events need: name it by `fields: {version: /…}`"
                        .to_owned(),
                );
            }
            if kind == EventKind::Predictions && needed(Of::PredictionId) {
                open.push("no field identifies a prediction, so no labels can be joined to these".to_owned());
            }
            if kind == EventKind::Predictions && !has(Of::Features) && guess.numeric.len() + guess.categorical.len() > 0
            {
                open.push("no field is one object of features, as driftgate reads them from topics; of files it reads columns".to_owned());
            }
            if kind == EventKind::Predictions && has(Of::Label) {
                open.push(
                    "labels come with the predictions here; driftgate reads them from events of their own".to_owned(),
                );
            }
        }
    }
    guess.open.append(&mut open);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(values: &[Value]) -> Guess {
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.add(value));
        guess(&fields)
    }

    #[test]
    fn predictions_are_told_by_names_and_types() {
        let found = of(&[json!({"request_id": "a", "model_version": 3, "event_time": 1_700_000_000, "prob": 0.5,
            "features": {"age": 31, "plan": "x", "score": 2}})]);
        assert_eq!((found.kind, found.unit), (Some(EventKind::Predictions), Some("s")));
        let place = |of: Of| found.fields.get(&of).map(|place| place.join("/"));
        assert_eq!(place(Of::PredictionId).as_deref(), Some("request_id"));
        assert_eq!(place(Of::Version).as_deref(), Some("model_version"));
        assert_eq!(place(Of::Score).as_deref(), Some("prob"));
        assert_eq!(
            (&found.numeric[..], &found.categorical[..]),
            (&["age".to_owned(), "score".into()][..], &["plan".to_owned()][..])
        );
        assert!(found.open.iter().any(|open| open.contains("MODEL")), "{:?}", found.open);
    }

    #[test]
    fn other_kinds_are_told_and_what_is_open_stays_open() {
        for (value, expected) in [
            (json!({"prediction_id": "a", "label": 1, "ts": "2026-01-01T00:00:00Z"}), Some(EventKind::Labels)),
            (
                json!({"metric": "auc", "value": 0.9, "version": "1", "ts": 1_700_000_000_000_i64}),
                Some(EventKind::Measurements),
            ),
            (json!({"ts": 1_700_000_000_000_i64, "x": 1, "y": 2}), Some(EventKind::Features)),
            (json!({"a": [1, 2]}), None),
            (json!({"score": 700, "id": "a"}), None),
        ] {
            assert_eq!(of(std::slice::from_ref(&value)).kind, expected, "{value}");
        }
    }

    #[test]
    fn a_number_is_a_time_only_where_all_values_are() {
        let unit = |values: &[i64]| of(&values.iter().map(|ts| json!({"ts": ts, "score": 0.1})).collect::<Vec<_>>());
        assert_eq!(unit(&[1_700_000_000]).unit, Some("s"));
        assert_eq!(
            (unit(&[1_700_000_000_000]).unit, unit(&[1_700_000_000_000]).fields.contains_key(&Of::Ts)),
            (None, true)
        );
        assert_eq!(unit(&[1_700_000_000_000_000]).unit, Some("us"));
        assert_eq!(unit(&[1_700_000_000_000_000_000]).unit, Some("ns"));
        assert!(!unit(&[1_700_000_000, 5]).fields.contains_key(&Of::Ts));
        let without = of(&[json!({"ts": "2026-01-01 00:00:00", "score": 0.5})]);
        assert!(without.open.iter().any(|open| open.contains("no time zone")), "{:?}", without.open);
    }
}
