//! The slots of one event (`Values`), and how the fields of its envelope are read into them: model, id, version, time and what
//! else is not a feature.

use super::super::checks::{self, Checks};
use super::super::coder::{Coder, Word};
use super::super::plan::Plan;
use super::super::scan::{Scanner, Token};
use super::super::short::MOST_SHORT;
use super::super::time::TimeFormat;
use super::super::{Reason, Reject};
use crate::event::{FeatureColumns, Field, Flag, Fresh, Limits, code, numeric};
use crate::schema::{Classes, Schema, canonical_number};

/// Attribute slot that no key has set.
const UNSET: u32 = code::SPECIAL - 1;

/// One event's values in the slots of its model's schema.
#[derive(Debug, Default)]
pub struct Values {
    pub id: String,
    pub has_id: bool,
    pub version: u32,
    pub stage: u32,
    pub ts: Option<i64>,
    pub score: f64,
    pub decision: Flag,
    pub latency_ms: f64,
    pub error: Flag,
    pub label: Flag,
    /// The label where it is a number, or the place of its class.
    pub label_value: f64,
    /// Scores by class, and the largest one of a class that the policy does not name.
    pub(super) scores: Vec<f64>,
    pub(super) unlisted: f64,
    pub numeric: Vec<f64>,
    pub categorical: Vec<u32>,
    /// Segment attributes, as the features and as the segments have them.
    pub(super) attributes: Vec<u32>,
    pub(in crate::decode) segments: Vec<u32>,
    pub kpis: Vec<Flag>,
    /// Of a measurement: the metric's slot, `code::MISSING` for one that no rule reads, `None` for none at all.
    pub metric: Option<u32>,
    pub value: f64,
    pub n: f64,
    /// The label or decision where it stands for no class, for people.
    pub unmapped: String,
    /// The same of `error`, and of the last KPI.
    pub bad_error: String,
    pub bad_kpi: String,
    pub fresh: Fresh,
}

impl Values {
    pub(in crate::decode) fn new(schema: &Schema) -> Self {
        Self {
            scores: vec![numeric::MISSING; schema.classes.len()],
            numeric: vec![numeric::MISSING; schema.numeric.len()],
            categorical: vec![code::MISSING; schema.categorical.len()],
            attributes: vec![UNSET; schema.attributes.len()],
            segments: vec![UNSET; schema.attributes.len()],
            kpis: vec![Flag::Missing; schema.kpis.len()],
            ..Self::default()
        }
    }

    pub(in crate::decode) fn reset(&mut self) {
        self.id.clear();
        self.has_id = false;
        self.version = code::MISSING;
        self.stage = code::MISSING;
        self.ts = None;
        self.score = numeric::MISSING;
        self.decision = Flag::Missing;
        self.latency_ms = numeric::MISSING;
        self.error = Flag::Missing;
        self.label = Flag::Missing;
        self.label_value = numeric::MISSING;
        self.scores.fill(numeric::MISSING);
        self.unlisted = numeric::MISSING;
        self.numeric.fill(numeric::MISSING);
        self.categorical.fill(code::MISSING);
        self.attributes.fill(UNSET);
        self.segments.fill(UNSET);
        self.kpis.fill(Flag::Missing);
        self.metric = None;
        self.value = numeric::MISSING;
        self.n = numeric::MISSING;
    }

    /// Checks what was read of an event, its texts aside, which were when they were read.
    #[inline]
    pub(in crate::decode) fn check(&self, checks: &Checks) -> Result<(), Reject> {
        for (field, reason, detail) in checks.needed() {
            if self.lacks(field) {
                return Err(Reject::new(reason, detail));
            }
        }
        for &field in checks.numbers() {
            checks.number(field, self.number(field))?;
        }
        Ok(())
    }

    fn lacks(&self, field: Field) -> bool {
        match field {
            Field::PredictionId => !self.has_id,
            Field::Version => self.version == code::MISSING,
            Field::Metric => self.metric.is_none(),
            Field::Stage => self.stage == code::MISSING,
            _ => false,
        }
    }

    fn number(&self, field: Field) -> f64 {
        match field {
            Field::Score => self.score,
            Field::LatencyMs => self.latency_ms,
            Field::Value => self.value,
            Field::Weight => self.n,
            _ => numeric::MISSING,
        }
    }

