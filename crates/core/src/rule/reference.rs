//! The rules' part of the reference page and of the policy's JSON Schema, written from their definitions.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::budget::{self, BUDGET};
use super::definition::{Bounds, Definition, LimitForm, Opt, Subjects, Takes};
use super::distance::chance::ALPHA;

impl Definition {
    /// The rule's section of the reference page.
    pub(super) fn section(&'static self) -> String {
        let mut out = format!("### `{}`\n\n{}\n\n", self.name, self.documentation);
        let _ = writeln!(
            out,
            "Results about {}. {}\n\n| key | what is written | default | meaning |\n|---|---|---|---|",
            self.about(),
            self.terms()
        );
        for (key, written, default, meaning) in self.rows() {
            let _ = writeln!(out, "| `{key}` | {written} | {default} | {meaning} |");
        }
        out
    }

    /// The rule's row in the table of all.
    pub(super) fn row(&'static self) -> String {
        let code = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let others: Vec<&str> = self.options.iter().map(|option| option.key).collect();
        format!(
            "| [`{}`](#{}) | {} | {} | {}: {} | {} |",
            self.name,
            self.name,
            self.about(),
            self.counted(),
            code(self.limit.keys()),
            self.limit_in_words(),
            code(&others)
        )
    }

    fn about(&self) -> String {
        match self.subjects {
            Subjects::Features { categorical: true } => "features, `score` (`of`)".to_owned(),
            Subjects::Features { categorical: false } => "numeric features, `score` (`of`)".to_owned(),
            Subjects::Distributions => "features, `score`, `label` (`of`)".to_owned(),
            Subjects::Numbers => "numeric features, `score`, `label` of `task: regression` (`of`)".to_owned(),
            Subjects::Categories => "categorical features (`of`)".to_owned(),
            Subjects::Segmentation => "a segment attribute (`by`)".to_owned(),
            Subjects::Kpi => "a KPI (`of`)".to_owned(),
            Subjects::Measured => "a measured metric (`of`)".to_owned(),
            Subjects::Only(subject) => format!("`{subject}`"),
        }
    }

