//! `schema_registry:`, and how the messages of a source are written.

use std::path::PathBuf;

use super::key::{Key, names, optional, required};
use super::reader::{ConfigReader, url};
use crate::source::schemas::Access;
use driftgate_core::event::EventKind;
use driftgate_core::kserve::{Logged, Settings};
use driftgate_core::yaml::{Item, Map};

/// A schema registry with Confluent's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRegistryConfig {
    pub url: String,
    pub access: Access,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
}

/// How a source's messages are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceFormat {
    #[default]
    Json,
    /// JSON behind Confluent's frame.
    JsonSchema,
    /// Avro behind Confluent's frame, by the schemas of the registry.
    Avro,
    /// Avro without a frame, by the schema of a file.
    AvroOf(PathBuf),
    /// Protobuf behind Confluent's frame, by the schemas of the registry.
    Protobuf,
    /// Protobuf without a frame: the file of its definitions, and the message that all values are.
    ProtobufOf(PathBuf, Option<String>),
    /// CloudEvents whose data is written so.
    CloudEvents(Box<SourceFormat>),
    /// Requests and responses, as the settings say that they are logged.
    Kserve(Box<Settings>),
}

pub const SCHEMA_REGISTRY: [Key; 5] = [
    required("url", "URL", "Address of a registry with Confluent's API."),
    optional("username", "text", "User that it is asked as."),
    optional("password_file", "path", "File with the user's password. It is read anew for each call."),
    optional("token_file", "path", "File with a bearer token, in place of a user."),
    optional("ca_file", "path", "Certificates (PEM) of the authorities that its certificate is from."),
];

pub const SCHEMA: [Key; 2] = [
    required(
        "file",
        "path",
        "What all messages of the source were written with, if they are not framed: an Avro schema (JSON), or Protobuf definitions: a \
         `.proto` file, whose imports are looked up from its folder, or a file descriptor set as `protoc --include_imports \
         --descriptor_set_out` and `buf build` write it.",
    ),
    optional("message", "text", "The message of the definitions that all values are, where there are several."),
];

/// How data is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Json,
    JsonSchema,
    Avro,
    Protobuf,
}

const FORMATS: [(&str, Written); 4] = [
    ("json", Written::Json),
    ("json_schema", Written::JsonSchema),
    ("avro", Written::Avro),
    ("protobuf", Written::Protobuf),
];

/// What `format` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Data(Written),
    /// `data_format` says how their data is written.
    CloudEvents,
    Kserve,
    Oip,
    Mlserver,
    Seldon,
    SageMaker,
    Databricks,
}

const LAYOUTS: [(&str, Layout); 11] = [
    ("json", Layout::Data(Written::Json)),
    ("json_schema", Layout::Data(Written::JsonSchema)),
    ("avro", Layout::Data(Written::Avro)),
    ("protobuf", Layout::Data(Written::Protobuf)),
    ("cloudevents", Layout::CloudEvents),
    ("kserve", Layout::Kserve),
    ("oip", Layout::Oip),
    ("mlserver", Layout::Mlserver),
    ("seldon", Layout::Seldon),
    ("sagemaker", Layout::SageMaker),
    ("databricks", Layout::Databricks),
];

impl SourceFormat {
    /// How the events are written: the data of CloudEvents.
    #[must_use]
    pub fn data(&self) -> &Self {
        match self {
            Self::CloudEvents(data) => data.data(),
            other => other,
        }
    }

    /// The same for the topic of the responses, where they have one of their own.
    pub(super) fn of_responses(&self) -> Self {
        match self {
            Self::Kserve(settings) if matches!(settings.logged, Logged::Seldon { .. }) => {
                let logged = Logged::Seldon { is_responses: true };
                Self::Kserve(Box::new(Settings { logged, ..(**settings).clone() }))
            }
            other => other.clone(),
        }
    }

    /// The same for events of a kind: the labels of `SageMaker` are its ground truth, those of Seldon Core 1 its feedback.
    pub(super) fn of_kind(self, kind: Option<EventKind>) -> Self {
        let Self::Kserve(settings) = self else { return self };
        let logged = match &settings.logged {
            Logged::SageMaker if kind == Some(EventKind::Labels) => Logged::GroundTruth,
            Logged::SeldonLogger if kind == Some(EventKind::Labels) => Logged::SeldonFeedback,
            _ => return Self::Kserve(settings),
        };
        Self::Kserve(Box::new(Settings { logged, ..*settings }))
    }

    /// Whether its messages can be events of this kind.
    pub(super) fn reads(&self, kind: EventKind) -> bool {
        match self {
            Self::Kserve(settings) if matches!(settings.logged, Logged::GroundTruth | Logged::SeldonFeedback) => {
                kind == EventKind::Labels
            }
            Self::Kserve(_) => kind == EventKind::Predictions,
            _ => true,
        }
    }
}

/// `inference.responses` of a source.
pub(super) fn responses<'m>(source: &Map<'m>) -> Option<Item<'m>> {
    source.get("inference").filter(Item::is_map)?.open_map("")?.get("responses")
}