    /// Appends the features' values to their columns.
    #[inline]
    pub fn push_features(&self, out: &mut FeatureColumns) {
        out.numeric.iter_mut().zip(&self.numeric).for_each(|(column, &x)| column.push(x));
        out.categorical.iter_mut().zip(&self.categorical).for_each(|(column, &x)| column.push(x));
    }

    /// Appends the codes of the segmentations to their columns.
    #[inline]
    pub fn push_segments(&mut self, coder: &mut Coder, out: &mut [Vec<u32>]) {
        // What stands under `segments` wins over the features.
        for (segment, feature) in self.segments.iter_mut().zip(&self.attributes) {
            if *segment == UNSET {
                *segment = *feature;
            }
            if *segment == UNSET {
                *segment = code::MISSING;
            }
        }
        for (segmentation, column) in out.iter_mut().enumerate() {
            column.push(coder.segment(segmentation, &self.segments, &mut self.fresh));
        }
    }
}

/// Which texts need no look, since every check passes them.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Plain {
    /// Ids of 1 to so many bytes.
    pub id: usize,
    /// Short versions; the short name of the model; short values of features and segments.
    pub version: bool,
    pub model: bool,
    pub values: bool,
}

impl Plain {
    pub(in crate::decode) fn new(checks: &Checks, limits: &Limits) -> Self {
        let short = |field| checks.passes_within(field) >= MOST_SHORT;
        Self {
            id: checks.passes_within(Field::PredictionId),
            version: short(Field::Version),
            model: short(Field::Model),
            values: limits.string_bytes >= MOST_SHORT,
        }
    }
}

/// What ended the walk over an event early.
pub(in crate::decode) enum Stop {
    Reject(Reject),
    /// The event belongs to this model, not to the guessed one.
    OtherModel(usize),
    UnknownModel,
}

impl From<Reject> for Stop {
    fn from(r: Reject) -> Self {
        Self::Reject(r)
    }
}

/// One pass over one event.
pub(in crate::decode) struct Walk<'w, 'a> {
    pub scanner: Scanner<'a>,
    pub event: u64,
    pub schema: &'w Schema,
    pub plan: &'w mut Plan,
    pub coder: &'w mut Coder,
    pub row: &'w mut Values,
    pub limits: &'w Limits,
    pub checks: &'w Checks,
    pub plain: Plain,
    /// The model's name as a short text; 1, which no text is, for a long one.
    pub model_word: Word,
    pub time: &'w TimeFormat,
    pub scratch: &'w mut String,
    pub text: &'w mut String,
    /// Whether the event names its model.
    pub names_model: bool,
    /// Which other model has a name.
    pub others: &'w dyn Fn(&str) -> Option<usize>,
}

impl Walk<'_, '_> {
    pub(super) fn field(&mut self, field: Field, token: Token<'_>) -> Result<(), Stop> {
        let schema = self.schema;
        match field {
            Field::Score => self.row.score = number(token),
            Field::LatencyMs => self.row.latency_ms = number(token),
            Field::Error => {
                self.row.error = self.flag(token, &Classes::default());
                if self.row.error == Flag::Invalid && schema.reads_error {
                    let text = Self::canonical(token, self.scratch, self.text, usize::MAX);
                    self.row.bad_error.clear();
                    self.row.bad_error.push_str(text.unwrap_or("an array or object"));
                }
            }
            Field::Decision => self.row.decision = self.class(token, &schema.decisions),
            Field::Value => self.row.value = number(token),
            Field::Weight => self.row.n = number(token),
            Field::Prediction => self.predicted_class(token),
            Field::Label if !schema.classes.is_empty() => {
                self.row.label_value = self.one_of_classes(token);
                self.row.label = numeric::flag(self.row.label_value);
            }
            Field::Label if schema.is_regression => {
                self.row.label_value = number(token);
                self.row.label = numeric::flag(self.row.label_value);
            }
            Field::Label => self.row.label = self.class(token, &schema.labels),
            Field::Ts => self.row.ts = self.time(token)?,
            Field::Model => return self.model(token),
            Field::PredictionId => {
                if let Some(id) = Self::checked(token, self.scratch, self.text, self.checks, field)? {
                    self.row.id.push_str(id);
                    self.row.has_id = true;
                }
            }
            Field::Version => {
                let text = Self::checked(token, self.scratch, self.text, self.checks, field)?;
                if let Some(text) = text {
                    self.row.version = self.coder.version(text, &mut self.row.fresh);
                }
            }
            Field::Metric => {
                let name = Self::checked(token, self.scratch, self.text, self.checks, field)?;
                self.row.metric = name.map(|name| schema.metric(name).unwrap_or(code::MISSING));
            }
            Field::Stage => {
                let text = Self::canonical(token, self.scratch, self.text, usize::MAX);
                text.filter(|text| !text.is_empty()).map_or(Ok(()), |text| self.checks.text(field, text))?;
                let text = text.filter(|text| text.len() <= self.limits.string_bytes);
                self.row.stage = text.map_or(code::MISSING, |t| self.coder.stage(t, &mut self.row.fresh));
            }
            // Their members have meanings of their own.
            Field::Segments | Field::Features | Field::Kpi | Field::Scores => {}
        }
        Ok(())
    }

