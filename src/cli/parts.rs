//! What the commands that count parts of files have in common: their policy, the bytes that they read and write.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::replay::{Options, read_policy};
use crate::batch::Files;
use driftgate_core::batch::Origin;
use driftgate_core::codec::hash::sha256_hex;
use driftgate_core::event::{ByKind, EventKind};

/// How the parts' files are read.
#[derive(Debug, clap::Args)]
pub struct Read {
    /// Policy of the model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Daemon configuration whose field mappings apply to the files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Read {
    pub fn of(policy: PathBuf, config: Option<PathBuf>) -> Self {
        Self { policy, config }
    }

    pub fn files(&self) -> anyhow::Result<Files> {
        let policy = Arc::new(read_policy(&self.policy)?);
        let threads = super::threads::threads(None);
        let options = Options::new(&policy, self.config.as_deref(), threads)?;
        let config = self.config.as_deref().map(std::fs::read).transpose()?;
        let origin = Origin {
            policy: policy.sha256.clone(),
            config: config.map(|bytes| sha256_hex(&bytes)).unwrap_or_default(),
        };
        let options = ByKind::each(|kind| options.file(Path::new("-"), kind).options);
        Ok(Files { policy, origin, options, threads })
    }
}

/// The kind of events of this name.
pub fn kind(name: &str) -> Result<EventKind, String> {
    EventKind::of_name(name).ok_or_else(|| {
        let names: Vec<&str> = EventKind::LISTED.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Files as they were given; `@LIST` stands for a file with one path a line.
pub fn paths(given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        match path.to_str().and_then(|text| text.strip_prefix('@')) {
            None => all.push(path.clone()),
            Some(list) => {
                let text = std::fs::read_to_string(list).with_context(|| format!("the list {list} cannot be read"))?;
                all.extend(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from));
            }
        }
    }
    if all.is_empty() {
        bail!("no file is given");
    }
    Ok(all)
}

/// The content of a file, and its name.
pub fn bytes(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("{name} cannot be read"))?;
    Ok((name, bytes))
}

/// Writes pieces of bytes to a file, which is replaced at once, or to standard output.
pub fn write(out: Option<&Path>, pieces: &[Vec<u8>]) -> anyhow::Result<()> {
    let Some(path) = out else {
        let mut stdout = std::io::stdout().lock();
        pieces.iter().try_for_each(|piece| stdout.write_all(piece))?;
        return Ok(stdout.flush()?);
    };
    let cannot = || format!("{} cannot be written", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".driftgate-").tempfile_in(folder).with_context(cannot)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece)).with_context(cannot)?;
    // Who reads it is another user, perhaps on another machine.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}
