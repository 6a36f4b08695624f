//! The files that a daemon is started with: its configuration, and the policies that this names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use crate::config::Config;
use crate::policies;
use driftgate_core::policy::Policy;

/// Reads a configuration file.
///
/// # Errors
/// What is wrong with it.
pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    Ok(crate::config::parse(&text, path)?)
}

/// Reads the policies a configuration names; one model a policy.
///
/// # Errors
/// Every error of every file, and two policies for one model.
pub fn read_policies(config: &Config) -> anyhow::Result<Vec<Arc<Policy>>> {
    let mut found: BTreeMap<String, Arc<Policy>> = BTreeMap::new();
    let mut errors = Vec::new();
    for path in config.policy_files()? {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
        match policies::parse(&text, &path) {
            Err(e) => errors.push(e.to_string()),
            Ok(policy) => {
                if let Some(other) = found.insert(policy.model.clone(), Arc::new(policy)) {
                    errors.push(format!(
                        "{}: the model {:?} has two policies; a model has one",
                        path.display(),
                        other.model
                    ));
                }
            }
        }
    }
    if errors.is_empty() { Ok(found.into_values().collect()) } else { Err(anyhow!(errors.join("\n"))) }
}
