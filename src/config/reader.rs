//! What the sections' parsers share: paths, authorities, places, counts and durations.

use std::path::PathBuf;
use std::time::Duration;

use super::key::{Key, names, required};
use crate::snapshot::places::Places;
use driftgate_core::yaml::{Item, units};

/// What reading the values needs besides them.
pub struct ConfigReader<'e> {
    pub directory: PathBuf,
    pub environment: &'e dyn Fn(&str) -> Option<String>,
    /// The CAs that are believed where a section does not name its own.
    pub ca_file: Option<PathBuf>,
}

/// The keys of every `tls` that names authorities.
pub const TLS: [Key; 1] = [required(
    "ca_file",
    "path",
    "PEM file with the certificates of your own CAs. The daemon trusts them beside the CAs of the system, and reads the file at the start.",
)];

impl ConfigReader<'_> {
    /// `{ca_file}`: the certificates of CAs that are believed beside those of the system; by default what the whole
    /// configuration says.
    pub fn authorities(&self, item: Option<&Item>) -> Option<Option<PathBuf>> {
        let Some(item) = item else { return Some(self.ca_file.clone()) };
        let path = item.map(const { &names(&TLS) })?.require("ca_file", "/etc/ssl/company-ca.pem")?;
        self.path(&path).map(Some)
    }

    /// A path, from the configuration file's folder.
    pub fn path(&self, item: &Item) -> Option<PathBuf> {
        Some(self.directory.join(item.text("a path")?))
    }

    /// Folders and URLs; each wrong one is reported at its place.
    pub fn places(&self, item: &Item) -> Option<Places> {
        let items = item.list("folders and URLs, like [\"/data/training/\", \"s3://training/approved/\"]")?;
        let prefixes: Vec<String> =
            items.iter().map(|i| i.text("a folder or a URL").map(str::to_owned)).collect::<Option<_>>()?;
        match Places::parse(&self.directory, &prefixes) {
            Ok(places) => Some(places),
            Err(errors) => {
                for (at, why) in errors {
                    if let Some(item) = items.get(at) {
                        let read = units::quote(prefixes.get(at).map_or("", String::as_str));
                        item.report(format!("expected a folder or a URL, read {read}: {why}"));
                    }
                }
                None
            }
        }
    }
}

/// A whole number within its bounds.
pub fn count(item: &Item, least: u64, most: u64) -> Option<usize> {
    item.whole(least, most).and_then(|number| usize::try_from(number).ok())
}

/// A duration above zero.
pub fn duration(item: &Item) -> Option<Duration> {
    item.duration(false).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
}

/// The address of a server.
pub fn url(item: &Item) -> Option<String> {
    let text = item.text("a URL")?;
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(text.to_owned());
    }
    item.fail("expected a URL that starts with http:// or https://")
}

/// What was given must be right; what was not given is fine.
#[allow(clippy::option_option, reason = "not given, wrong, and right are three things")]
pub(super) fn given<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        Some(value) => Some(Some(value?)),
        None => Some(None),
    }
}
