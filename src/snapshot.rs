//! Training snapshots to baselines: the columns of a Parquet or CSV file, or of a folder of such, by what the policy says they are. Unlike events,
//! a snapshot must be right: what does not fit the policy is an error that names the column. Where the bytes come from
//! is `fetch`.

mod columns;
mod error;
mod fetch;
pub mod places;
mod spread;
#[cfg(test)]
mod tests;

use crate::source::columns::nulls::NullTexts;
use crate::stores::Stores;
use columns::ProfileBuilder;
use driftgate_core::baseline::{Baseline, Calibrated, KIND, NumericReference, SnapshotColumns};
use driftgate_core::codec::envelope;
use driftgate_core::policy::{FeatureSpec, Policy};
#[cfg(test)]
use driftgate_core::{baseline::Coded, event::Flag};
pub use error::{SnapshotError, SnapshotErrors};
pub use fetch::Reach;

/// Where the snapshot of a version lies, by the policy; `None` where the policy names none.
///
/// # Errors
/// A version that would lead out of the folder.
pub fn location_for(policy: &Policy, version: &str) -> Result<Option<String>, SnapshotErrors> {
    policy.baseline.snapshot.as_deref().map(|pattern| place(pattern, version)).transpose()
}

/// What a pattern of the policy names for a version.
fn place(pattern: &str, version: &str) -> Result<String, SnapshotErrors> {
    let bad = ["/", "\\", "..", "%", "?", "#"].into_iter().find(|bad| version.contains(bad)).map(str::to_owned);
    let bad = bad.or_else(|| version.chars().find(|c| c.is_control()).map(String::from));
    if let Some(found) = bad.or_else(|| version.is_empty().then(String::new)) {
        return Err(SnapshotError::BadVersion { version: version.to_owned(), found }.into());
    }
    Ok(pattern.replace("{version}", version))
}

/// Fetches a snapshot (a path relative to the policy, or a URL) and builds the version's baseline from it, or reads the
/// baseline if it is one, on this thread.
///
/// # Errors
/// What cannot be fetched, read, or does not fit the policy.
pub fn load(policy: &Policy, version: &str, location: &str) -> Result<Baseline, SnapshotErrors> {
    load_on(policy, version, location, 1, &Stores::default(), Reach::Anything)
}

/// The same on so many threads, a column on each.
///
/// # Errors
/// What cannot be fetched, read, or does not fit the policy.
pub fn load_on(
    policy: &Policy,
    version: &str,
    location: &str,
    threads: usize,
    stores: &Stores,
    reach: Reach<'_>,
) -> Result<Baseline, SnapshotErrors> {
    let failed = |cause| SnapshotError::Fetch { location: location.to_owned(), cause };
    let wrong = |source| SnapshotError::Baseline { location: location.to_owned(), source };
    let fetched = fetch::fetch(&policy.directory, location, stores, reach).map_err(failed)?;
    if envelope::is(KIND, &fetched.start(envelope::IDENTITY).map_err(failed)?) {
        return Baseline::decode(&fetched.bytes().map_err(failed)?, policy).map_err(|e| wrong(e).into());
    }
    let (sha256, columns, mut references) = read_fetched(policy, fetched, location, threads, true)?;
    let score = columns.score.as_ref().and_then(|_| references.pop());
    let mut baseline = Baseline::of_references(policy, version, (location, &sha256), &columns, references, score)
        .map_err(|errors| SnapshotErrors(errors.into_iter().map(wrong).collect()))?;
    if Calibrated::is_asked_by(policy)
        && let Some(pattern) = &policy.baseline.reference
    {
        // Whoever names the snapshot, the reference is the policy's word.
        let reach = if matches!(reach, Reach::Within(_)) { Reach::Files } else { reach };
        let location = place(pattern, version)?;
        let found = calibrated(policy, &location, threads, stores, reach);
        let of_reference = |error| SnapshotError::Reference(Box::new(error));
        baseline.calibrated =
            Some(found.map_err(|errors| SnapshotErrors(errors.0.into_iter().map(of_reference).collect()))?);
    }
    Ok(baseline)
}

