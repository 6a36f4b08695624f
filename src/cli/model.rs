//! The arguments MODEL and VERSION, and where the daemon serves what they name.

/// Which model a command is about.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ModelArg {
    /// Name of the model
    #[arg(value_name = "MODEL")]
    pub model: String,
}

impl ModelArg {
    /// The path of a resource of the model, by its parts.
    #[must_use]
    pub fn path<'p>(&'p self, resource: &'p str) -> [&'p str; 5] {
        ["api", "v1", "models", &self.model, resource]
    }
}

/// Which version of which model a command is about.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct VersionArgs {
    /// Name of the model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Version of the model
    #[arg(value_name = "VERSION")]
    pub version: String,
}

impl VersionArgs {
    /// The path of the version's page, by its parts.
    #[must_use]
    pub fn page(&self) -> [&str; 4] {
        ["models", &self.model, "versions", &self.version]
    }

    /// The path of the version, by its parts.
    #[must_use]
    pub fn own_path(&self) -> [&str; 6] {
        ["api", "v1", "models", &self.model, "versions", &self.version]
    }

    /// The path of a resource of the version, by its parts.
    #[must_use]
    pub fn path<'p>(&'p self, resource: &'p str) -> [&'p str; 7] {
        ["api", "v1", "models", &self.model, "versions", &self.version, resource]
    }
}
