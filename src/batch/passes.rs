//! The passes over files: each reads what its part of the work needs, and leaves what it came to.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::{read, schema};
use super::shared::section;
use super::split::split;
use crate::replay::reference;
use crate::source::columns::ColumnFile;
use crate::source::options::FileOptions;
use driftgate_core::batch::{
    BatchError, Carry, Counting, Origin, Paired, Pairing, Part, Partial, Planned, Scan, Scanning, Shared, Sharing,
    Split, Streams, check_kind,
};
use driftgate_core::event::{ByKind, EventKind, LabelBatch, Limits, PredictionBatch};
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::batch::{Batch, PerKind};
use driftgate_core::pipeline::kinds::of_kind;
use driftgate_core::policy::Policy;

/// A policy, and how its files are read.
pub struct Files {
    pub policy: Arc<Policy>,
    pub origin: Origin,
    pub options: ByKind<FileOptions>,
    pub threads: usize,
}

impl Files {
    fn limits(&self) -> Limits {
        self.options.of(EventKind::Predictions).limits
    }

    /// How a part is read: by the clock of its scan.
    fn options(&self, kind: EventKind, record_ts: i64) -> FileOptions {
        FileOptions { record_ts, ..self.options.of(kind).clone() }
    }

    /// A version's reference.
    #[must_use]
    pub fn load(&self, version: &str) -> Reference {
        reference(&self.policy, version, None, self.threads)
    }
}

fn part_of(name: &str) -> Result<(PathBuf, Part), BatchError> {
    split(name).map_err(|e| BatchError::Input(e.to_string()))
}

/// Scans a part.
///
/// # Errors
/// A part that cannot be read.
pub fn scan(files: &Files, of: Split) -> Result<Scan, BatchError> {
    struct Scans<'a>(&'a Files, (&'a Path, Part), &'a FileOptions);
    impl PerKind for Scans<'_> {
        type Output = Result<(Scanning, u64), BatchError>;

        fn of<B: Batch + 'static>(self) -> Self::Output {
            let Self(files, (path, part), options) = self;
            let mut scanning = Scanning::new(Arc::clone(&files.policy), options.limits);
            let left = read((path, part), &schema(&files.policy, path, true), options, |batch: &mut B| {
                scanning.take(batch);
                ControlFlow::Continue(())
            });
            Ok((scanning, left.map_err(|e| BatchError::Input(e.to_string()))?.rejected))
        }
    }
    check_kind(of.kind)?;
    let (path, part) = part_of(&of.name)?;
    let options = files.options.of(of.kind);
    let (scanning, rejected) = of_kind(of.kind, Scans(files, (&path, part), options))?;
    let size = match part {
        Part::Whole => 0,
        Part::Groups { .. } => groups(&path)?,
        Part::Bytes { .. } => std::fs::metadata(&path).map_err(|e| BatchError::Input(e.to_string()))?.len(),
    };
    let file = path.display().to_string();
    let found = scanning.finish(files.origin.clone(), of, (file, part, size));
    Ok(Scan { rejected, record_ts: options.record_ts, ..found })
}

/// How many row groups a file has.
fn groups(path: &Path) -> Result<u64, BatchError> {
    let opened = ColumnFile::open(path, &[], &Arc::default()).map_err(|e| BatchError::Input(e.to_string()))?;
    Ok(opened.1.rows_of_groups().map_or(0, |groups| groups.len() as u64))
}

/// Makes the carry of all parts' scans.
///
/// # Errors
/// Parts that are missing or cannot be read again, and what would need the order of events.
pub fn carry(files: &Files, scans: Vec<Scan>, buckets: u32) -> Result<Carry, BatchError> {
    struct Times<'a, 'e>(&'a Files, &'a Scan, &'e mut dyn FnMut(i64, Option<u64>) -> ControlFlow<()>);
    impl PerKind for Times<'_, '_> {
        type Output = Result<(), String>;

        fn of<B: Batch + 'static>(self) -> Self::Output {
            let Self(files, scan, each) = self;
            let (path, part) = split(&scan.split.name).map_err(|e| e.to_string())?;
            let options = files.options(scan.split.kind, scan.record_ts);
            let done = read((&path, part), &schema(&files.policy, &path, true), &options, |batch: &mut B| {
                batch.times().iter().enumerate().try_for_each(|(row, ts)| each(*ts, batch.key(row)))
            });
            done.map(|_| ()).map_err(|e| e.to_string())
        }
    }
    let times = &mut |scan: &Scan, each: &mut dyn FnMut(i64, Option<u64>) -> ControlFlow<()>| {
        of_kind(scan.split.kind, Times(files, scan, each))
    };
    let future = ByKind::each(|kind| files.options.of(kind).format.time.future);
    let mut streams = Streams { limits: files.limits(), future, times };
    Carry::new(&files.policy, &files.origin, scans, buckets, &mut streams)
}

