//! Which state folder a command is about.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::exit::Failure;
use crate::daemon::read_config;

/// Which state folder.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// The daemon's configuration, which names the folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Place {
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        match (&self.config, &self.state) {
            (Some(config), _) => Ok(read_config(config)?.state.path),
            (None, Some(state)) => Ok(state.clone()),
            (None, None) => Err(anyhow!("name a state folder with --state, or a configuration with --config").into()),
        }
    }
}

/// A folder that is not there is a mistake in its name.
pub fn known(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(anyhow!("there is no state folder {}: correct the path, or start the daemon, which makes it", folder.display())
        .into())
}
