//! Which of the names that a policy reads any event had: a key that none has is a typo or a renamed feature, and counts as
//! missing without a word otherwise.

use super::plan::{Plan, Slot};
use crate::event::Field;
use crate::schema::Schema;

/// What some event had, by the schema's slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub numeric: Vec<bool>,
    pub categorical: Vec<bool>,
    pub attributes: Vec<bool>,
    pub kpis: Vec<bool>,
    pub fields: Vec<Field>,
    /// A file's column that holds others, from which nothing is read.
    pub nested: Option<String>,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn nothing(schema: &Schema) -> Self {
        Self {
            numeric: vec![false; schema.numeric.len()],
            categorical: vec![false; schema.categorical.len()],
            attributes: vec![false; schema.attributes.len()],
            kpis: vec![false; schema.kpis.len()],
            fields: Vec::new(),
            nested: None,
        }
    }

    /// What the keys of a plan have met so far.
    #[must_use]
    pub(super) fn of(plan: &Plan, schema: &Schema) -> Self {
        let mut seen = Self::nothing(schema);
        let set = |of: &mut Vec<bool>, at: usize| of.get_mut(at).into_iter().for_each(|s| *s = true);
        for (_, meaning) in plan.nodes.iter().flat_map(|n| n.keys.iter().zip(&n.meanings)).filter(|(k, _)| k.seen > 0) {
            match meaning.feature {
                Some(Slot::Numeric(i)) => set(&mut seen.numeric, i),
                Some(Slot::Categorical(i)) => set(&mut seen.categorical, i),
                None => {}
            }
            meaning.attribute.into_iter().chain(meaning.segment).for_each(|i| set(&mut seen.attributes, i));
            meaning.kpi.into_iter().for_each(|i| set(&mut seen.kpis, i));
            // Scores by class say which is predicted, as that field does.
            seen.fields.extend(meaning.field.or(meaning.class.map(|_| Field::Prediction)));
        }
        seen
    }

    /// Adds what others have seen.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.numeric, &other.numeric),
            (&mut self.categorical, &other.categorical),
            (&mut self.attributes, &other.attributes),
            (&mut self.kpis, &other.kpis),
        ] {
            own.iter_mut().zip(other).for_each(|(own, other)| *own |= *other);
        }
        self.fields.extend(other.fields.iter().filter(|f| !self.fields.contains(f)).copied().collect::<Vec<_>>());
        self.nested = self.nested.take().or_else(|| other.nested.clone());
    }
}
