//! `sources:`: which topics hold which events, and where in a message each field stands.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;

use driftgate_core::decode::time::{FUTURE_MS, zone};
use driftgate_core::yaml::{Item, units};

/// One topic of events. Its format is JSON, the only one so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    pub topic: String,
    pub kind: SourceKind,
    pub fields: SourceFields,
    /// The models that the events are for; empty: the one an event names.
    pub models: Vec<String>,
    /// The model of events that name none.
    pub model: Option<String>,
    /// Features by their name in the message, to their name in the policy.
    pub rename: BTreeMap<String, String>,
    pub timestamp: TimestampUnit,
    /// Where clocks stood that wrote times without a zone.
    pub timezone: Option<TimeZone>,
    /// How far ahead of its record's time an event's time may lie, in ms.
    pub future: i64,
    /// Texts of CSV files that mean null, in place of the policy's or the usual ones.
    pub null_values: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    Predictions,
    Features,
    Labels,
    Measurements,
}

/// How an event's time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampUnit {
    /// A text is RFC 3339 or digits, a number is milliseconds.
    #[default]
    Rfc3339OrMs,
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// Where each field stands in a message: the parts of its JSON pointer (RFC 6901), unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFields {
    pub prediction_id: Vec<String>,
    pub model: Vec<String>,
    pub version: Vec<String>,
    pub ts: Vec<String>,
    pub score: Vec<String>,
    pub label: Vec<String>,
    pub latency_ms: Vec<String>,
    pub error: Vec<String>,
    pub decision: Vec<String>,
    pub stage: Vec<String>,
    pub segments: Vec<String>,
    pub features: Vec<String>,
    pub kpi: Vec<String>,
    pub metric: Vec<String>,
    pub value: Vec<String>,
    pub n: Vec<String>,
}

const FIELDS: &[&str] = &[
    "prediction_id",
    "model",
    "version",
    "ts",
    "score",
    "label",
    "latency_ms",
    "error",
    "decision",
    "stage",
    "segments",
    "features",
    "kpi",
    "metric",
    "value",
    "n",
];

/// Every field at the top of the message, under its own name.
impl Default for SourceFields {
    fn default() -> Self {
        let top = |name: &str| vec![name.to_owned()];
        Self {
            prediction_id: top("prediction_id"),
            model: top("model"),
            version: top("version"),
            ts: top("ts"),
            score: top("score"),
            label: top("label"),
            latency_ms: top("latency_ms"),
            error: top("error"),
            decision: top("decision"),
            stage: top("stage"),
            segments: top("segments"),
            features: top("features"),
            kpi: top("kpi"),
            metric: top("metric"),
            value: top("value"),
            n: top("n"),
        }
    }
}

impl SourceFields {
    fn place(&mut self, field: &str) -> Option<&mut Vec<String>> {
        Some(match field {
            "prediction_id" => &mut self.prediction_id,
            "model" => &mut self.model,
            "version" => &mut self.version,
            "ts" => &mut self.ts,
            "score" => &mut self.score,
            "label" => &mut self.label,
            "latency_ms" => &mut self.latency_ms,
            "error" => &mut self.error,
            "decision" => &mut self.decision,
            "stage" => &mut self.stage,
            "segments" => &mut self.segments,
            "features" => &mut self.features,
            "kpi" => &mut self.kpi,
            "metric" => &mut self.metric,
            "value" => &mut self.value,
            "n" => &mut self.n,
            _ => return None,
        })
    }
}

pub(super) fn sources(item: &Item) -> Option<Vec<SourceConfig>> {
    let mut topics: HashMap<String, usize> = HashMap::new();
    let mut sources = Vec::new();
    for (place, item) in item.list("sources")?.iter().enumerate() {
        let Some(source) = source(item) else { continue };
        if let Some(first) = topics.get(&source.topic) {
            item.report(format!(
                "the topic \"{}\" is read by sources[{first}] already: keep one source a topic",
                source.topic
            ));
        } else {
            topics.insert(source.topic.clone(), place);
        }
        sources.push(source);
    }
    if sources.is_empty() && item.list("").is_some_and(|items| items.is_empty()) {
        return item.fail("expected at least one source: write {topic: predictions, kind: predictions}");
    }
    Some(sources)
}