/// What `format` of a source can be.
pub fn format_names() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().map(|(name, _)| *name)
}

/// Whether a source can have this `format`.
#[must_use]
pub fn has_format(name: &str) -> bool {
    format_names().any(|known| known == name)
}

impl ConfigReader<'_> {
    pub(super) fn schema_registry(&self, item: &Item) -> Option<SchemaRegistryConfig> {
        let map = item.map(const { &names(&SCHEMA_REGISTRY) })?;
        let url = map.require("url", "https://schemas.example.com").and_then(|item| url(&item));
        let user = map.get("username").map(|item| item.name("a user").map(str::to_owned));
        let file = |key| map.get(key).map(|item| self.path(&item));
        let access = match (user, file("password_file"), file("token_file")) {
            (None, None, None) => Access::Anyone,
            (Some(user), Some(password), None) => Access::User(user?, password?),
            (None, None, Some(token)) => Access::Token(token?),
            _ => return item.fail("expected `username` with `password_file`, or `token_file`, or none of the three"),
        };
        let ca_file = match file("ca_file") {
            Some(path) => Some(path?),
            None => self.ca_file.clone(),
        };
        Some(SchemaRegistryConfig { url: url?, access, ca_file })
    }

    /// `format`, `data_format` and `schema` of a source.
    pub(super) fn source_format(&self, map: &Map) -> Option<SourceFormat> {
        let format = map.get("format").map_or(Some(Layout::Data(Written::Json)), |item| item.choice(&LAYOUTS))?;
        if let (Some(item), true) = (map.get("data_format"), format != Layout::CloudEvents) {
            return item
                .fail("only CloudEvents hold data of another format: write `format: cloudevents`, or remove this");
        }
        if let (Some(item), true) = (map.get("kserve"), format != Layout::Kserve) {
            return item.fail("this says how requests and responses are read: write `format: kserve`, or remove this");
        }
        let is_inference = !matches!(format, Layout::Data(_) | Layout::CloudEvents);
        if let (Some(item), false) = (map.get("inference"), is_inference) {
            return item.fail("this says how requests and responses are read: write `format: kserve`, `oip`, `mlserver`, `seldon`, `sagemaker` or `databricks`, or remove this");
        }
        if let (Some(item), Some(_)) = (map.get("inference"), map.get("kserve")) {
            return item.fail("both `inference` and `kserve`, which is its name for `format: kserve`: keep one");
        }
        match format {
            Layout::Data(written) => self.data_format(map, Some(written)),
            Layout::CloudEvents => {
                let written = map.get("data_format").map_or(Some(Written::Json), |item| item.choice(&FORMATS));
                self.data_format(map, written).map(Box::new).map(SourceFormat::CloudEvents)
            }
            Layout::Kserve
            | Layout::Oip
            | Layout::Mlserver
            | Layout::Seldon
            | Layout::SageMaker
            | Layout::Databricks => {
                for key in ["schema", "fields", "timestamp", "timezone"] {
                    if let Some(item) = map.get(key) {
                        return item.fail(
                            "requests and responses have their own places and times: remove this, and see `inference`",
                        );
                    }
                }
                let names_model = map.get("model").is_none() && map.get("models").is_none();
                let logged = match format {
                    Layout::Oip => Logged::Oip { time: None },
                    Layout::Mlserver => Logged::Mlserver,
                    Layout::Seldon if responses(map).is_some() => Logged::Seldon { is_responses: false },
                    Layout::Seldon => Logged::SeldonLogger,
                    Layout::SageMaker => Logged::SageMaker,
                    Layout::Databricks => Logged::Databricks,
                    Layout::Kserve | Layout::Data(_) | Layout::CloudEvents => Logged::Kserve,
                };
                Self::kserve(map, logged, names_model).map(Box::new).map(SourceFormat::Kserve)
            }
        }
    }

    /// How events are written, by `schema` where the source has one.
    fn data_format(&self, map: &Map, format: Option<Written>) -> Option<SourceFormat> {
        let Some(item) = map.get("schema") else {
            return Some(match format? {
                Written::Json => SourceFormat::Json,
                Written::JsonSchema => SourceFormat::JsonSchema,
                Written::Avro => SourceFormat::Avro,
                Written::Protobuf => SourceFormat::Protobuf,
            });
        };
        let schema = item.map(const { &names(&SCHEMA) })?;
        let file = schema.require("file", "prediction.avsc").and_then(|path| self.path(&path));
        let message = schema.get("message").map(|item| item.name("a message").map(str::to_owned));
        match (format?, message) {
            (Written::Avro, None) => file.map(SourceFormat::AvroOf),
            (Written::Avro, Some(_)) => item.fail("an Avro schema has no messages: remove `message`"),
            (Written::Protobuf, None) => Some(SourceFormat::ProtobufOf(file?, None)),
            (Written::Protobuf, Some(message)) => Some(SourceFormat::ProtobufOf(file?, Some(message?))),
            (Written::Json | Written::JsonSchema, _) => {
                item.fail("only messages with `format: avro` or `protobuf` are read by a schema: remove this")
            }
        }
    }
}
