//! The rows of a history: predictions as their files have them, and the labels that joined them by id.

use std::collections::HashMap;

use crate::replay::{Input, InputFile};
use crate::source::files::FileStream;
use driftgate_core::event::{Domain, EventKind, Flag, Fresh, LabelBatch, PredictionBatch, PredictionId};
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::schema::Schema;
use std::sync::Arc;

/// More rows are thinned: every second is left out, again and again.
const MOST_ROWS: usize = 400_000;

/// Rows whose codes one decoder gave.
#[derive(Default)]
pub struct Pool {
    pub fresh: Fresh,
    pub rows: PredictionBatch,
}

/// What can be drawn again.
#[derive(Default)]
pub struct Rows {
    pub pools: Vec<Pool>,
    /// Pool and row of every prediction of the version.
    pub of_version: Vec<(usize, usize)>,
    labels: HashMap<u128, (Flag, f64)>,
}

impl Pool {
    fn version(&self, row: usize) -> Option<&str> {
        let code = *self.rows.version.get(row)? as usize;
        let mut versions = self.fresh.iter().filter(|(domain, _)| *domain == Domain::Version);
        versions.nth(code).map(|(_, name)| &**name)
    }
}

impl Rows {
    /// Reads the rows of a version.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn read(input: &Input, version: &str) -> anyhow::Result<Self> {
        let schema = Arc::new(Schema::new(&input.policy));
        let mut pools: Vec<Pool> = Vec::new();
        each(&input.predictions, &schema, |batch: PredictionBatch, is_new| pool(&mut pools, batch, is_new))?;
        let rows = pools.iter().enumerate().flat_map(|(at, pool)| (0..pool.rows.len()).map(move |row| (at, row)));
        let is_of_it = |(at, row): &(usize, usize)| pools.get(*at).and_then(|pool| pool.version(*row)) == Some(version);
        let mut of_version: Vec<(usize, usize)> = rows.filter(is_of_it).collect();
        while of_version.len() > MOST_ROWS {
            of_version = of_version.into_iter().step_by(2).collect();
        }
        let mut labels = HashMap::new();
        if let Some(file) = input.others.get(&EventKind::Labels) {
            each(file, &schema, |batch: LabelBatch, _| {
                for (i, (hash, label)) in batch.ids.hash.iter().zip(&batch.label).enumerate() {
                    labels.entry(*hash).or_insert((*label, batch.value.get(i).copied().unwrap_or(f64::NAN)));
                }
            })?;
        }
        Ok(Self { pools, of_version, labels })
    }

    /// The label of a row, and its number where labels are numbers.
    pub fn label(&self, (pool, row): (usize, usize)) -> Option<(Flag, f64)> {
        let id = self.pools.get(pool)?.rows.ids.text(row);
        self.labels.get(&PredictionId::of(id).0).copied()
    }

    /// The standard deviations of the numeric features, and of the score behind them; 0 where there are fewer than two values.
    pub fn deviations(&self) -> (Vec<f64>, f64) {
        let columns = self.pools.first().map_or(0, |pool| pool.rows.features.numeric.len());
        let of = |value: &dyn Fn(&PredictionBatch, usize) -> Option<f64>| {
            let all = self.of_version.iter().filter_map(|(pool, row)| value(&self.pools.get(*pool)?.rows, *row));
            deviation(all.filter(|x| x.is_finite()))
        };
        let of_feature = |at: usize| of(&|rows, row| rows.features.numeric.get(at)?.get(row).copied());
        ((0..columns).map(of_feature).collect(), of(&|rows, row| rows.score.get(row).copied()))
    }
}

/// The standard deviation (ddof 0), by Welford's sums.
fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for x in values {
        n += 1.0;
        let from: f64 = x - mean;
        mean += from / n;
        squares += from * (x - mean);
    }
    let found = if n < 2.0 { 0.0 } else { (squares / n).sqrt() };
    if found.is_finite() { found } else { 0.0 }
}

/// Takes every batch of the files; `is_new` says that a decoder starts.
fn each<B: Batch>(file: &InputFile, schema: &Arc<Schema>, mut take: impl FnMut(B, bool)) -> anyhow::Result<()> {
    for path in file.paths() {
        let mut stream: FileStream<B> = FileStream::open(path, schema, &file.options)?;
        let mut decoder = stream.decoder();
        let mut is_new = true;
        while let Some(piece) = stream.next_piece()? {
            let (chunk, block) = decoder.decode(piece, stream.empty())?;
            block.into_iter().for_each(|block| stream.give_back(block));
            take(chunk.batch, std::mem::take(&mut is_new));
        }
    }
    Ok(())
}

/// Adds a batch to the pool of its decoder.
fn pool(pools: &mut Vec<Pool>, mut batch: PredictionBatch, is_new: bool) {
    let restarts = batch.fresh.iter().any(|(domain, _)| *domain == Domain::Restart);
    if is_new || restarts || pools.is_empty() {
        let rows =
            PredictionBatch::new(batch.features.numeric.len(), batch.features.categorical.len(), batch.segments.len());
        pools.push(Pool { fresh: Vec::new(), rows });
    }
    let Some(pool) = pools.last_mut() else { return };
    batch.fresh.retain(|(domain, _)| *domain != Domain::Restart);
    pool.fresh.append(&mut batch.fresh);
    for row in 0..batch.len() {
        copy(&batch, row, &mut pool.rows, batch.ids.text(row), batch.ts.get(row).copied().unwrap_or(0));
    }
}

/// Copies a row behind others, with another id and time.
pub fn copy(from: &PredictionBatch, row: usize, to: &mut PredictionBatch, id: &str, ts: i64) {
    use driftgate_core::event::{code, numeric};
    let number = |of: &Vec<f64>| of.get(row).copied().unwrap_or(numeric::MISSING);
    let word = |of: &Vec<u32>| of.get(row).copied().unwrap_or(code::MISSING);
    let flag = |of: &Vec<Flag>| of.get(row).copied().unwrap_or_default();
    to.ids.push(id);
    to.ts.push(ts);
    to.version.push(word(&from.version));
    to.stage.push(code::MISSING);
    to.score.push(number(&from.score));
    to.decision.push(flag(&from.decision));
    to.latency_ms.push(number(&from.latency_ms));
    to.error.push(flag(&from.error));
    for (to, from) in to.features.numeric.iter_mut().zip(&from.features.numeric) {
        to.push(number(from));
    }
    for (to, from) in to.features.categorical.iter_mut().zip(&from.features.categorical) {
        to.push(word(from));
    }
    for (to, from) in to.segments.iter_mut().zip(&from.segments) {
        to.push(word(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_is_that_of_all_values() {
        let of = |values: &[f64]| deviation(values.iter().copied()).to_string();
        assert_eq!(of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), "2");
        assert_eq!((of(&[3.0]), of(&[])), ("0".to_owned(), "0".to_owned()));
    }
}
