//! Which columns of a file hold scores by class, and these.

use driftgate_core::decode::columns::ClassScores;
use driftgate_core::event::{Field, FieldMap};
use driftgate_core::schema::Schema;

/// The columns of scores by class, of a model of several: `scores.a`.
#[derive(Default)]
pub(super) struct ScoreColumns {
    /// Of the policy's classes, in their order.
    listed: Vec<Option<String>>,
    /// Of other classes, whose largest score counts.
    unlisted: Vec<String>,
}

impl ScoreColumns {
    /// Those that a file has.
    pub fn of(columns: &[String], schema: &Schema, fields: &FieldMap) -> Self {
        if schema.classes.is_empty() {
            return Self::default();
        }
        let prefix = format!("{}.", fields.column(Field::Scores));
        let all = columns.iter().filter_map(|column| Some((column, column.strip_prefix(&prefix)?)));
        let named = |class: &String| all.clone().find(|(_, name)| name == class).map(|(column, _)| column.clone());
        let is_other = |(_, name): &(&String, &str)| !schema.classes.iter().any(|class| class == name);
        Self {
            listed: schema.classes.iter().map(named).collect(),
            unlisted: all.clone().filter(is_other).map(|(column, _)| column.clone()).collect(),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.listed.iter().flatten().chain(&self.unlisted)
    }

    /// Whether the file has none.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// The scores of so many rows; `numbers` appends a column's, missing ones without a column.
    pub fn read<E>(
        &self,
        rows: usize,
        numbers: impl Fn(Option<&str>, &mut Vec<f64>) -> Result<(), E>,
    ) -> Result<Option<ClassScores>, E> {
        if self.is_empty() {
            return Ok(None);
        }
        let column = |name: Option<&str>| {
            let mut out = Vec::with_capacity(rows);
            numbers(name, &mut out).map(|()| out)
        };
        let mut others = column(None)?;
        for name in &self.unlisted {
            for (largest, score) in others.iter_mut().zip(column(Some(name))?) {
                *largest = largest.max(score);
            }
        }
        let listed = self.listed.iter().map(|name| column(name.as_deref())).collect::<Result<_, _>>()?;
        Ok(Some(ClassScores { listed, others }))
    }
}