    /// A text of the envelope that passed the checks: `None` for null and for an empty one, an error for what is no text or is refused.
    fn checked<'t>(
        token: Token<'t>,
        scratch: &'t str,
        out: &'t mut String,
        checks: &Checks,
        field: Field,
    ) -> Result<Option<&'t str>, Reject> {
        if token == Token::Composite {
            let detail = format!("the {} is an array or object", checks::name(field));
            return Err(Reject::new(Reason::BadText, detail));
        }
        let text = Self::canonical(token, scratch, out, usize::MAX).filter(|text| !text.is_empty());
        text.map_or(Ok(()), |text| checks.text(field, text))?;
        Ok(text)
    }

    fn model(&mut self, token: Token<'_>) -> Result<(), Stop> {
        let name = Self::checked(token, self.scratch, self.text, self.checks, Field::Model)?;
        let Some(name) = name else { return Ok(()) };
        if name == self.schema.model {
            self.names_model = true;
            return Ok(());
        }
        let other = (self.others)(name);
        Err(other.map_or(Stop::UnknownModel, Stop::OtherModel))
    }

    /// A label or a decision; one of no class is kept for people.
    fn class(&mut self, token: Token<'_>, classes: &Classes) -> Flag {
        let flag = self.flag(token, classes);
        if flag == Flag::Invalid {
            let text = Self::canonical(token, self.scratch, self.text, usize::MAX);
            self.row.unmapped.clear();
            self.row.unmapped.push_str(text.unwrap_or("an array or object"));
        }
        flag
    }

    /// A yes or no.
    pub(super) fn flag(&self, token: Token<'_>, classes: &Classes) -> Flag {
        match token {
            Token::Bool(yes) => classes.boolean(yes),
            Token::Number(x, _) => classes.number(x),
            Token::Plain(text) => classes.text(text),
            Token::Escaped => classes.text(self.scratch),
            Token::Null => Flag::Missing,
            Token::Composite => Flag::Invalid,
        }
    }

    fn time(&self, token: Token<'_>) -> Result<Option<i64>, Reject> {
        let text = match token {
            Token::Null => return Ok(None),
            Token::Number(x, text) => return self.time.number(x, text).map(Some),
            Token::Plain(text) => text,
            Token::Escaped => self.scratch,
            Token::Bool(_) | Token::Composite => {
                return Err(Reject::new(Reason::BadTime, "the time is neither a number nor a text"));
            }
        };
        if text.is_empty() { Ok(None) } else { self.time.text(text).map(Some) }
    }

    /// The text of a token that is where a string belongs: strings, and numbers and booleans in canonical form.
    pub(super) fn canonical<'t>(
        token: Token<'t>,
        scratch: &'t str,
        out: &'t mut String,
        bound: usize,
    ) -> Option<&'t str> {
        let text = match token {
            Token::Plain(text) => text,
            Token::Escaped => scratch,
            Token::Bool(true) => "true",
            Token::Bool(false) => "false",
            Token::Number(_, "-0") => "0",
            Token::Number(_, text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => text,
            Token::Number(x, _) => {
                out.clear();
                canonical_number(x, out);
                out
            }
            Token::Null | Token::Composite => return None,
        };
        (text.len() <= bound).then_some(text)
    }
}

/// A numeric cell of a token: booleans are 1 and 0, other types are invalid.
#[inline]
pub(super) fn number(token: Token<'_>) -> f64 {
    match token {
        Token::Number(x, _) => x,
        Token::Bool(yes) => f64::from(u8::from(yes)),
        Token::Null => numeric::MISSING,
        Token::Plain(_) | Token::Escaped | Token::Composite => numeric::INVALID,
    }
}
