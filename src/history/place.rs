//! Folders and files by model and day: `<path>/<model>/2026-11-28.parquet` is a day that is over, `.open` what is appended to a day, `.full`
//! what is on its way from there into the Parquet file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::DAY_MS;
use driftgate_core::codec::time::utc;

/// A day of event time, counted from 1970-01-01 in UTC.
pub type Day = i64;

/// What a file of a day holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What is over, in columns.
    Parquet,
    /// On its way there.
    Full,
    /// What is appended to.
    Open,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Parquet, Self::Full, Self::Open];

    fn ending(self) -> &'static str {
        match self {
            Self::Parquet => ".parquet",
            Self::Full => ".full",
            Self::Open => ".open",
        }
    }
}

/// The day of a time in ms.
#[must_use]
pub fn day_of(ms: i64) -> Day {
    ms.div_euclid(DAY_MS)
}

/// The files of a model, by day: the newer what they hold, the later.
pub type Files = BTreeMap<Day, Vec<Kind>>;

/// The name of a day's file; `None` beyond the years that dates are written for.
#[must_use]
pub fn name(day: Day, kind: Kind) -> Option<String> {
    let text = utc(day.checked_mul(DAY_MS)?);
    let date = text.get(..10).filter(|date| parse(date) == Some(day))?;
    Some(format!("{date}{}", kind.ending()))
}

fn parse(date: &str) -> Option<Day> {
    let time: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
    Some(day_of(time.as_millisecond()))
}

/// Which file a name is.
#[must_use]
pub fn read_name(name: &str) -> Option<(Day, Kind)> {
    Kind::ALL.into_iter().find_map(|kind| Some((parse(name.strip_suffix(kind.ending())?)?, kind)))
}

/// What stays of a name in a folder's.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// A model's folder: its name with `%` and two digits for each byte that file systems take otherwise.
#[must_use]
pub fn folder_name(model: &str) -> String {
    let name = utf8_percent_encode(model, PLAIN).to_string();
    // Such files are hidden, or lead elsewhere.
    name.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(name)
}

/// The model of a folder; `None` of one that `folder_name` does not make.
#[must_use]
pub fn model_of(folder: &str) -> Option<String> {
    let model = percent_decode_str(folder).decode_utf8().ok()?.into_owned();
    (folder_name(&model) == folder).then_some(model)
}

/// The folder of a model.
#[must_use]
pub fn folder(root: &Path, model: &str) -> PathBuf {
    root.join(folder_name(model))
}

/// A file of a day; `None` beyond the years that dates are written for.
#[must_use]
pub fn path(root: &Path, model: &str, day: Day, kind: Kind) -> Option<PathBuf> {
    Some(folder(root, model).join(name(day, kind)?))
}

/// The files of a model; none where it has no folder.
///
/// # Errors
/// A folder that cannot be listed.
pub fn files(root: &Path, model: &str) -> io::Result<Files> {
    let mut found = Files::new();
    let entries = match fs::read_dir(folder(root, model)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        if let Some((day, kind)) = entry?.file_name().to_str().and_then(read_name) {
            found.entry(day).or_default().push(kind);
        }
    }
    found.values_mut().for_each(|kinds| kinds.sort_unstable());
    Ok(found)
}

/// The models that have a folder.
///
/// # Errors
/// A folder that cannot be listed.
pub fn models(root: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(entry.file_name().to_str().and_then(model_of));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_named_by_the_day() {
        assert_eq!(name(0, Kind::Open).as_deref(), Some("1970-01-01.open"));
        assert_eq!(name(20_785, Kind::Parquet).as_deref(), Some("2026-11-28.parquet"));
        assert_eq!(name(i64::MAX / 2, Kind::Open), None);
        assert_eq!(name(-1_000_000, Kind::Open), None, "before the year 0");
        for odd in ["2026-11-28.parquet.new", "x.open", "2026-13-28.open", ".open"] {
            assert_eq!(read_name(odd), None, "{odd}");
        }
        assert_eq!((day_of(-1), day_of(0), day_of(DAY_MS)), (-1, 0, 1));
    }

    #[test]
    fn what_a_folder_holds_is_listed_and_no_folder_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(files(root.path(), "m").unwrap(), Files::new());
        assert_eq!(models(&root.path().join("none")).unwrap(), Vec::<String>::new());
        let folder = folder(root.path(), "credit eu/1");
        fs::create_dir_all(&folder).unwrap();
        for name in ["1970-01-02.open", "1970-01-02.parquet", "1970-01-03.full", "notes.txt"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let found = files(root.path(), "credit eu/1").unwrap();
        assert_eq!(found, Files::from([(1, vec![Kind::Parquet, Kind::Open]), (2, vec![Kind::Full])]));
        assert_eq!(models(root.path()).unwrap(), ["credit eu/1"]);
    }

    proptest! {
        #[test]
        fn any_model_has_a_folder_of_its_own_within_the_root(model in ".+") {
            let folder = folder_name(&model);
            prop_assert!(!folder.contains(['/', '\\']) && folder != "." && folder != "..");
            prop_assert_eq!(model_of(&folder), Some(model));
        }

        #[test]
        fn a_days_name_is_read_back(day in -700_000_i64..2_900_000) {
            for kind in Kind::ALL {
                if let Some(name) = name(day, kind) {
                    prop_assert_eq!(read_name(&name), Some((day, kind)));
                }
            }
        }
    }
}
