//! Files of the daemon itself: secrets, keys, its registry and its state. They may lie beside a policy, and are no artifacts.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where they lie now, without links.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    paths: Vec<PathBuf>,
    /// Device and inode: another name of the same file is the same file.
    files: Vec<(u64, u64)>,
}

impl Resolved {
    pub fn of(own: &[PathBuf]) -> Self {
        let real = |path: &PathBuf| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
        let paths: Vec<PathBuf> = own.iter().filter_map(real).collect();
        let files = paths.iter().filter_map(|path| std::fs::metadata(path).ok()).filter(Metadata::is_file);
        let files = files.map(|meta| (meta.dev(), meta.ino())).collect();
        Self { paths, files }
    }

    /// Whether a path leads to one of them.
    pub fn hold(&self, path: &Path) -> bool {
        let Ok(real) = path.canonicalize() else { return false };
        std::fs::metadata(&real).is_ok_and(|meta| self.hold_real(&real, &meta))
    }

    /// The same of a path without links.
    pub fn hold_real(&self, real: &Path, meta: &Metadata) -> bool {
        self.paths.iter().any(|own| real.starts_with(own)) || self.files.contains(&(meta.dev(), meta.ino()))
    }
}
