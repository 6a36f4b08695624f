//! Where a snapshot may lie that a registration or a tag names. The author of these texts is not the operator of the daemon: without
//! bounds they could make it read any file of its machine, and any bucket that its keys open.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use reqwest::Url;

use driftgate_core::fact::attestation::{SCHEME, repository};

/// The prefixes that the configuration allows beside the folder or bucket of the policy itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A folder, absolute, without `..`.
    Folder(PathBuf),
    /// Scheme and authority, and the segments that its path must begin with.
    Store { root: (String, String), segments: Vec<String> },
}

/// A location that no place holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{location:?} lies outside of the folder or bucket of the policy, and under none of the configuration's `snapshots`; move it there, or allow its place"
)]
pub struct NotAllowed {
    pub location: String,
}

impl Places {
    /// The places of prefixes: folders, relative to `directory`, or URLs.
    ///
    /// # Errors
    /// Prefixes that are no place, each with the reason.
    pub fn parse(directory: &Path, prefixes: &[String]) -> Result<Self, Vec<(usize, String)>> {
        let (mut places, mut errors) = (Vec::new(), Vec::new());
        for (at, prefix) in prefixes.iter().enumerate() {
            match place(directory, prefix) {
                Ok(place) => places.push(place),
                Err(why) => errors.push((at, why)),
            }
        }
        if errors.is_empty() { Ok(Self(places)) } else { Err(errors) }
    }

    /// The same places and those that a policy reads its own snapshots from: its folder, and the folder or bucket of its
    /// `baseline.snapshot` up to where the version comes in.
    #[must_use]
    pub fn with(mut self, directory: &Path, pattern: Option<&str>) -> Self {
        self.0.extend(place(directory, ".").ok());
        let fixed = pattern.map(|p| p.split("{version}").next().unwrap_or(p));
        if let Some(fixed) = fixed {
            let parent = match fixed.split_once("://") {
                // The whole bucket, as the keys were given for it.
                Some((scheme, rest)) if scheme != "file" => {
                    format!("{scheme}://{}/", rest.split('/').next().unwrap_or(rest))
                }
                _ => fixed.rsplit_once('/').map_or_else(|| ".".to_owned(), |(folder, _)| format!("{folder}/")),
            };
            let all = |place: &Place| matches!(place, Place::Folder(folder) if folder.parent().is_none());
            self.0.extend(place(directory, &parent).ok().filter(|place| !all(place)));
        }
        self
    }

    /// Whether a real path, without links, lies in one of the places.
    #[must_use]
    pub fn holds_real(&self, real: &Path) -> bool {
        let real = Place::Folder(real.to_owned());
        self.0.iter().any(|allowed| allowed.holds(&real) || allowed.resolved().is_some_and(|a| a.holds(&real)))
    }

    /// Whether a folder lies above one of the places.
    #[must_use]
    pub fn lie_below(&self, real: &Path) -> bool {
        let above = Place::Folder(real.to_owned());
        self.0.iter().any(|allowed| above.holds(allowed))
    }

    /// Whether a location (a path relative to `directory`, or a URL) lies in one of the places, also when links are followed.
    ///
    /// # Errors
    /// One that does not.
    pub fn check(&self, directory: &Path, location: &str) -> Result<(), NotAllowed> {
        let refused = || NotAllowed { location: location.to_owned() };
        let found = place(directory, location).map_err(|_| refused())?;
        if !self.0.iter().any(|allowed| allowed.holds(&found)) {
            return Err(refused());
        }
        // What is not there leads nowhere.
        let Place::Folder(path) = found else { return Ok(()) };
        let Ok(real) = path.canonicalize() else { return Ok(()) };
        if self.holds_real(&real) { Ok(()) } else { Err(refused()) }
    }
}

/// Where an open file lies, without links; `path` is what was opened.
///
/// # Errors
/// A file that is not there any more, where the system does not name what is open.
pub fn real_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    if let Ok(real) = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        return Ok(real);
    }
    let real = path.canonicalize()?;
    let (there, open) = (std::fs::symlink_metadata(&real)?, file.metadata()?);
    if (there.dev(), there.ino()) == (open.dev(), open.ino()) {
        return Ok(real);
    }
    Err(io::Error::other("it was replaced while it was opened"))
}

impl Place {
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(folder), Self::Folder(path)) => path.starts_with(folder),
            (Self::Store { root, segments }, Self::Store { root: of, segments: path }) => {
                root == of && path.starts_with(segments)
            }
            _ => false,
        }
    }

    /// The same with its own links followed: a folder may be one.
    fn resolved(&self) -> Option<Self> {
        match self {
            Self::Folder(folder) => folder.canonicalize().ok().map(Self::Folder),
            Self::Store { .. } => None,
        }
    }
}