    fn limit_in_words(&self) -> &'static str {
        match self.limit {
            LimitForm::Drop => "`absolute` or `relative`, a rate from 0 to 1",
            _ => self.bounds.wanted(),
        }
    }

    /// What is written for one key of the limit.
    fn key_in_words(&self, key: &str) -> &'static str {
        match key {
            "between" => "`[a, b]`, ascending",
            "max_increase" | "max_drop" => match self.bounds {
                Bounds::Value => "a number from 0 to 1e12, `{relative: x}`, or `{sigmas: x}`",
                Bounds::FromZero => "a number from 0 to 1e12, or `{relative: x}`",
                _ => "a rate from 0 to 1, or `{relative: x}`",
            },
            "warn" if self.limit.takes_band() => "as the limit",
            _ => self.limit_in_words(),
        }
    }

    /// JSON Schema of one key of the limit.
    fn key_schema(&self, key: &str) -> Value {
        // As a percentage where the unit says so.
        let bounds = if self.bounds == Bounds::Fraction { Bounds::Percentage } else { self.bounds };
        let number = bounds.schema();
        let pair = json!({"type": "array", "items": number, "minItems": 2, "maxItems": 2});
        let change = self.change_schema();
        match (self.limit, key) {
            (LimitForm::Drop, _) => json!({"$ref": "#/$defs/tolerance"}),
            (_, "between") => pair,
            (_, "max_increase" | "max_drop") => change,
            (form, "warn") if form.takes_change() => json!({"anyOf": [number, pair, change]}),
            (form, "warn") if form.takes_band() => json!({"anyOf": [number, pair]}),
            _ => number,
        }
    }

    /// JSON Schema of a change that is tolerated.
    fn change_schema(&self) -> Value {
        if !self.bounds.is_wide() {
            return json!({"anyOf": [Bounds::Rate.schema(), {"$ref": "#/$defs/tolerance"}]});
        }
        let amount = Bounds::FromZero.schema();
        let mut forms = json!({"absolute": amount, "relative": amount});
        if let (Bounds::Value, Value::Object(forms)) = (self.bounds, &mut forms) {
            forms.insert("sigmas".to_owned(), Bounds::AboveZero.schema());
        }
        let map = json!({
            "type": "object", "properties": forms, "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        });
        json!({"anyOf": [amount, map]})
    }

    /// Each key of the rule: what is written, the default, and what it means.
    fn rows(&'static self) -> Vec<(&'static str, String, String, String)> {
        let required = || "required".to_owned();
        let mut rows = Vec::new();
        for key in self.keys() {
            let common = [BUDGET];
            let option = self.options.iter().chain(&common).find(|option| option.key == key);
            rows.push(match (key, option) {
                (_, Some(option)) => (key, option.written(), option.default_written(), option.documentation.to_owned()),
                ("of" | "by", _) => (key, self.subject_written().to_owned(), required(), "The subject.".to_owned()),
                ("except", _) => (
                    key,
                    "`{NAME: {LIMIT}}`".to_owned(),
                    String::new(),
                    "Limits of single subjects; what is left out is the rule's own.".to_owned(),
                ),
                ("id", _) => (
                    key,
                    "A-Z, a-z, 0-9, `_` and `-`, at most 64".to_owned(),
                    format!("`{}`", self.name),
                    "The rule's name, unique in its group.".to_owned(),
                ),
                ("for", _) => (
                    key,
                    "from 1 to 1000 windows, some of the last ones (`3 of 5`), or a duration".to_owned(),
                    String::new(),
                    "A breach decides once it has lasted so long; until then it only warns.".to_owned(),
                ),
                (limit, _) => {
                    let needed = if limit == "warn" { String::new() } else { self.limit_default() };
                    (limit, self.key_in_words(limit).to_owned(), needed, self.limit_meaning(limit).to_owned())
                }
            });
        }
        rows
    }

    fn subject_written(&self) -> &'static str {
        match self.subjects {
            Subjects::Features { .. } => "`features`, `score`, a feature's name, or a list of these",
            Subjects::Distributions => "`features`, `score`, a feature's name, or a list of these; or `label` alone",
            Subjects::Numbers => {
                "`features`, `score`, a feature's name, or a list of these; or `label` alone, of `task: regression`"
            }
            Subjects::Categories => "`features`, a categorical feature's name, or a list of these",
            Subjects::Segmentation => "one of `segments:`; an intersection as `a*b` or `[a, b]`",
            Subjects::Kpi => "a KPI's name, as labels carry it",
            Subjects::Measured => "a metric's name, as measurements carry it",
            Subjects::Only(_) => "",
        }
    }

    fn limit_default(&self) -> String {
        match self.limit {
            LimitForm::Any => "exactly one of the four".to_owned(),
            form if form.takes_band() => "exactly one limit".to_owned(),
            _ => format!("required, like `{}`", self.example),
        }
    }

    /// JSON Schema of the rule's options; durations and hysteresis are of the policy's schema.
    #[must_use]
    pub fn schema(&'static self) -> Value {
        let mut properties = Map::new();
        for key in self.keys() {
            let common = [BUDGET];
            let option = self.options.iter().chain(&common).find(|option| option.key == key);
            let schema = match (key, option) {
                (_, Some(option)) => option.schema(),
                ("of" | "by", _) => self.subject_schema(),
                ("except", _) => {
                    let limits: Map<String, Value> =
                        self.limit.keys().iter().map(|key| ((*key).to_owned(), self.key_schema(key))).collect();
                    let limits = json!({"type": "object", "properties": limits, "additionalProperties": false, "minProperties": 1});
                    json!({"type": "object", "additionalProperties": limits})
                }
                ("id", _) => json!({"$ref": "#/$defs/slug"}),
                ("for", _) => json!({"$ref": "#/$defs/hysteresis"}),
                (limit, _) => self.key_schema(limit),
            };
            properties.insert(key.to_owned(), schema);
        }
        let mut required: Vec<&str> = self.subjects.key().into_iter().collect();
        let must = |option: &&Opt| matches!(option.takes, Takes::OneOf(_) | Takes::Rule);
        required.extend(self.options.iter().filter(must).map(|option| option.key));
        let mut schema = json!({
            "description": self.documentation, "type": "object", "properties": properties, "additionalProperties": false,
        });
        let one_of: Vec<Value> = self.limit.keys().iter().map(|key| json!({"required": [key]})).collect();
        if let Value::Object(schema) = &mut schema {
            if self.limit == LimitForm::Any || self.limit.takes_band() {
                let instead = self.options.iter().filter(|option| option.key == ALPHA.key);
                let instead = instead.map(|option| json!({"required": [option.key]}));
                let limits =
                    one_of.into_iter().filter(|one| *one != json!({"required": ["warn"]})).chain(instead).collect();
                schema.insert("oneOf".to_owned(), Value::Array(limits));
            } else {
                required.extend(self.limit.keys().first());
            }
            schema.insert("required".to_owned(), required.into());
        }
        schema
    }

    fn subject_schema(&self) -> Value {
        match self.subjects {
            Subjects::Features { .. }
            | Subjects::Distributions
            | Subjects::Numbers
            | Subjects::Categories
            | Subjects::Segmentation => {
                json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
            }
            _ => json!({"type": "string"}),
        }
    }
}

