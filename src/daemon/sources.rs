//! A source's configuration as the decoders take it, for topics and for files.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::config::{self, Config, SchemaRegistryConfig, SourceConfig, SourceFormat};
use crate::source::columns::nulls::NullTexts;
use crate::source::options::FileOptions;
use crate::source::schemas::{Client, SchemaRegistry};
use crate::view::Keep;
use driftgate_core::decode::avro::Writer;
use driftgate_core::decode::decoder::Format;
use driftgate_core::decode::protobuf::Definitions;
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::EventKind;
use driftgate_core::intake::Setup;

/// How many verdicts are kept to look back at.
#[must_use]
pub fn keep(l: &config::Limits) -> Keep {
    Keep { verdicts: l.verdicts, whole: l.whole_verdicts }
}

/// The configuration of the intakes.
#[must_use]
pub fn setup(config: &Config) -> Setup {
    Setup {
        has_features: config.sources.iter().any(|s| s.kind == EventKind::Features),
        limits: config.limits.events,
        confirmed_only: true,
    }
}

/// A source's format; the caller, who knows the order of models, fills in `model`.
#[must_use]
pub fn format(source: &SourceConfig) -> Format {
    Format {
        fields: source.fields.clone(),
        time: source.time.clone(),
        cloudevents: matches!(source.format, SourceFormat::CloudEvents(_)),
        ..Format::default()
    }
}

/// A client of the registry of schemas.
///
/// # Errors
/// An address or certificates that no client can be made of.
pub fn schema_client(named: &SchemaRegistryConfig) -> anyhow::Result<Client> {
    Client::new(&named.url, named.access.clone(), named.ca_file.clone()).map_err(anyhow::Error::msg)
}

/// How the messages of a source are written, given the schemas of the registry where the configuration names one.
///
/// # Errors
/// A schema in a file that cannot be read.
pub fn wire(source: &SourceConfig, registry: Option<&Arc<SchemaRegistry>>) -> anyhow::Result<Wire> {
    Ok(match (source.format.data(), registry) {
        (SourceFormat::JsonSchema, _) => Wire::JsonSchema,
        (SourceFormat::Avro, Some(registry)) => Wire::Avro(Arc::<SchemaRegistry>::clone(registry)),
        (SourceFormat::AvroOf(path), _) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the schema {} of {} cannot be read", path.display(), source.topic))?;
            let writer = Writer::parse(&text, &[]).map_err(anyhow::Error::msg);
            Wire::AvroOf(Arc::new(writer.with_context(|| format!("{} of {}", path.display(), source.topic))?))
        }
        (SourceFormat::Protobuf, Some(registry)) => Wire::Protobuf(Arc::<SchemaRegistry>::clone(registry)),
        (SourceFormat::ProtobufOf(path, message), _) => {
            let definitions = definitions(path, message.as_deref()).map_err(anyhow::Error::msg);
            Wire::ProtobufOf(Arc::new(definitions.with_context(|| format!("{} of {}", path.display(), source.topic))?))
        }
        // The configuration refuses both without a registry.
        // Requests and responses are joined to predictions in JSON.
        (
            SourceFormat::Json
            | SourceFormat::Avro
            | SourceFormat::Protobuf
            | SourceFormat::CloudEvents(_)
            | SourceFormat::Kserve(_),
            _,
        ) => Wire::Json,
    })
}

/// The definitions of a file, as text if its name ends in `.proto`, with imports from its folder; else a file descriptor set.
fn definitions(path: &Path, message: Option<&str>) -> Result<Definitions, String> {
    let unread = |e| format!("it cannot be read: {e}");
    if path.extension() != Some("proto".as_ref()) {
        return Definitions::of_set(&std::fs::read(path).map_err(unread)?)?.of_message(message);
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let (folder, name) = (path.parent().map(Path::to_owned), path.file_name().unwrap_or_default());
    let import = move |name: &str| std::fs::read_to_string(folder.as_ref()?.join(name)).ok();
    Definitions::parse(&name.to_string_lossy(), &text, import)?.of_message(message)
}

/// File options with a source's mapping: JSON lines as on the topic, columns by each pointer's last part.
#[must_use]
pub fn file_options(base: &FileOptions, source: &SourceConfig) -> FileOptions {
    let kserve = match &source.format {
        SourceFormat::Kserve(settings) => Some(Arc::new((**settings).clone())),
        _ => None,
    };
    FileOptions {
        kserve,
        format: format(source),
        null_values: source
            .null_values
            .as_ref()
            .map_or_else(|| Arc::clone(&base.null_values), |texts| Arc::new(NullTexts::new(texts.clone()))),
        ..base.clone()
    }
}
