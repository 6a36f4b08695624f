//! What a group has. Its packages are listed with every look; a list says little, and a description is a call for each, so that
//! one is asked for once, again where the list says something else, and a few again with each look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ask::Ask;
use super::package::{Package, pointers};
use crate::aws::AwsError;
use crate::ledger::{Found, FoundVersion};
use driftgate_core::fact::External;

/// Packages in a page, at most 100.
const PAGE: u32 = 100;
/// A package that nobody wrote to is described again after so long, so that what others changed in its metadata is seen.
const DESCRIBED_FOR: Duration = Duration::from_secs(3600);
/// So many are described again with one look, the oldest first.
const MOST_DESCRIBED_AGAIN: usize = 20;

/// Reads a group with its packages; `known` are versions that it had.
///
/// # Errors
/// A service that is out of reach, fails or refuses.
pub fn pull(
    api: &dyn Ask,
    group: &str,
    known: Vec<String>,
    kept: &mut BTreeMap<String, (Package, Instant)>,
) -> Result<Found, AwsError> {
    match api.call("DescribeModelPackageGroup", &json!({"ModelPackageGroupName": group})) {
        Ok(_) => {}
        Err(AwsError::Missing { .. }) => return Ok(Found { of: External::SageMaker, gone: known, ..Found::default() }),
        Err(error) => return Err(error),
    }
    let listed = list(api, group)?;
    let mut again: Vec<(Instant, &Package)> = Vec::new();
    let mut packages = Vec::new();
    for summary in &listed {
        match kept.get(&summary.arn).filter(|(package, _)| package.is_as_in(summary)) {
            Some((package, at)) => {
                if at.elapsed() > DESCRIBED_FOR {
                    again.push((*at, summary));
                }
                packages.push(package.clone());
            }
            None => packages.extend(describe(api, group, summary, kept)?),
        }
    }
    again.sort_by_key(|(at, _)| *at);
    for (_, summary) in again.into_iter().take(MOST_DESCRIBED_AGAIN) {
        let described = describe(api, group, summary, kept)?;
        let at = packages.iter().position(|package| package.arn == summary.arn);
        if let (Some(described), Some(package)) = (described, at.and_then(|at| packages.get_mut(at))) {
            *package = described;
        }
    }
    kept.retain(|arn, (package, _)| package.group != group || listed.iter().any(|listed| listed.arn == *arn));
    let has = |version: &String| listed.iter().any(|package| package.version.to_string() == *version);
    let gone = known.into_iter().filter(|version| !has(version)).collect();
    let aliases = pointers(&packages);
    let versions = packages.into_iter().map(FoundVersion::from).collect();
    Ok(Found { of: External::SageMaker, exists: true, aliases, versions, gone })
}

/// The packages of a group by number, as a list says them.
///
/// # Errors
/// A service that is out of reach, fails or refuses.
pub fn list(api: &dyn Ask, group: &str) -> Result<Vec<Package>, AwsError> {
    let asked = json!({
        "ModelPackageGroupName": group, "MaxResults": PAGE, "SortBy": "CreationTime", "SortOrder": "Ascending",
    });
    let pages = api.pages("ListModelPackages", asked)?;
    let summaries = pages.iter().filter_map(|page| page.get("ModelPackageSummaryList")?.as_array()).flatten();
    let mut listed: Vec<Package> = summaries.filter_map(|found| Package::read(group, found)).collect();
    listed.sort_by_key(|package| package.version);
    listed.dedup_by_key(|package| package.version);
    Ok(listed)
}

/// A package in whole; `None`: it was deleted meanwhile.
///
/// # Errors
/// A service that is out of reach, fails or refuses.
pub fn described(api: &dyn Ask, group: &str, arn: &str) -> Result<Option<Package>, AwsError> {
    let found: Result<Value, AwsError> = api.call("DescribeModelPackage", &json!({"ModelPackageName": arn}));
    match found {
        Ok(found) => Ok(Package::read(group, &found)),
        Err(AwsError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(
    api: &dyn Ask,
    group: &str,
    summary: &Package,
    kept: &mut BTreeMap<String, (Package, Instant)>,
) -> Result<Option<Package>, AwsError> {
    let found = described(api, group, &summary.arn)?;
    if let Some(package) = &found {
        kept.insert(summary.arn.clone(), (package.clone(), Instant::now()));
    }
    Ok(found)
}
