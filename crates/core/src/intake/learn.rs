//! What the codes of a decoder's batches mean: names are learned, versions and codes translated into the intake's own.

use std::ops::Range;

use super::{DecoderId, Intake};
use crate::event::{FeatureBatch, PredictionBatch, code};

impl Intake {
    /// Takes over what a batch's codes mean, and translates its versions. Every batch comes here, in its decoder's order.
    pub fn learn(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        self.learn_names(decoder, &mut batch.fresh, &mut batch.version);
        if let Some(t) = self.translations.get(decoder.0) {
            batch.generation = t.generation();
        }
    }

    /// Translates the rest of a batch that was learned from, once no version of it is unknown.
    pub fn translate(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        let rows = 0..batch.len();
        self.translate_rows(decoder, batch, rows);
    }

    /// The same of the next rows of a batch, where a later row's version is still unknown.
    pub fn translate_rows(&mut self, decoder: DecoderId, batch: &mut PredictionBatch, rows: Range<usize>) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.predictions(&mut self.names, batch, rows);
        }
    }

    /// Takes over what the codes of a batch of the features stream mean. Every batch comes here, in its decoder's order.
    pub fn learn_features(&mut self, decoder: DecoderId, batch: &mut FeatureBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.learn(&mut self.names, &mut batch.fresh, false);
        }
    }

    /// Translates rows of a batch of the features stream that was learned from.
    pub fn translate_features(&mut self, decoder: DecoderId, batch: &mut FeatureBatch, rows: Range<usize>) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.features(&mut self.names, batch, rows);
        }
    }

    /// Versions of a batch that was learned from, which have neither a baseline nor a failure to load one yet, each with the
    /// first row that has it.
    #[must_use]
    pub fn unknown_versions(&self, batch: &PredictionBatch) -> Vec<(usize, String)> {
        let mut unknown: Vec<(usize, u32)> = Vec::new();
        let mut last = code::MISSING;
        for (row, &v) in batch.version.iter().enumerate() {
            if v != last && !self.is_known(v) && !unknown.iter().any(|(_, known)| *known == v) {
                unknown.push((row, v));
            }
            last = v;
        }
        unknown.iter().filter_map(|&(row, v)| Some((row, self.names.version(v)?.to_owned()))).collect()
    }
}
