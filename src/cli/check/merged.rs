//! `driftgate check --merged`: policies as they are with what they extend and their variables filled in.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::exit::{self, Failure};
use super::super::terminal::{errln, outln};
use crate::daemon::read_config;
use crate::policies;

/// Prints every policy, each a YAML document behind the name of its file.
///
/// # Errors
/// A configuration or a file that cannot be read; what is wrong with policies is printed.
pub fn print(config: Option<&Path>, files: &[PathBuf]) -> Result<u8, Failure> {
    let mut all = match config {
        Some(path) => read_config(path)?.policy_files()?,
        None => Vec::new(),
    };
    all.extend_from_slice(files);
    let mut code = exit::PASS;
    for (at, file) in all.iter().enumerate() {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("the policy {} cannot be read", file.display()))?;
        match policies::merged(&text, file) {
            Ok(merged) => {
                let between = if at == 0 { "" } else { "---\n" };
                outln!("{between}# {}\n{}", file.display(), merged.trim_end());
            }
            Err(errors) => {
                errln!("{errors}");
                code = exit::INPUT;
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "apiVersion: driftgate/v1\nfeatures: {numeric: $numeric}\nvars: {limit: 0.2}\n\
        checks: {drift: {window: {size: 7d, slide: 1d}, rules: [psi: {of: features, lt: $limit}]}}\n";

    #[test]
    fn the_merged_policy_is_the_policy_and_has_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        file("base.yaml", BASE);
        let own = "extends: base.yaml\nmodel: fraud\nvars: {numeric: [a, b]}\n";
        let path = file("fraud.yaml", own);
        let extended = policies::read(&path).unwrap();
        let merged = policies::merged(own, &path).unwrap();
        let flat = policies::read(&file("flat.yaml", &merged)).unwrap();
        assert_eq!((&flat.sha256, &flat.model), (&extended.sha256, &extended.model));
        assert_eq!(flat.features, extended.features);
        // A change of the base is a change of the policy.
        file("base.yaml", &BASE.replace("0.2", "0.3"));
        assert_ne!(policies::read(&path).unwrap().sha256, extended.sha256);
        assert_eq!(print(None, std::slice::from_ref(&path)).unwrap(), exit::PASS);
        // The error is where the value stands: in the base.
        file("base.yaml", &BASE.replace("7d", "7x"));
        let error = policies::read(&path).unwrap_err().to_string();
        assert!(error.contains("base.yaml:4:") && !error.contains("fraud.yaml"), "{error}");
        assert_eq!(print(None, &[path]).unwrap(), exit::INPUT);
        assert_eq!(print(None, &[folder.path().join("none")]).unwrap_err().code, exit::INPUT);
    }

    #[test]
    fn forty_policies_are_read_in_less_than_a_second() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.yaml"), BASE).unwrap();
        let began = std::time::Instant::now();
        for n in 0..40 {
            let path = folder.path().join(format!("m{n}.yaml"));
            let features: Vec<String> = (0..100).map(|f| format!("f{f}")).collect();
            let own = format!("extends: base.yaml\nmodel: m{n}\nvars: {{numeric: [{}]}}\n", features.join(", "));
            std::fs::write(&path, own).unwrap();
            assert_eq!(policies::read(&path).unwrap().features.numeric.len(), 100);
        }
        assert!(began.elapsed().as_secs_f64() < 5.0, "{:?}, without optimisation", began.elapsed());
    }
}