fn place(directory: &Path, text: &str) -> Result<Place, String> {
    let path = match text.split_once("://") {
        None => text,
        Some(("file", path)) => path,
        Some(_) => {
            // Of an artifact in a registry, where its repository lies.
            let text = if text.starts_with(SCHEME) { &format!("{SCHEME}{}", repository(text)) } else { text };
            let url = Url::parse(text).map_err(|e| format!("it is no URL: {e}"))?;
            let host = url.host_str().filter(|h| !h.is_empty()).ok_or("it names no bucket or host")?;
            let port = url.port().map_or_else(String::new, |p| format!(":{p}"));
            // An encoded dot or slash is decoded by the store's client.
            if ["%2e", "%2f", "%5c"].iter().any(|bad| url.path().to_ascii_lowercase().contains(bad)) {
                return Err("write its path without encoded dots and slashes".to_owned());
            }
            let segments = url.path_segments().into_iter().flatten().filter(|s| !s.is_empty());
            let (root, segments) =
                ((url.scheme().to_owned(), format!("{host}{port}")), segments.map(str::to_owned).collect());
            return Ok(Place::Store { root, segments });
        }
    };
    if path.is_empty() {
        return Err("it is empty".to_owned());
    }
    let whole = std::path::absolute(directory.join(path)).map_err(|e| e.to_string())?;
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Ok(Place::Folder(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(prefixes: &[&str]) -> Places {
        let prefixes: Vec<String> = prefixes.iter().map(|p| (*p).to_owned()).collect();
        Places::parse(Path::new("/etc/driftgate"), &prefixes).unwrap()
    }

    fn holds(places: &Places, location: &str) -> bool {
        places.check(Path::new("/models/fraud"), location).is_ok()
    }

    #[test]
    fn a_policy_reads_from_its_own_folder_and_from_where_its_snapshots_are() {
        let own = Places::default().with(Path::new("/models/fraud"), None);
        for inside in
            ["train.parquet", "a/../train.parquet", "/models/fraud/v2/train.csv", "file:///models/fraud/t.csv"]
        {
            assert!(holds(&own, inside), "{inside}");
        }
        for outside in [
            "/dev/zero",
            "../train.parquet",
            "/models/fraud/../other/t.csv",
            "/models/fraudulent/t.csv",
            "file:///etc/passwd",
            "s3://training/t.parquet",
            "http://169.254.169.254/latest/meta-data",
            "",
        ] {
            assert!(!holds(&own, outside), "{outside}");
        }
        let bucket = Places::default().with(Path::new("/models/fraud"), Some("s3://training/fraud/v{version}.parquet"));
        assert!(holds(&bucket, "s3://training/other.parquet") && holds(&bucket, "t.csv"));
        for other in
            ["s3://payroll/t.parquet", "gs://training/t.parquet", "s3://training@payroll/t", "s3://training%2f/t"]
        {
            assert!(!holds(&bucket, other), "{other}");
        }
        let folder = Places::default().with(Path::new("/models/fraud"), Some("/data/{version}/train.csv"));
        assert!(holds(&folder, "/data/x/y.csv") && !holds(&folder, "/database/t.csv"));
    }

    #[test]
    fn prefixes_allow_more_by_whole_names() {
        let more = places(&["/data/training/", "s3://training/approved", "shared"]);
        for inside in ["/data/training/t.csv", "s3://training/approved/a/t.csv", "/etc/driftgate/shared/t.csv"] {
            assert!(holds(&more, inside), "{inside}");
        }
        for outside in [
            "/data/training2/t.csv",
            "s3://training/approved2/t.csv",
            "s3://training/approved/../secret.csv",
            "s3://training/approved/%2e%2e/secret.csv",
            "s3://training/approved/..%2fsecret.csv",
        ] {
            assert!(!holds(&more, outside), "{outside}");
        }
        let wrong = Places::parse(Path::new("/"), &["s3://".to_owned(), "ok".to_owned(), String::new()]).unwrap_err();
        assert_eq!(wrong.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_link_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("t.csv"), "x\n1\n").unwrap();
        std::fs::write(folder.path().join("secret.csv"), "x\n1\n").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.csv"), own.join("link.csv")).unwrap();
        std::os::unix::fs::symlink(&own, folder.path().join("alias")).unwrap();
        let places = Places::default().with(&own, None);
        assert!(places.check(&own, "t.csv").is_ok());
        assert!(places.check(&own, "link.csv").is_err());
        // The folder itself may be reached by a link.
        let alias = folder.path().join("alias");
        assert!(Places::default().with(&alias, None).check(&alias, "t.csv").is_ok());
    }
}
