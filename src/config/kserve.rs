//! `inference:` of a source, or `kserve:` as it is called for `format: kserve`: what logged requests and responses mean.

use super::key::{Key, default, names, optional};
use super::limits::size;
use super::reader::ConfigReader;
use super::sources::{pointer, topic};
use driftgate_core::kserve::{Logged, Settings, Version};
use driftgate_core::yaml::{Item, Map, units};

pub const KSERVE: [Key; 7] = [
    default(
        "inputs",
        "list of texts",
        "[]",
        "Names of values that have none, in their order: of V1 instances that are lists, and of a V2 tensor with several values a row.",
    ),
    optional(
        "score",
        "JSON pointer",
        "Where the score stands in a row of the outputs: `/probability/1` is the second value of the output `probability`, `/1` that of a V1 prediction which is a list. \
         If it is left out, a row has to have one value.",
    ),
    optional("decision", "JSON pointer", "The same of the decision. If it is left out, events have none."),
    optional(
        "version",
        "JSON pointer",
        "The attribute of the events that names the version: `/endpoint`, `/annotations/model-version`, or `/metadata/x-model` of a header. If it is left out, it is \
         `model_version` of V2 responses.",
    ),
    optional("fixed_version", "text", "The version of all events, in place of `version`."),
    default(
        "wait",
        "duration",
        "10m",
        "How far the times of a request and its response may lie apart. What waits for longer is dropped and counted.",
    ),
    default(
        "wait_bytes",
        "size",
        "256MiB",
        "Memory for the requests and responses of the topic that wait for each other, from 1MiB to 1024GiB: the values of a half and 64 bytes. Partitions that are ahead of \
         others are not read on beyond half of it, and the oldest halves are dropped and counted beyond all of it.",
    ),
];

pub const INFERENCE: [Key; 9] = {
    let [inputs, score, decision, version, fixed_version, wait, wait_bytes] = KSERVE;
    let time = optional(
        "time",
        "JSON pointer",
        "Where the time stands in the bodies of `format: oip`, as RFC 3339 or milliseconds: `/parameters/time`. If it is left out, it is the record's; lines of files need it.",
    );
    let responses = optional(
        "responses",
        "topic",
        "Topic of the responses, where they have one of their own: `topic` has the requests then, and `model` says whose they are. For `format: kserve`, `oip` \
         and `mlserver`; with `seldon` they are the topics of Seldon Core 2.",
    );
    [inputs, score, decision, version, fixed_version, wait, wait_bytes, time, responses]
};

impl ConfigReader<'_> {
    /// `inference.responses` of a source: the topic of the responses to its requests.
    pub(super) fn responses(map: &Map, item: &Item) -> Option<String> {
        let splits = map.get("format").and_then(|format| format.scalar());
        if map.get("kind").and_then(|kind| kind.scalar()) == Some("labels") {
            return item.fail("labels have no responses: remove this");
        }
        if !matches!(splits, Some("kserve" | "oip" | "mlserver" | "seldon")) {
            return item.fail("these messages hold a request and its response: remove this");
        }
        if map.get("model").is_none() && map.get("models").is_none() {
            return item
                .fail("requests in a topic of their own do not say whose they are: write `model` of the source");
        }
        topic(item)
    }

    /// `inference` or `kserve` of a source whose events name their model, or do not have to.
    pub(super) fn kserve(map: &Map, logged: Logged, names_model: bool) -> Option<Settings> {
        let is_oip = matches!(logged, Logged::Oip { .. });
        let is_body = is_oip || matches!(logged, Logged::Mlserver | Logged::Seldon { .. });
        let settings = Settings { logged, names_model, ..Settings::default() };
        let Some(item) = map.get("inference").or(map.get("kserve")) else { return Some(settings) };
        let (map, time) = if map.get("inference").is_some() {
            let map = item.map(const { &names(&INFERENCE) })?;
            let time = map.get("time");
            (map, time)
        } else {
            (item.map(const { &names(&KSERVE) })?, None)
        };
        if let (Some(item), false) = (&time, is_oip) {
            item.report("these messages have a time in a place of its own: remove this");
        }
        let inputs = map.get("inputs").map_or(Some(Vec::new()), |item| item.texts("names of inputs"));
        let at = |key| map.get(key).map(|item: Item| item.convert("a JSON pointer", pointer));
        let score = at("score").unwrap_or(Some(Vec::new()));
        let decision = at("decision").map_or(Some(None), |pointer| pointer.map(Some));
        let version = match (map.get("version"), map.get("fixed_version")) {
            (None, None) => Some(Version::Response),
            (Some(item), None) if is_body => item.convert("a JSON pointer", pointer).map(Version::Parameter),
            (Some(item), None) => match item.convert("a JSON pointer", version) {
                Some(Version::Metadata(_) | Version::Annotation(_)) if settings.logged == Logged::SeldonLogger => item
                    .fail(
                        "events of Seldon's logger have no such attribute: write one that they have, such as /endpoint",
                    ),
                found => found,
            },
            (None, Some(item)) => item.name("a version").map(|version| Version::Fixed(version.to_owned())),
            (Some(_), Some(item)) => item.fail("both `version` and `fixed_version`: keep one"),
        };
        let wait = map.get("wait").map_or(Some(settings.wait), |item| item.convert("a duration", units::duration));
        let most_bytes = map
            .get("wait_bytes")
            .map_or(Some(settings.most_bytes), |item| size(&item, 1 << 20, 1 << 40, "from 1MiB to 1024GiB"));
        let time = time.map(|item| item.convert("a JSON pointer", pointer));
        let time = time.map_or(Some(None), |pointer| pointer.map(Some))?;
        Some(Settings {
            logged: if is_oip { Logged::Oip { time } } else { settings.logged.clone() },
            inputs: inputs?,
            score: score?,
            decision: decision?,
            version: version?,
            wait: wait?,
            most_bytes: most_bytes?,
            ..settings
        })
    }
}

/// The attribute that a pointer names.
fn version(text: &str) -> Result<Version, String> {
    let parts = pointer(text)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["metadata", header] => Ok(Version::Metadata((*header).to_owned())),
        ["annotations", name] => Ok(Version::Annotation((*name).to_owned())),
        [attribute] if !attribute.is_empty() && !matches!(*attribute, "metadata" | "annotations") => {
            Ok(Version::Attribute((*attribute).to_owned()))
        }
        _ => Err(format!(
            "expected an attribute of the event, read {}: write \"/endpoint\", \"/annotations/NAME\" or \"/metadata/HEADER\"",
            units::quote(text)
        )),
    }
}
