//! `SageMaker`'s model registry: a model is a group of model packages, a version one of its numbered packages.
//!
//! A package has no alias. The one that deployments take is the newest that is approved, so that is the pointer `prod`: a package that
//! comes to prod is approved, and where a newer one was approved before, that is rejected. Other pointers, and the tags that show a
//! version's gates, are its customer metadata. What is written to a package goes with everything that it had, since an update may
//! replace it; nothing is ever deleted but a pointer that moved on.

mod ask;
mod ops;
mod package;
mod pull;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::aws::{Api, AwsError, SAGEMAKER};
use crate::http_client::Calls;
use crate::ledger::{Found, Op};
use crate::sink::external::{Delivered, ExternalError, ExternalRegistry};
use ask::Ask;
use driftgate_core::fact::External;
use package::Package;

/// What a model's group is called, where it is called otherwise than the model.
pub type Groups = BTreeMap<String, String>;

/// The longest name of a group, in characters.
const LONGEST_GROUP: usize = 63;

/// The registry of an account in a region.
pub struct SageMakerRegistry {
    api: Box<dyn Ask>,
    groups: Groups,
    /// Packages that were described, by ARN, and when.
    kept: BTreeMap<String, (Package, Instant)>,
}

impl SageMakerRegistry {
    /// The registry of this region, or of the one that the environment names. Nothing is asked yet.
    ///
    /// # Errors
    /// No region, or credentials that cannot be set up.
    pub fn new(region: Option<&str>, groups: Groups, calls: &Calls) -> Result<Self, AwsError> {
        Ok(Self { api: Box::new(Api::new(&SAGEMAKER, region, calls)?), groups, kept: BTreeMap::new() })
    }
}

/// The group of a model.
fn group(groups: &Groups, model: &str) -> String {
    groups.get(model).cloned().unwrap_or_else(|| group_of(model))
}

/// The name of a model's group where none is configured: groups take letters, digits and single hyphens in between.
#[must_use]
pub fn group_of(model: &str) -> String {
    let hyphened: String = model.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let cut: String = hyphened.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    cut.chars().take(LONGEST_GROUP).collect::<String>().trim_end_matches('-').to_owned()
}

/// Two of these models that have the same group, and that group.
#[must_use]
pub fn shared_group<'m>(models: &'m [String], groups: &Groups) -> Option<(&'m str, &'m str, String)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    models.iter().find_map(|model| {
        let group = group(groups, model);
        seen.insert(group.clone(), model).map(|other| (other, model.as_str(), group))
    })
}

impl ExternalRegistry for SageMakerRegistry {
    fn of(&self) -> External {
        External::SageMaker
    }

    fn pull(&mut self, model: &str, known: Vec<String>) -> Result<Found, ExternalError> {
        let group = group(&self.groups, model);
        Ok(pull::pull(self.api.as_ref(), &group, known, &mut self.kept)?)
    }

    fn deliver(&mut self, op: &Op) -> Result<Delivered, ExternalError> {
        let (Op::SetAlias { model, version, .. } | Op::SetTags { model, version, .. }) = op;
        let group = group(&self.groups, model);
        // What is written is described anew, and so is what loses a pointer.
        self.kept.retain(|_, (package, _)| {
            package.group != group || package.version.to_string() != *version && !package.has_pointer()
        });
        Ok(ops::deliver(self.api.as_ref(), &group, op)?)
    }
}

impl From<AwsError> for ExternalError {
    fn from(error: AwsError) -> Self {
        match error {
            AwsError::Setup { .. } | AwsError::Unreachable { .. } => Self::Away(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
