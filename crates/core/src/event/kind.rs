//! What a source carries: the kinds of events, the fields of each, where a source puts them, what its times count, and the
//! bounds on all of it. The decoders of every format, the configuration, replay and daemon take these from here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The fields of events, each once: its variant, its name in an event and in the configuration.
macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident $name:ident,)*) => {
        /// A field of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field {
            $($(#[$doc])* $field,)*
        }

        impl Field {
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// The field as an event has it where the source does not say otherwise.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$field => stringify!($name),)*
                }
            }
        }

        /// Where a source puts each field: the parts of its JSON pointer (RFC 6901), unescaped. No parts are the event itself.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct FieldMap {
            $($(#[$doc])* pub $name: Vec<String>,)*
            /// Features by their name in the event, to their name in the policy.
            pub rename: BTreeMap<String, String>,
        }

        /// Every field at the top of the event, under its own name.
        impl Default for FieldMap {
            fn default() -> Self {
                Self { $($name: vec![stringify!($name).to_owned()],)* rename: BTreeMap::new() }
            }
        }

        impl FieldMap {
            /// Where a field is.
            #[must_use]
            pub fn place(&self, field: Field) -> &[String] {
                match field {
                    $(Field::$field => &self.$name,)*
                }
            }

            /// Puts a field elsewhere.
            pub fn put(&mut self, field: Field, place: Vec<String>) {
                match field {
                    $(Field::$field => self.$name = place,)*
                }
            }
        }
    };
}

fields! {
    PredictionId prediction_id,
    Model model,
    Version version,
    Ts ts,
    Score score,
    Label label,
    LatencyMs latency_ms,
    Error error,
    Decision decision,
    Stage stage,
    /// The object of segment attributes, which win over features of the same name.
    Segments segments,
    /// The object of features.
    Features features,
    /// The object of KPI outcomes.
    Kpi kpi,
    Metric metric,
    Value value,
    /// How many observations a measured value is the mean of.
    Weight n,
    /// The predicted class, of a model of several.
    Prediction prediction,
    /// The object of scores by class, of such a model.
    Scores scores,
}

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// Whether it is an object with a member for each name of the policy, and no value itself.
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self, Self::Segments | Self::Features | Self::Kpi | Self::Scores)
    }

    /// Whether it is a value that an event can be without.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(
            self,
            Self::Score
                | Self::Prediction
                | Self::Label
                | Self::LatencyMs
                | Self::Error
                | Self::Decision
                | Self::Stage
                | Self::Weight
        )
    }
}

impl FieldMap {
    /// The column of a file that holds a field: the last part of its place.
    #[must_use]
    pub fn column(&self, field: Field) -> &str {
        self.place(field).last().map_or(field.name(), String::as_str)
    }

    /// The name under which an event has a feature.
    #[must_use]
    pub fn incoming<'a>(&'a self, feature: &'a str) -> &'a str {
        self.rename.iter().find(|(_, to)| *to == feature).map_or(feature, |(from, _)| from)
    }

    /// The columns that may hold a feature or attribute; the first that is there does.
    pub fn columns_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let renamed = self.rename.iter().filter(move |(_, to)| *to == name).map(|(column, _)| column.as_str());
        renamed.chain((!self.rename.contains_key(name)).then_some(name))
    }
}

/// What kind of event a source carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    Predictions,
    Labels,
    Features,
    Measurements,
}

impl EventKind {
    pub const ALL: [Self; 4] = [Self::Predictions, Self::Labels, Self::Features, Self::Measurements];

    /// The kinds in the order that messages list them.
    pub const LISTED: [Self; 4] = [Self::Predictions, Self::Features, Self::Labels, Self::Measurements];

    /// The kind as the configuration and the command line name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Predictions => "predictions",
            Self::Labels => "labels",
            Self::Features => "features",
            Self::Measurements => "measurements",
        }
    }

    /// What such events are, for the help of the command line.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Predictions => "Predictions, with scores, features and versions",
            Self::Labels => "Labels by prediction id",
            Self::Features => "Events of the features stream, which have no versions",
            Self::Measurements => "Measurements, values that other systems measured of a version",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The fields of such an event, in the order that one is written in.
    #[must_use]
    pub fn fields(self) -> &'static [Field] {
        use Field::{
            Decision, Error, Features, Kpi, Label, LatencyMs, Metric, Model, Prediction, PredictionId, Score, Scores,
            Segments, Stage, Ts, Value, Version, Weight,
        };
        match self {
            Self::Predictions => &[
                PredictionId,
                Model,
                Version,
                Ts,
                Score,
                Prediction,
                Scores,
                Features,
                Stage,
                LatencyMs,
                Error,
                Decision,
                Segments,
            ],
            Self::Labels => &[PredictionId, Model, Ts, Label, Kpi],
            Self::Features => &[Model, Ts, Features],
            Self::Measurements => &[Model, Version, Ts, Metric, Value, Weight],
        }
    }

    #[must_use]
    pub fn has(self, field: Field) -> bool {
        self.fields().contains(&field)
    }
}

