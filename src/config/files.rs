//! `policies:`: patterns of policy files, and the files they name.

use std::path::{Path, PathBuf};

use super::types::{Config, DeadLetterTarget};
use crate::ledger::Embedded;
use driftgate_core::yaml::{Item, units};

/// Why the policy files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFilesError {
    #[error("no policy file matches \"{pattern}\" in {}: write one, or correct `policies`", directory.display())]
    NoMatch { pattern: String, directory: PathBuf },
    #[error("cannot list {} for the policies \"{pattern}\": {source}", directory.display())]
    Unreadable { pattern: String, directory: PathBuf, source: std::io::Error },
}

impl Config {
    /// The policy files that `policies` names, sorted and each once; `*` stands for any characters of a file's name
    /// that does not begin with a dot.
    ///
    /// # Errors
    /// A pattern without a file, or a folder that cannot be listed.
    pub fn policy_files(&self) -> Result<Vec<PathBuf>, PolicyFilesError> {
        let mut files = Vec::new();
        for pattern in &self.policies {
            let before = files.len();
            let path = self.directory.join(pattern);
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let directory = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            if name.contains('*') {
                let readable = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
                let unreadable = |source| PolicyFilesError::Unreadable {
                    pattern: pattern.clone(),
                    directory: directory.clone(),
                    source,
                };
                for entry in std::fs::read_dir(readable).map_err(unreadable)? {
                    let found = entry.map_err(unreadable)?.file_name();
                    let path = directory.join(&found);
                    let matching = found.to_str().is_some_and(|found| !found.starts_with('.') && matches(&name, found));
                    if matching && path.is_file() {
                        files.push(path);
                    }
                }
            } else if path.is_file() {
                files.push(path);
            }
            if files.len() == before {
                return Err(PolicyFilesError::NoMatch { pattern: pattern.clone(), directory });
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// What belongs to the daemon itself: files of tokens, secrets and keys, its state, and the registry, which is here.
    #[must_use]
    pub fn own_files(&self, registry: &Path) -> Vec<PathBuf> {
        let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        // A state folder around everything else would leave no place for artifacts.
        let state = Some(&self.state.path).filter(|state| {
            matches!((real(state), real(&self.directory)), (Ok(state), Ok(directory)) if !directory.starts_with(&state))
        });
        let dead = self.publish.dead_letters.as_ref().and_then(|dead| match &dead.to {
            DeadLetterTarget::Path(path) => Some(path),
            DeadLetterTarget::Topic(_) => None,
        });
        let beside = |end: &str| {
            let mut path = registry.as_os_str().to_owned();
            path.push(end);
            PathBuf::from(path)
        };
        let kafka = self.kafka.iter().flat_map(|kafka| {
            let named = kafka.properties.iter().filter(|(property, _)| property.ends_with(".location"));
            kafka.property_files.values().cloned().chain(named.map(|(_, path)| PathBuf::from(path)))
        });
        self.http
            .tokens_file
            .iter()
            .chain(self.http.oidc.iter().filter_map(|oidc| oidc.sign_in.as_ref()?.secret_file.as_ref()))
            .chain(self.http.tls.iter().map(|tls| &tls.key))
            .chain(self.registry.mlflow().and_then(|mlflow| mlflow.token_file.as_ref()))
            .chain(self.publish.webhooks.iter().filter_map(|webhook| webhook.secret_file.as_ref()))
            .chain(self.prometheus.iter().filter_map(|query| query.token_file.as_ref()))
            .chain(self.oci.registries.auth_file.as_ref())
            .chain(state)
            .chain(dead)
            .cloned()
            .chain(kafka)
            .chain(["", "-wal", "-shm", "-journal"].map(beside))
            .chain([Embedded::key_path(registry)])
            .collect()
    }
}

pub(super) fn patterns(item: &Item) -> Option<Vec<String>> {
    let items = item.list("policy files")?;
    if items.is_empty() {
        return item.fail("expected at least one policy file: write [\"policies/*.yaml\"]");
    }
    let mut patterns = Vec::new();
    for item in items {
        let Some(text) = item.text("a policy file") else {
            continue;
        };
        let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.contains('*') {
            item.report(format!(
                "{} has a `*` in a folder's name: write it in the file's name only",
                units::quote(text)
            ));
        } else if text.ends_with('/') {
            item.report(format!("{} is a folder: write {text}*.yaml", units::quote(text)));
        } else {
            patterns.push(text.to_owned());
        }
    }
    Some(patterns)
}

/// Whether `*` can be filled in so that the pattern is the name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(head) else {
        return false;
    };
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The first place is the best one: it leaves most for the parts to come.
        let Some(place) = rest.find(part) else { return false };
        let (_, after) = rest.split_at(place + part.len());
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars() {
        for (pattern, name) in [("*.yaml", "a.yaml"), ("*", "a"), ("a*b*c", "aXbYbc"), ("a", "a"), ("a**b", "ab")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.yaml", "a.yml"), ("a*b*c", "acb"), ("ab*b", "ab"), ("a", "b"), ("*é*", "e")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
