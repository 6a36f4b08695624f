//! A source's configuration as the decoders take it, for topics and for files.

use std::sync::Arc;

use crate::config::{self, Config, SourceConfig};
use crate::source::columns::nulls::NullTexts;
use crate::source::options::FileOptions;
use crate::view::Keep;
use driftgate_core::decode::decoder::Format;
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
    Format { fields: source.fields.clone(), time: source.time.clone(), model: None }
}

/// File options with a source's mapping: JSON lines as on the topic, columns by each pointer's last part.
#[must_use]
pub fn file_options(base: &FileOptions, source: &SourceConfig) -> FileOptions {
    FileOptions {
        format: format(source),
        null_values: source
            .null_values
            .as_ref()
            .map_or_else(|| Arc::clone(&base.null_values), |texts| Arc::new(NullTexts::new(texts.clone()))),
        ..base.clone()
    }
}