/// The score's calibration by labelled rows that the model was not trained on.
fn calibrated(
    policy: &Policy,
    location: &str,
    threads: usize,
    stores: &Stores,
    reach: Reach<'_>,
) -> Result<Calibrated, SnapshotErrors> {
    let failed = |cause| SnapshotError::Fetch { location: location.to_owned(), cause };
    // Score and label are all that it has to have.
    let policy = Policy {
        features: FeatureSpec { numeric: Vec::new(), categorical: Vec::new(), ..policy.features.clone() },
        segments: Vec::new(),
        unit: None,
        groups: Vec::new(),
        ..policy.clone()
    };
    let fetched = fetch::fetch(&policy.directory, location, stores, reach).map_err(failed)?;
    let (sha256, columns, _) = read_fetched(&policy, fetched, location, threads, false)?;
    Ok(Calibrated::new(Some((location.to_owned(), sha256)), &columns))
}

/// The digest of what was fetched, its columns and, with `build`, the references of the numeric ones.
///
/// # Errors
/// What cannot be read, changes meanwhile, or does not fit the policy.
fn read_fetched(
    policy: &Policy,
    mut fetched: fetch::Fetched,
    location: &str,
    threads: usize,
    build: bool,
) -> Result<(String, SnapshotColumns, Vec<NumericReference>), SnapshotErrors> {
    let failed = |cause| SnapshotError::Fetch { location: location.to_owned(), cause };
    let sha256 = fetched.sha256().map_err(failed)?;
    let (wanted, needed) = columns_of(policy);
    let files = fetched.columns(location, &wanted, &NullTexts::listed(policy.baseline.null_values.as_deref()))?;
    let (columns, references) = read_on(policy, files, needed, location, threads, build)?;
    fetched.check().map_err(failed)?;
    Ok((sha256, columns, references))
}

/// Columns the snapshot must have, with what the policy names them under.
pub(crate) type Needed = Vec<(String, &'static str)>;

/// The columns and, with `build`, the references of the numeric ones, whose numbers are then left out.
///
/// # Errors
/// A damaged file, missing columns and values that do not fit the policy.
fn read_on(
    policy: &Policy,
    files: Vec<fetch::Columns>,
    needed: Needed,
    location: &str,
    threads: usize,
    build: bool,
) -> Result<(SnapshotColumns, Vec<NumericReference>), SnapshotErrors> {
    // All of them have the same columns.
    let Some((file, _)) = files.first() else { return Err(SnapshotErrors(Vec::new())) };
    let missing: Vec<SnapshotError> = needed
        .into_iter()
        .filter(|(column, _)| !file.has(column))
        .map(|(column, role)| SnapshotError::NoColumn {
            location: location.to_owned(),
            column,
            role,
            columns: file.columns().to_vec(),
        })
        .collect();
    if !missing.is_empty() {
        return Err(SnapshotErrors(missing));
    }
    ProfileBuilder::new(policy, location, file).read(files, threads, build)?.finish()
}

/// The columns a policy names, and those the snapshot must have.
pub(crate) fn columns_of(policy: &Policy) -> (Vec<String>, Needed) {
    let mut needed = Needed::new();
    let mut need = |column: &String, role| {
        if !needed.iter().any(|(known, _)| known == column) {
            needed.push((column.clone(), role));
        }
    };
    policy.features.numeric.iter().for_each(|c| need(c, "features.numeric"));
    policy.features.categorical.iter().for_each(|c| need(c, "features.categorical"));
    let of_predictions = if policy.is_multiclass() { "baseline.columns.prediction" } else { "baseline.columns.score" };
    policy.baseline.score_column.iter().for_each(|c| need(c, of_predictions));
    policy.baseline.label_column.iter().for_each(|c| need(c, "baseline.columns.label"));
    policy.unit.iter().for_each(|c| need(c, "unit"));
    for group in &policy.groups {
        for rule in &group.rules {
            let drops = rule.kind.snapshot_segments().map(|by| (by, "segments (and a tpr_drop rule reads it)"));
            let compared =
                rule.kind.by_segment().first().map(|(by, _)| (*by, "segments (and a rule with `by` reads it)"));
            for (by, role) in drops.into_iter().chain(compared) {
                policy.segments.get(by).iter().flat_map(|s| &s.parts).for_each(|c| need(c, role));
            }
        }
    }
    let parts = policy.segments.iter().flat_map(|s| &s.parts).cloned();
    (needed.iter().map(|(c, _)| c.clone()).chain(parts).collect(), needed)
}
