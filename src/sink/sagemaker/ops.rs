//! What driftgate tells `SageMaker`: operations, each of which may be carried out any number of times.
//!
//! `SageMaker` numbers packages itself, so none is made here: an operation on a version that is missing, or that was made anew under
//! the same number, is refused for good. A pointer that another client moved is left where it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask::Ask;
use super::package::{APPROVED, Package, REJECTED, pointers};
use super::pull::{described, list};
use crate::aws::AwsError;
use crate::ledger::Op;
use crate::sink::external::Delivered;
use driftgate_core::fact::External;
use driftgate_core::promotion::types::PROD;

/// What a pointer's property says.
const STANDS: &str = "current";

/// Carries out an operation on a package of a group.
///
/// # Errors
/// It was not delivered and stays due.
pub fn deliver(api: &dyn Ask, group: &str, op: &Op) -> Result<Delivered, AwsError> {
    let (Op::SetAlias { version, created_ms, .. } | Op::SetTags { version, created_ms, .. }) = op;
    let packages = list(api, group)?;
    let target = match target(&packages, group, version, *created_ms) {
        Ok(target) => target,
        Err(why) => return Ok(Delivered::Refused(why)),
    };
    let done = match op {
        Op::SetAlias { alias, expected, .. } if alias == PROD => {
            approve(api, group, &packages, target, expected.as_deref())
        }
        Op::SetAlias { alias, expected, .. } => point(api, group, &packages, target, (alias, expected.as_deref())),
        Op::SetTags { tags, .. } => set_tags(api, group, target, tags),
    };
    match done {
        // It went while this was under way, or it does not take what it is told.
        Err(AwsError::Missing { said, .. } | AwsError::Refused { said, .. }) => Ok(Delivered::Refused(said)),
        done => done,
    }
}

fn target<'p>(
    packages: &'p [Package],
    group: &str,
    version: &str,
    created_ms: Option<i64>,
) -> Result<&'p Package, String> {
    let found = packages.iter().find(|package| package.version.to_string() == version);
    let found = found.ok_or_else(|| {
        format!(
            "SageMaker has no version {version:?} in the model package group {group:?}, and it numbers versions itself"
        )
    })?;
    match (created_ms, found.created_ms) {
        (Some(known), Some(now)) if known != now => Err(format!(
            "version {version:?} of {group:?} was deleted and made anew in SageMaker: it was created at {known} ms, this one at \
             {now} ms"
        )),
        _ => Ok(found),
    }
}

/// Makes a package the newest that is approved.
fn approve(
    api: &dyn Ask,
    group: &str,
    packages: &[Package],
    target: &Package,
    expected: Option<&str>,
) -> Result<Delivered, AwsError> {
    let version = target.version.to_string();
    match pointers(packages).remove(PROD) {
        Some(found) if found == version => return Ok(Delivered::Already),
        Some(found) if Some(found.as_str()) != expected => return Ok(Delivered::Drift { found: Some(found) }),
        _ => {}
    }
    // The one that comes back first, so that there is one at any time.
    if !target.is_approved() {
        decide(api, group, &target.arn, APPROVED, &format!("driftgate: version {version} is in prod"))?;
    }
    for newer in packages.iter().filter(|package| package.version > target.version && package.is_approved()) {
        let why = format!("driftgate: version {version} is in prod in place of version {}", newer.version);
        decide(api, group, &newer.arn, REJECTED, &why)?;
    }
    let found = pointers(&list(api, group)?).remove(PROD);
    Ok(if found.as_deref() == Some(&version) { Delivered::Done } else { Delivered::Drift { found } })
}

/// Writes an approval and its reason.
fn decide(api: &dyn Ask, group: &str, arn: &str, status: &str, why: &str) -> Result<(), AwsError> {
    let Some(mut package) = described(api, group, arn)? else { return Ok(()) };
    status.clone_into(&mut package.approval);
    package.approval_description = Some(why.to_owned());
    write(api, &package, &[])
}

/// Puts a pointer's property onto a package, and takes it from the others.
fn point(
    api: &dyn Ask,
    group: &str,
    packages: &[Package],
    target: &Package,
    (stage, expected): (&str, Option<&str>),
) -> Result<Delivered, AwsError> {
    let (key, version) = (External::SageMaker.key(&Package::pointer(stage)), target.version.to_string());
    let mut all = Vec::new();
    for listed in packages {
        all.extend(described(api, group, &listed.arn)?);
    }
    let found = all.iter().rfind(|package| package.properties.contains_key(&key)).map(|p| p.version.to_string());
    match found {
        Some(found) if found == version => return Ok(Delivered::Already),
        Some(found) if Some(found.as_str()) != expected => return Ok(Delivered::Drift { found: Some(found) }),
        _ => {}
    }
    let Some(mut package) = all.iter().find(|package| package.arn == target.arn).cloned() else {
        return Ok(deleted(group, target));
    };
    package.properties.insert(key.clone(), STANDS.to_owned());
    write(api, &package, &[])?;
    for other in all.iter().filter(|other| other.arn != target.arn && other.properties.contains_key(&key)) {
        write(api, other, &[&key])?;
    }
    Ok(Delivered::Done)
}

fn set_tags(api: &dyn Ask, group: &str, target: &Package, tags: &[(String, String)]) -> Result<Delivered, AwsError> {
    let Some(mut package) = described(api, group, &target.arn)? else {
        return Ok(deleted(group, target));
    };
    let differing = External::SageMaker.differing(&package.properties, tags.to_vec());
    if differing.is_empty() {
        return Ok(Delivered::Already);
    }
    let written = differing.iter().map(|(key, value)| (External::SageMaker.key(key), External::SageMaker.value(value)));
    package.properties.extend(written);
    write(api, &package, &[])?;
    Ok(Delivered::Done)
}

/// A package went after it was listed.
fn deleted(group: &str, target: &Package) -> Delivered {
    Delivered::Refused(format!("version {} of {group:?} was deleted in SageMaker just now", target.version))
}

/// Writes a package's approval and metadata, all of it: what an update leaves out may be lost.
fn write(api: &dyn Ask, package: &Package, without: &[&str]) -> Result<(), AwsError> {
    let kept: BTreeMap<&String, &String> =
        package.properties.iter().filter(|(key, _)| !without.contains(&key.as_str())).collect();
    let mut asked = json!({"ModelPackageArn": package.arn, "CustomerMetadataProperties": kept});
    let mut add = |key: &str, value: Value| {
        if let Some(asked) = asked.as_object_mut() {
            asked.insert(key.to_owned(), value);
        }
    };
    if !package.approval.is_empty() {
        add("ModelApprovalStatus", json!(package.approval));
    }
    if let Some(why) = &package.approval_description {
        add("ApprovalDescription", json!(why));
    }
    if !without.is_empty() {
        add("CustomerMetadataPropertiesToRemove", json!(without));
    }
    api.call("UpdateModelPackage", &asked).map(drop)
}
