//! Events of a file of columns to batch rows, whatever the file's format: what the kinds of events ask of a piece of such a
//! file (`Columns`), and the codes of its texts (`ColumnCoder`).

use super::coder::Coder;
use super::notes::Unmapped;
use crate::event::{FeatureColumns, Field, Flag, Fresh, Ids, code};
use crate::schema::{Classes, Schema};

/// The events of one model in a piece of a file, with their envelopes checked: columns by field and by the schema's slots.
/// Each method appends an entry per row, of a missing value where the file has no such column.
pub trait Columns {
    type Error;

    fn schema(&self) -> &Schema;

    fn rows(&self) -> usize;

    /// The prediction ids, empty where there are none.
    fn ids(&self, out: &mut Ids);

    /// The versions' codes.
    fn versions(&self, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>);

    /// The codes of a field that is a text; empty and overlong texts are missing.
    ///
    /// # Errors
    /// A damaged file.
    fn names(&self, field: Field, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), Self::Error>;

    /// A field of numbers.
    ///
    /// # Errors
    /// A damaged file.
    fn numbers(&self, field: Field, out: &mut Vec<f64>) -> Result<(), Self::Error>;

    /// A field of one of two classes; what stands for none is noted.
    ///
    /// # Errors
    /// A damaged file.
    fn flags(
        &self,
        field: Field,
        classes: &Classes,
        unmapped: Option<&mut Unmapped>,
        out: &mut Vec<Flag>,
    ) -> Result<(), Self::Error>;

    /// The scores by class; `None` where the file has no such columns.
    ///
    /// # Errors
    /// A damaged file.
    fn scores(&self) -> Result<Option<ClassScores>, Self::Error>;

    /// The outcomes of a KPI.
    ///
    /// # Errors
    /// A damaged file.
    fn kpi(&self, kpi: usize, unmapped: &mut Unmapped, out: &mut Vec<Flag>) -> Result<(), Self::Error>;

    /// A numeric feature.
    ///
    /// # Errors
    /// A damaged file.
    fn numeric(&self, slot: usize, out: &mut Vec<f64>) -> Result<(), Self::Error>;

    /// The codes of a categorical feature; overlong texts are invalid.
    ///
    /// # Errors
    /// A damaged file.
    fn categorical(&self, slot: usize, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), Self::Error>;

    /// The codes of a segment attribute; overlong texts are missing.
    ///
    /// # Errors
    /// A damaged file.
    fn attribute(&self, slot: usize, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), Self::Error>;

    /// The categorical feature that the same column holds as this attribute, whose codes spare hashing it twice.
    fn twin(&self, attribute: usize) -> Option<usize>;
}

/// Scores by class, a number per row in each column, missing where there is none.
pub struct ClassScores {
    /// Of the policy's classes, in their order.
    pub listed: Vec<Vec<f64>>,
    /// The largest of other classes.
    pub others: Vec<f64>,
}

/// The codes of the texts in one file, as one thread reads it.
#[derive(Clone, Debug)]
pub struct ColumnCoder {
    pub codes: Coder,
    /// Per attribute: its code by its twin's code.
    by_twin: Vec<Vec<u32>>,
    /// Per attribute: its codes in the rows of a batch.
    attributes: Vec<Vec<u32>>,
}

impl ColumnCoder {
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let none = vec![Vec::new(); schema.attributes.len()];
        Self { codes: Coder::new(schema), by_twin: none.clone(), attributes: none }
    }

    /// Begins a batch; with too many values known all are forgotten, and `fresh` says so.
    pub fn begin(&mut self, fresh: &mut Fresh) {
        if self.codes.begin(fresh) {
            self.by_twin.iter_mut().for_each(Vec::clear);
        }
    }

    /// Appends the features' columns.
    ///
    /// # Errors
    /// A damaged file.
    pub fn features<C: Columns>(
        &mut self,
        columns: &C,
        out: &mut FeatureColumns,
        fresh: &mut Fresh,
    ) -> Result<(), C::Error> {
        self.read_features(columns, out, fresh, |_, _, _, _| {})
    }

    /// The same and the segments' columns.
    ///
    /// # Errors
    /// A damaged file.
    pub fn features_and_segments<C: Columns>(
        &mut self,
        columns: &C,
        features: &mut FeatureColumns,
        segments: &mut [Vec<u32>],
        fresh: &mut Fresh,
    ) -> Result<(), C::Error> {
        let mut by_twin = std::mem::take(&mut self.by_twin);
        let read = self.read_features(columns, features, fresh, |coder, slot, category, text| {
            for (attribute, codes) in by_twin.iter_mut().enumerate() {
                // Category codes are given in order, so a new one comes right behind the known.
                let is_next = category < code::SPECIAL && category as usize == codes.len();
                if is_next && columns.twin(attribute) == Some(slot) {
                    codes.push(coder.attribute(attribute, text));
                }
            }
        });
        self.by_twin = by_twin;
        read?;
        self.read_attributes(columns, features)?;
        let mut of_row = vec![code::MISSING; self.attributes.len()];
        for row in 0..columns.rows() {
            for (slot, codes) in of_row.iter_mut().zip(&self.attributes) {
                *slot = codes.get(row).copied().unwrap_or(code::MISSING);
            }
            for (segmentation, column) in segments.iter_mut().enumerate() {
                column.push(self.codes.segment(segmentation, &of_row, fresh));
            }
        }
        Ok(())
    }

    /// Appends the features' columns; `also` sees each category of a slot that is asked for, with its code.
    fn read_features<C: Columns>(
        &mut self,
        columns: &C,
        out: &mut FeatureColumns,
        fresh: &mut Fresh,
        mut also: impl FnMut(&mut Coder, usize, u32, &str),
    ) -> Result<(), C::Error> {
        for (slot, values) in out.numeric.iter_mut().enumerate() {
            columns.numeric(slot, values)?;
        }
        let coder = &mut self.codes;
        for (slot, codes) in out.categorical.iter_mut().enumerate() {
            let intern = |text: &str| {
                let code = coder.category(slot, text, fresh);
                also(coder, slot, code, text);
                code
            };
            columns.categorical(slot, intern, codes)?;
        }
        Ok(())
    }

    /// Reads the attributes' codes of these rows.
    fn read_attributes<C: Columns>(&mut self, columns: &C, features: &FeatureColumns) -> Result<(), C::Error> {
        for (attribute, codes) in self.attributes.iter_mut().enumerate() {
            codes.clear();
            let twin = columns.twin(attribute).and_then(|slot| features.categorical.get(slot));
            if let (Some(twin), Some(known)) = (twin, self.by_twin.get(attribute)) {
                codes.extend(twin.iter().map(|&c| known.get(c as usize).copied().unwrap_or(c)));
                continue;
            }
            let coder = &mut self.codes;
            columns.attribute(attribute, |text| coder.attribute(attribute, text), codes)?;
        }
        Ok(())
    }
}