fn source(item: &Item) -> Option<SourceConfig> {
    let map = item.map(&[
        "topic",
        "kind",
        "format",
        "fields",
        "models",
        "model",
        "rename",
        "timestamp",
        "timezone",
        "future",
        "null_values",
    ])?;
    let topic = map.require("topic", "predictions").and_then(|item| topic(&item));
    let kinds = [
        ("predictions", SourceKind::Predictions),
        ("features", SourceKind::Features),
        ("labels", SourceKind::Labels),
        ("measurements", SourceKind::Measurements),
    ];
    let kind = map.require("kind", "predictions").and_then(|item| item.choice(&kinds));
    let _ = map.get("format").and_then(|item| item.choice(&[("json", ())]));
    let fields = map.get("fields").map_or_else(|| Some(SourceFields::default()), |item| fields(&item));
    let models = map.get("models").map_or_else(|| Some(Vec::new()), |item| models(&item));
    let model = map.get("model").and_then(|item| item.name("a model's name")).map(str::to_owned);
    if let (Some(item), Some(_)) = (map.get("model"), map.get("models")) {
        item.report("both `model` and `models`: keep `model` for events that name none, or `models` for events that are for several");
    }
    let rename = map.get("rename").map_or_else(|| Some(BTreeMap::new()), |item| rename(&item));
    let units = [
        ("rfc3339_or_ms", TimestampUnit::Rfc3339OrMs),
        ("s", TimestampUnit::Seconds),
        ("ms", TimestampUnit::Millis),
        ("us", TimestampUnit::Micros),
        ("ns", TimestampUnit::Nanos),
    ];
    let timestamp = map.get("timestamp").map_or(Some(TimestampUnit::default()), |item| item.choice(&units));
    let timezone = map.get("timezone").map(|item| item.convert("a time zone", time_zone));
    let timezone = timezone.map_or(Some(None), |zone| zone.map(Some));
    let future = map.get("future").map_or(Some(FUTURE_MS), |item| item.convert("a duration", units::duration));
    let null_values = match map.get("null_values") {
        Some(item) => item.texts("texts that mean null").map(Some),
        None => Some(None),
    };
    Some(SourceConfig {
        topic: topic?,
        kind: kind?,
        fields: fields?,
        models: models?,
        model,
        rename: rename?,
        timestamp: timestamp?,
        timezone: timezone?,
        future: future?,
        null_values: null_values?,
    })
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    zone(name).ok_or_else(|| {
        format!(
            "expected a time zone, read {}: write UTC, a name such as Europe/Berlin or an offset such as +02:00",
            units::quote(name)
        )
    })
}

/// A topic's name, by Kafka's rules.
pub(super) fn topic(item: &Item) -> Option<String> {
    let name = item.text("a topic")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > 249 || !name.bytes().all(legal) || matches!(name, "." | "..") {
        return item.fail(format!(
            "expected a topic, read {}: use at most 249 of A-Z, a-z, 0-9, `.`, `_` and `-`",
            units::quote(name)
        ));
    }
    Some(name.to_owned())
}

fn fields(item: &Item) -> Option<SourceFields> {
    let map = item.map(FIELDS)?;
    let mut fields = SourceFields::default();
    for (field, item) in map.entries() {
        let Some(place) = fields.place(field) else { continue };
        if let Some(pointer) = item.convert("a JSON pointer", pointer) {
            *place = pointer;
        }
    }
    Some(fields)
}

/// The parts of a JSON pointer; the pointer to the whole message (the empty text) holds no field.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    let read = units::quote(text);
    let Some(parts) = text.strip_prefix('/') else {
        let example = if text.is_empty() { "outcome".to_owned() } else { text.replace('.', "/") };
        return Err(format!("expected a JSON pointer, read {read}: begin it with a slash, like \"/{example}\""));
    };
    parts
        .split('/')
        .map(|part| {
            unescape(part).ok_or_else(|| {
                format!("expected a JSON pointer, read {read}: after `~` comes 0 (for `~`) or 1 (for `/`)")
            })
        })
        .collect()
}

fn unescape(part: &str) -> Option<String> {
    let mut plain = String::with_capacity(part.len());
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

fn models(item: &Item) -> Option<Vec<String>> {
    let mut models: Vec<String> = Vec::new();
    for item in item.list("models")? {
        let Some(model) = item.name("a model's name") else {
            continue;
        };
        if models.iter().any(|other| other == model) {
            item.report(format!("{} is named twice: keep one", units::quote(model)));
        } else {
            models.push(model.to_owned());
        }
    }
    Some(models)
}

fn rename(item: &Item) -> Option<BTreeMap<String, String>> {
    let mut rename: BTreeMap<String, String> = BTreeMap::new();
    for (from, item) in item.open_map("a mapping such as {cust_age: age}")?.entries() {
        let Some(to) = item.name("the feature's name in the policy") else {
            continue;
        };
        if let Some((other, _)) = rename.iter().find(|(_, known)| *known == to) {
            item.report(format!("`{other}` and `{from}` are both renamed to {}: keep one", units::quote(to)));
        } else {
            rename.insert(from.to_owned(), to.to_owned());
        }
    }
    Some(rename)
}