/// Shares the rows of a part that are joined.
///
/// # Errors
/// A part that cannot be read, or has changed.
pub fn share(files: &Files, carry: &Carry, part: &Planned, name: &str) -> Result<Shared, BatchError> {
    files.origin.same(&carry.plan.origin, "the carry")?;
    let mut sharing = Sharing::new(&files.policy, carry, part, files.limits())?;
    let (path, of_file) = part_of(name)?;
    let options = files.options(part.kind, part.record_ts);
    let at = (&*path, of_file);
    let unreadable = |e: crate::source::files::StreamError| BatchError::Input(e.to_string());
    if part.kind == EventKind::Labels {
        read(at, &schema(&files.policy, &path, true), &options, |batch: &mut LabelBatch| {
            sharing.labels(batch);
            ControlFlow::Continue(())
        })
        .map_err(unreadable)?;
    } else {
        read(at, &joined(&files.policy, &path), &options, |batch: &mut PredictionBatch| {
            sharing.predictions(batch, &mut |version| files.load(version));
            ControlFlow::Continue(())
        })
        .map_err(unreadable)?;
    }
    sharing.finish()
}

/// The slots of what is joined: of a file of columns no features, but those that segments are made of.
fn joined(policy: &Policy, path: &Path) -> Arc<driftgate_core::schema::Schema> {
    let whole = schema(policy, path, false);
    let times = schema(policy, path, true);
    let (attributes, segmentations) = (whole.attributes.clone(), whole.segmentations.clone());
    Arc::new(driftgate_core::schema::Schema { attributes, segmentations, ..(*times).clone() })
}

/// Joins the rows of a bucket.
///
/// # Errors
/// Files that cannot be read, and what would need the order of events.
pub fn pair(files: &Files, carry: &Carry, bucket: u32, shared: &[PathBuf]) -> Result<Paired, BatchError> {
    files.origin.same(&carry.plan.origin, "the carry")?;
    let pairing = Pairing::new(&files.policy, &carry.plan, bucket, files.limits(), &mut |version| files.load(version))?;
    let sections = shared.iter().map(|path| section(path, bucket)).collect::<Result<_, _>>()?;
    pairing.join(sections)
}

/// Counts a part.
///
/// # Errors
/// A part that cannot be read, or has changed.
pub fn count(files: &Files, carry: &Carry, part: &Planned, name: &str) -> Result<Partial, BatchError> {
    struct Counts<'a>(&'a Files, &'a mut Counting, (&'a Path, Part), &'a FileOptions);
    impl PerKind for Counts<'_> {
        type Output = Result<(), BatchError>;

        fn of<B: Batch + 'static>(self) -> Self::Output {
            let Self(files, counting, (path, part), options) = self;
            let done = read((path, part), &schema(&files.policy, path, false), options, |batch: &mut B| {
                counting.take(batch, &mut |version| files.load(version));
                ControlFlow::Continue(())
            });
            done.map(|_| ()).map_err(|e| BatchError::Input(e.to_string()))
        }
    }
    files.origin.same(&carry.plan.origin, "the carry")?;
    let load = &mut |version: &str| files.load(version);
    let mut counting = Counting::new(&files.policy, carry, part, files.limits(), load)?;
    let (path, of_file) = part_of(name)?;
    let options = files.options(part.kind, part.record_ts);
    of_kind(part.kind, Counts(files, &mut counting, (&path, of_file), &options))?;
    counting.finish()
}
