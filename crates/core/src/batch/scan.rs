//! The first pass: of a part its times and the names of its versions and stages, in the order they were read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::BatchError;
use super::plan::{Origin, Part, Split, decode, encode};
use crate::codec::envelope::Kind;
use crate::event::{Domain, Limits};
use crate::intake::{DecoderId, Intake, Setup};
use crate::pipeline::batch::Batch;
use crate::policy::Policy;
use crate::window::front::run::Run;

const KIND: Kind = Kind { tag: *b"SCAN", version: 1 };

/// What a scan found in a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub origin: Origin,
    pub split: Split,
    /// The file, without the part.
    pub file: String,
    pub part: Part,
    /// How many row groups or bytes the file has, where it is read in parts.
    pub of: u64,
    /// Events that count.
    pub rows: u64,
    pub rejected: u64,
    /// The time that "in the future" is measured from, in ms.
    pub record_ts: i64,
    pub run: Option<Run>,
    /// Versions in the order of their first events, each with the smallest of their times.
    pub versions: Vec<(String, i64)>,
    pub stages: Vec<String>,
}

impl Scan {
    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        decode(KIND, name, bytes)
    }

    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, BatchError> {
        encode(KIND, &self.split.name, self)
    }
}

/// A scan under way.
pub struct Scanning {
    intake: Intake,
    decoder: DecoderId,
    rows: u64,
    run: Option<Run>,
    /// The smallest time of each version, by code.
    first: Vec<i64>,
}

impl Scanning {
    #[must_use]
    pub fn new(policy: Arc<Policy>, limits: Limits) -> Self {
        // More names than are allowed are refused later, where all are known.
        let limits = Limits { versions: limits.versions.saturating_add(1), ..limits };
        let mut intake = Intake::new(policy, Setup { limits, ..Setup::default() });
        let decoder = intake.add_decoder();
        Self { intake, decoder, rows: 0, run: None, first: Vec::new() }
    }

    /// Takes the next events of the part.
    pub fn take<B: Batch>(&mut self, batch: &mut B) {
        batch.learn(&mut self.intake, self.decoder);
        self.rows += batch.rows() as u64;
        self.run = batch.times().iter().fold(self.run, |run, ts| Some(Run::with(run, *ts)));
        for (&version, &ts) in batch.versions().iter().zip(batch.times()) {
            let at = version as usize;
            if at >= self.first.len() {
                // Its code was given just now, or it is one of too many.
                if self.intake.names().version(version).is_none() {
                    continue;
                }
                self.first.resize(at + 1, i64::MAX);
            }
            if let Some(first) = self.first.get_mut(at) {
                *first = ts.min(*first);
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self, origin: Origin, split: Split, (file, part, of): (String, Part, u64)) -> Scan {
        let names = self.intake.all_names();
        let of_domain =
            |domain: Domain| names.iter().filter(move |(d, _)| *d == domain).map(|(_, name)| name.to_string());
        let first = self.first.into_iter().chain(std::iter::repeat(i64::MAX));
        Scan {
            versions: of_domain(Domain::Version).zip(first).collect(),
            stages: of_domain(Domain::Stage).collect(),
            rows: self.rows,
            run: self.run,
            rejected: 0,
            record_ts: 0,
            origin,
            split,
            file,
            part,
            of,
        }
    }
}