impl Bounds {
    fn schema(self) -> Value {
        match self {
            Self::AboveZero | Self::Milliseconds => json!({"type": "number", "exclusiveMinimum": 0}),
            Self::Rate => json!({"type": "number", "minimum": 0, "maximum": 1}),
            Self::SomeRate | Self::PValue | Self::Fraction => {
                json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
            }
            Self::Percentage => json!({"type": "number", "exclusiveMinimum": 0, "maximum": 100}),
            Self::Value => json!({"type": "number", "minimum": -1e12, "maximum": 1e12}),
            Self::FromZero => json!({"type": "number", "minimum": 0, "maximum": 1e12}),
        }
    }
}

/// JSON Schema of `versus`.
fn versus_schema(words: &[&str]) -> Value {
    let count = || json!({"type": "integer", "minimum": 1, "maximum": 1000});
    let map = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "additionalProperties": false, "required": required});
    let season = json!({"season": {"$ref": "#/$defs/duration"}, "back": count()});
    let between = json!({"from": {"type": "string"}, "to": {"type": "string"}});
    json!({"anyOf": [
        {"enum": words}, map(json!({"rolling": count()}), &["rolling"]), map(season, &["season"]),
        map(between, &["from", "to"]),
    ]})
}

impl Opt {
    fn written(&self) -> String {
        match self.takes {
            Takes::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Takes::Number { wanted, .. } | Takes::Text { wanted, .. } => wanted.to_owned(),
            Takes::Rule => "`group/id` of a rule of the same group".to_owned(),
            Takes::Bins { least, most } => {
                format!("a whole number from {least} to {most}, `{{width: n}}`, or `{{edges: [a, b, …]}}`")
            }
            Takes::Daily => format!("{}, or {}", budget::DAILY, budget::WANTED),
            Takes::Range => "`[a, b]`, ascending".to_owned(),
            Takes::Segmentation => "one of `segments:`; an intersection as `a*b` or `[a, b]`".to_owned(),
            Takes::KpiVersus => {
                "`champion`, `predecessor`, `previous`, `{rolling: n}`, `{season: 7d, back: n}`, `{from: TIME, to: TIME}`".to_owned()
            }
            Takes::Versus => {
                "`training`, `previous`, `champion`, `{rolling: n}`, `{season: 7d, back: n}`, `{from: TIME, to: TIME}`".to_owned()
            }
            Takes::Words(words) | Takes::OneOf(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn default_written(&self) -> String {
        match self.takes {
            Takes::OneOf(_) | Takes::Rule => "required".to_owned(),
            _ if self.default.is_empty() => String::new(),
            _ => format!("`{}`", self.default),
        }
    }

    fn schema(&self) -> Value {
        let mut schema = match self.takes {
            Takes::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Takes::Number { bounds, .. } => {
                let bounds = bounds.iter().map(|(key, bound)| ((*key).to_owned(), json!(bound)));
                Value::Object(std::iter::once(("type".to_owned(), json!("number"))).chain(bounds).collect())
            }
            Takes::Words(words) | Takes::OneOf(words) => json!({"enum": words}),
            Takes::Rule => json!({"type": "string"}),
            Takes::Bins { least, most } => {
                let whole = json!({"type": "integer", "minimum": least, "maximum": most});
                let edges =
                    json!({"type": "array", "items": Bounds::Value.schema(), "minItems": 1, "maxItems": most - 1});
                let map = json!({
                    "type": "object", "properties": {"width": whole, "edges": edges}, "additionalProperties": false,
                    "minProperties": 1, "maxProperties": 1,
                });
                json!({"anyOf": [whole, map]})
            }
            Takes::Daily => json!({"anyOf": [
                {"type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}, {"type": "string", "pattern": budget::PATTERN},
            ]}),
            Takes::Range => json!({"type": "array", "items": Bounds::Value.schema(), "minItems": 2, "maxItems": 2}),
            Takes::Segmentation => {
                json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
            }
            Takes::Versus => versus_schema(&["training", "previous", "champion"]),
            Takes::KpiVersus => versus_schema(&["champion", "predecessor", "previous"]),
            Takes::Text { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        };
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), self.documentation.into());
        }
        schema
    }
}
