//! `history:`: results over time on disk.

use std::path::Path;
use std::time::Duration;

use super::key::{Key, default, names, optional};
use super::reader::{ConfigReader, duration};
use crate::history::Options;
use driftgate_core::yaml::Item;

/// Folder of the history within the state folder.
const FOLDER: &str = "history";
const KEEP: Duration = Duration::from_secs(90 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

pub const HISTORY: [Key; 3] = [
    default(
        "path",
        "path",
        "state/history",
        "Folder of the files, for one daemon at a time. Without it `history` in the state folder.",
    ),
    default(
        "keep",
        "duration",
        "90d",
        "Days of windows are deleted once they ended longer ago than this before the newest day of their model. At least `1d`.",
    ),
    optional(
        "store",
        "URL",
        "An object store (`s3://`, `gs://`, `az://`) and a prefix in it: each day that is over is copied there, and fetched from there by a process whose \
         folder lacks it.",
    ),
];

impl ConfigReader<'_> {
    /// The history that is kept; nothing where `none` is written.
    pub fn history(&self, item: Option<&Item>, state: &Path) -> Option<Option<Options>> {
        let unless = Options { path: state.join(FOLDER), keep: KEEP, store: None };
        let Some(item) = item else { return Some(Some(unless)) };
        if !item.is_map() {
            return item.choice(&[("none", ())]).map(|()| None);
        }
        let map = item.map(const { &names(&HISTORY) })?;
        let path = map.get("path").map_or_else(|| Some(unless.path.clone()), |item| self.path(&item));
        let keep = map.get("keep").map_or(Some(KEEP), |item| match duration(&item)? {
            keep if keep >= DAY => Some(keep),
            _ => item.fail("a day is the least that is kept: write 1d or more, or `history: none` to keep nothing"),
        });
        let store = match map.get("store") {
            None => Some(None),
            Some(item) => store(&item).map(Some),
        };
        Some(Some(Options { path: path?, keep: keep?, store: store? }))
    }
}

fn store(item: &Item) -> Option<String> {
    let url = item.text("a URL such as s3://bucket/history")?;
    if ["s3://", "gs://", "az://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Some(url.trim_end_matches('/').to_owned());
    }
    item.fail(
        "expected the URL of an object store: write s3://, gs:// or az:// and a place in it; `path` names a folder",
    )
}
