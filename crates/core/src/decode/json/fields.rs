//! The fields of an event's envelope: model, id, version, time and what else is not a feature.

use super::super::scan::Token;
use super::super::{Reason, Reject};
use super::walk::{Walk, number};
use super::{ModelDecoder, Stop};
use crate::event::{Field, Flag, Limits, code};
use crate::schema::Classes;

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
            Field::Label => self.row.label = self.class(token, &schema.labels),
            Field::Ts => self.row.ts = self.time(token)?,
            Field::Model => return self.model(token),
            Field::PredictionId => {
                if let Some(id) = Self::bounded(token, self.scratch, self.text, self.limits, "prediction id")? {
                    self.row.id.push_str(id);
                    self.row.has_id = true;
                }
            }
            Field::Version => {
                let text = Self::bounded(token, self.scratch, self.text, self.limits, "version")?;
                if let Some(text) = text {
                    self.row.version = self.coder.version(text, &mut self.row.fresh);
                }
            }
            Field::Metric => {
                let name = Self::bounded(token, self.scratch, self.text, self.limits, "metric")?;
                self.row.metric = name.map(|name| schema.metric(name).unwrap_or(code::MISSING));
            }
            Field::Stage => {
                let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
                self.row.stage = text.map_or(code::MISSING, |t| self.coder.stage(t, &mut self.row.fresh));
            }
            // Their members have meanings of their own.
            Field::Segments | Field::Features | Field::Kpi => {}
        }
        Ok(())
    }

    /// A text of the envelope: `None` for null, an error for what is no text or too long.
    fn bounded<'t>(
        token: Token<'t>,
        scratch: &'t str,
        out: &'t mut String,
        limits: &Limits,
        what: &str,
    ) -> Result<Option<&'t str>, Reject> {
        if token == Token::Null {
            return Ok(None);
        }
        if token == Token::Composite {
            return Err(Reject::new(Reason::BadText, format!("the {what} is an array or object")));
        }
        match Self::canonical(token, scratch, out, limits.string_bytes) {
            Some("") => Ok(None),
            Some(text) => Ok(Some(text)),
            None => {
                Err(Reject::new(Reason::BadText, format!("the {what} is longer than {} bytes", limits.string_bytes)))
            }
        }
    }

    fn model(&mut self, token: Token<'_>) -> Result<(), Stop> {
        let Some(name) = Self::bounded(token, self.scratch, self.text, self.limits, "model")? else { return Ok(()) };
        if name == self.schema.model {
            self.model_named = Some(self.others.2);
            return Ok(());
        }
        let (before, after, at) = self.others;
        let is = |m: &ModelDecoder| m.schema.model == name;
        let other = before.iter().position(is).or_else(|| after.iter().position(is).map(|i| i + at + 1));
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
}
