//! A model package, as `ListModelPackages` and `DescribeModelPackage` give it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ledger::FoundVersion;
use driftgate_core::promotion::types::PROD;

/// The status of a package that deployments may take, and of one that they may not.
pub const APPROVED: &str = "Approved";
pub const REJECTED: &str = "Rejected";
/// A pointer other than prod is a property of this name, followed by the stage.
const POINTER: &str = "driftgate.stage.";

/// A numbered package of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub arn: String,
    pub group: String,
    pub version: u64,
    /// Wall clock, ms.
    pub created_ms: Option<i64>,
    /// `Completed`, `Failed`, …
    pub status: String,
    /// `Approved`, `Rejected` or `PendingManualApproval`.
    pub approval: String,
    pub approval_description: Option<String>,
    /// Where the model's files are.
    pub source: Option<String>,
    pub commit: Option<String>,
    /// Customer metadata.
    pub properties: BTreeMap<String, String>,
}

impl Package {
    /// Reads a package; `None` where it has no number. A summary leaves out source, commit and properties.
    #[must_use]
    pub fn read(group: &str, found: &Value) -> Option<Self> {
        let text = |at: &str| found.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let source = text("/InferenceSpecification/Containers/0/ModelDataUrl");
        let properties = found.get("CustomerMetadataProperties").and_then(Value::as_object);
        let properties = properties.into_iter().flatten();
        Some(Self {
            arn: text("/ModelPackageArn")?,
            group: group.to_owned(),
            version: found.get("ModelPackageVersion")?.as_u64()?,
            created_ms: found.get("CreationTime").and_then(time_ms),
            status: text("/ModelPackageStatus").unwrap_or_default(),
            approval: text("/ModelApprovalStatus").unwrap_or_default(),
            approval_description: text("/ApprovalDescription"),
            source: source.or_else(|| text("/InferenceSpecification/Containers/0/ModelDataSource/S3DataSource/S3Uri")),
            commit: text("/MetadataProperties/CommitId"),
            properties: properties.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
        })
    }

    /// Whether a summary says the same of the package.
    #[must_use]
    pub fn is_as_in(&self, summary: &Self) -> bool {
        (self.created_ms, &self.status, &self.approval) == (summary.created_ms, &summary.status, &summary.approval)
    }

    pub fn is_approved(&self) -> bool {
        self.approval == APPROVED
    }

    /// Whether a pointer other than prod is on it.
    #[must_use]
    pub fn has_pointer(&self) -> bool {
        self.properties.keys().any(|key| key.starts_with(POINTER))
    }

    /// The property that says that a stage's pointer is on a package.
    #[must_use]
    pub fn pointer(stage: &str) -> String {
        format!("{POINTER}{stage}")
    }
}

/// Where the pointers of a group stand: prod on the newest package that is approved, others where a property says so. Where two have
/// it, on the newer one.
#[must_use]
pub fn pointers(packages: &[Package]) -> BTreeMap<String, String> {
    let mut pointers = BTreeMap::new();
    // By number: what comes later stays.
    for package in packages {
        let version = package.version.to_string();
        for stage in package.properties.keys().filter_map(|key| key.strip_prefix(POINTER)) {
            pointers.insert(stage.to_owned(), version.clone());
        }
    }
    pointers.remove(PROD);
    if let Some(approved) = packages.iter().rev().find(|package| package.is_approved()) {
        pointers.insert(PROD.to_owned(), approved.version.to_string());
    }
    pointers
}

impl From<Package> for FoundVersion {
    fn from(package: Package) -> Self {
        let found = Self::of_tags(package.properties, BTreeMap::new());
        Self {
            version: package.version.to_string(),
            created_ms: package.created_ms,
            status: package.status,
            source: package.source,
            code_commit: found.code_commit.clone().or(package.commit),
            ..found
        }
    }
}

/// A time of AWS' JSON: seconds since the epoch, with a fraction, or RFC 3339.
fn time_ms(found: &Value) -> Option<i64> {
    match found {
        Value::String(text) => Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()),
        found => jiff::SignedDuration::try_from_secs_f64(found.as_f64()?)
            .ok()
            .map(|since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
    }
}
