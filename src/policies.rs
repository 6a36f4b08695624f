//! The one way from a policy's file to a policy: everything that reads one comes here, so that `extends` and `vars`, and classes that are left out,
//! mean the same everywhere.

mod classes;
mod tables;

use std::path::Path;

use anyhow::Context as _;

use driftgate_core::policy::{self, Policy, PolicyErrors};

/// A larger file is no policy.
const MOST_BYTES: u64 = 4 << 20;

/// Reads and validates a policy file, with what it extends.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with it, each error with its file, line and column.
pub fn read(path: &Path) -> anyhow::Result<Policy> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
    Ok(parse(&text, path)?)
}

/// Validates a policy's text that was read already; what it extends is read from files.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, path: &Path) -> Result<Policy, PolicyErrors> {
    policy::load(&classes::filled(text, path, &extended), path, &extended)
}

/// The text of a policy with what it extends, its variables, and its classes filled in.
///
/// # Errors
/// Everything that is wrong with it.
pub fn merged(text: &str, path: &Path) -> Result<String, PolicyErrors> {
    policy::merged(&classes::filled(text, path, &extended), path, &extended)
}

fn extended(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !size.is_file() || size.len() > MOST_BYTES {
        return Err(format!("it is no file of at most {} MiB", MOST_BYTES >> 20));
    }
    if tables::is_table(path) { tables::csv_of(path) } else { std::fs::read_to_string(path).map_err(|e| e.to_string()) }
}