/// A value for each kind of event. A state keeps them in the order of the kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByKind<T>([T; EventKind::ALL.len()]);

#[allow(clippy::indexing_slicing, reason = "there is a value for each kind")]
impl<T> ByKind<T> {
    #[must_use]
    pub fn of(&self, kind: EventKind) -> &T {
        &self.0[kind as usize]
    }

    pub fn of_mut(&mut self, kind: EventKind) -> &mut T {
        &mut self.0[kind as usize]
    }

    /// What `of` gives for each kind.
    #[must_use]
    pub fn each(of: impl FnMut(EventKind) -> T) -> Self {
        Self(EventKind::ALL.map(of))
    }
}

/// What a time that is written as a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimeUnit {
    Seconds,
    #[default]
    Millis,
    Micros,
    Nanos,
}

impl TimeUnit {
    /// The units as the configuration names them; texts are RFC 3339 whatever the unit of numbers.
    pub const KEYS: [(&'static str, Self); 5] = [
        ("rfc3339_or_ms", Self::Millis),
        ("s", Self::Seconds),
        ("ms", Self::Millis),
        ("us", Self::Micros),
        ("ns", Self::Nanos),
    ];

    /// Whole ticks as the millisecond they lie in.
    #[inline]
    #[must_use]
    pub fn millis(self, ticks: i64) -> Option<i64> {
        match self {
            Self::Seconds => ticks.checked_mul(1000),
            Self::Millis => Some(ticks),
            Self::Micros => Some(ticks.div_euclid(1000)),
            Self::Nanos => Some(ticks.div_euclid(1_000_000)),
        }
    }

    /// Whether so many ticks are whole milliseconds.
    #[must_use]
    pub fn is_whole(self, ticks: i64) -> bool {
        match self {
            Self::Seconds | Self::Millis => true,
            Self::Micros => ticks % 1000 == 0,
            Self::Nanos => ticks % 1_000_000 == 0,
        }
    }

    /// What it counts, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        }
    }
}

/// Bounds on what one event and one model may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Nesting of arrays and objects.
    pub depth: usize,
    /// Bytes of one id, version, category or segment value.
    pub string_bytes: usize,
    /// Distinct values of one categorical feature.
    pub categories: usize,
    /// Distinct values of one segmentation.
    pub segments: usize,
    /// Distinct versions of one model.
    pub versions: usize,
    /// Bytes of predictions and labels of one model that wait for each other.
    pub join_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            depth: 64,
            string_bytes: 1024,
            categories: 10_000,
            segments: 10_000,
            versions: 10_000,
            join_bytes: 2 << 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_field_is_found_by_its_name() {
        EventKind::ALL.into_iter().for_each(|kind| assert_eq!(EventKind::of_name(kind.name()), Some(kind)));
        for (&field, &name) in Field::ALL.iter().zip(Field::NAMES) {
            assert_eq!((field.name(), Field::of_name(name)), (name, Some(field)));
            assert!(EventKind::ALL.into_iter().any(|kind| kind.has(field)), "no kind has {name}");
        }
        assert!(EventKind::ALL.into_iter().all(|kind| kind.has(Field::Model) && kind.has(Field::Ts)));
    }

    #[test]
    fn a_value_by_kind_is_kept_in_the_order_of_the_kinds() {
        let mut by_kind = ByKind::each(|kind| kind.name().len());
        *by_kind.of_mut(EventKind::Labels) += 100;
        let values = EventKind::ALL.map(|kind| *by_kind.of(kind));
        assert_eq!(values, [11, 106, 8, 12]);
        assert_eq!(postcard::to_stdvec(&by_kind), postcard::to_stdvec(&(11_usize, 106_usize, 8_usize, 12_usize)));
    }

    #[test]
    fn a_field_that_is_put_elsewhere_is_there_and_its_column_is_named_by_the_last_part() {
        let mut fields = FieldMap::default();
        assert!(Field::ALL.iter().all(|&field| fields.place(field) == [field.name()]));
        fields.put(Field::Weight, vec!["reading".into(), "count".into()]);
        assert_eq!((fields.column(Field::Weight), fields.column(Field::Value)), ("count", "value"));
        assert_eq!(fields.n, ["reading", "count"]);
    }

    #[test]
    fn a_renamed_feature_is_read_under_its_incoming_name_only() {
        let fields = FieldMap { rename: [("cust_age".to_owned(), "age".to_owned())].into(), ..FieldMap::default() };
        assert_eq!((fields.incoming("age"), fields.incoming("temp")), ("cust_age", "temp"));
        let columns = |name| fields.columns_of(name).collect::<Vec<_>>();
        assert_eq!((columns("age"), columns("cust_age")), (vec!["cust_age", "age"], vec![]));
    }
}
