//! Tables whose own log says which of a folder's files count: Delta Lake's (`_delta_log`) and Iceberg's (`metadata`). The others were replaced or
//! deleted, and stay for readers of older versions: to read all files of the folder would count them. Delta tables are read with the cargo feature
//! `delta`, by Delta's own crate; Iceberg's are refused. Sources: the protocol of Delta Lake, and the specification of Iceberg.

use std::io;
use std::path::{Path, PathBuf};

use super::listing::entries;

/// The folder of Delta's log, and that of Iceberg's metadata.
const DELTA_LOG: &str = "_delta_log";
const ICEBERG: &str = "metadata";

/// What keeps a folder's files from being listed.
#[derive(Debug)]
pub enum Unlisted {
    /// A folder that cannot be read.
    Unreadable { folder: PathBuf, source: io::Error },
    /// A table that is not read, and why, for people.
    Table { folder: PathBuf, why: String },
}

/// The files of a folder and of its folders that are data, in the order of their paths; of a table, wherever it lies, those that its log names.
///
/// # Errors
/// A folder that cannot be read, a table that is not, or a folder within a table, of which only all files together have a meaning.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Unlisted> {
    if let Some(table) = table_above(folder) {
        let why =
            format!("it lies in the table {}, whose log says which files count: name that folder", table.display());
        return Err(Unlisted::Table { folder: folder.to_owned(), why });
    }
    walked(folder)
}

fn walked(folder: &Path) -> Result<Vec<PathBuf>, Unlisted> {
    let of_table = data_files(folder).map_err(|why| Unlisted::Table { folder: folder.to_owned(), why })?;
    if let Some(files) = of_table {
        return Ok(files);
    }
    let inside = entries(folder).map_err(|source| Unlisted::Unreadable { folder: folder.to_owned(), source })?;
    let each = inside.into_iter().map(|path| if path.is_dir() { walked(&path) } else { Ok(vec![path]) });
    Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The folder above a path that has the log of a table.
#[must_use]
pub fn table_above(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|folder| is_delta(folder) || is_iceberg(folder))
}

fn is_delta(folder: &Path) -> bool {
    holds(&folder.join(DELTA_LOG), ".json")
}

fn is_iceberg(folder: &Path) -> bool {
    holds(&folder.join(ICEBERG), ".metadata.json")
}

/// Whether a name in a folder ends so.
fn holds(folder: &Path, end: &str) -> bool {
    let mut names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.any(|entry| entry.file_name().to_string_lossy().ends_with(end))
}

/// The data files of a table, in the order of their paths; `None` of a folder that is no table.
///
/// # Errors
/// A table that is not read, and why, for people.
fn data_files(folder: &Path) -> Result<Option<Vec<PathBuf>>, String> {
    if is_delta(folder) {
        return delta::data_files(folder).map(Some);
    }
    if is_iceberg(folder) {
        return Err(
            "it is an Iceberg table, whose metadata say which of its files count, and driftgate does not read them: \
                    write the rows that you mean as Parquet files into a folder of their own"
                .to_owned(),
        );
    }
    Ok(None)
}

#[cfg(not(feature = "delta"))]
mod delta {
    use std::path::{Path, PathBuf};

    pub fn data_files(_: &Path) -> Result<Vec<PathBuf>, String> {
        Err("it is a Delta table, whose log says which of its files count, and this program was built without the feature `delta`: build it with \
             `cargo build --release --features delta`, or write the rows that you mean as Parquet files into a folder of their own"
            .to_owned())
    }
}

#[cfg(feature = "delta")]
mod delta {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use delta_kernel::Snapshot;
    use delta_kernel::object_store::local::LocalFileSystem;
    use delta_kernel::scan::state::ScanFile;
    use delta_kernel_default_engine::DefaultEngineBuilder;
    use reqwest::Url;

    /// The files of the table's newest version.
    pub fn data_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
        let wrong = |why: &dyn std::fmt::Display| format!("it is a Delta table whose log cannot be read: {why}");
        let root = folder.canonicalize().map_err(|e| wrong(&e))?;
        let url = Url::from_directory_path(&root).map_err(|()| wrong(&"its path is no address"))?;
        let engine = DefaultEngineBuilder::new(Arc::new(LocalFileSystem::new())).build();
        let snapshot = Snapshot::builder_for(&url).build(&engine).map_err(|e| wrong(&e))?;
        let scan = snapshot.scan_builder().build().map_err(|e| wrong(&e))?;
        let mut found: Vec<ScanFile> = Vec::new();
        for part in scan.scan_metadata(&engine).map_err(|e| wrong(&e))? {
            let part = part.map_err(|e| wrong(&e))?;
            found = part.visit_scan_files(found, Vec::push).map_err(|e| wrong(&e))?;
        }
        let files = found.iter().map(|file| Ok(folder.join(below(&root, &url, file)?)));
        let mut files = files.collect::<Result<Vec<PathBuf>, String>>()?;
        files.sort_unstable();
        Ok(files)
    }

    /// Where a file lies below `root`; its rows have to be those of the table as they are.
    fn below(root: &Path, url: &Url, file: &ScanFile) -> Result<PathBuf, String> {
        let name = &file.path;
        let not = |why: &str| Err(format!("it is a Delta table of which driftgate cannot read {name:?}: {why}"));
        if file.dv_info.has_vector() {
            return not(
                "rows of it are deleted by a vector: rewrite the table (REORG TABLE … APPLY (PURGE)), or read it as Parquet that a query wrote",
            );
        }
        if file.transform.is_some() && file.partition_values.is_empty() {
            return not("its columns have other names than those of the table (column mapping)");
        }
        let Some(Ok(path)) = url.join(name).ok().map(|url| url.to_file_path()) else {
            return not("its path is no file's");
        };
        let Ok(below) = path.strip_prefix(root) else { return not("it lies outside of the table's folder") };
        let folders = below.to_string_lossy();
        let is_told =
            |(key, value): (&String, &String)| folders.split('/').any(|part| part == format!("{key}={value}"));
        if !file.partition_values.iter().all(is_told) {
            return not("its folders do not name the partition (`country=DE`), whose values stand nowhere else");
        }
        Ok(below.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::listing;

    fn made(names: &[&str]) -> tempfile::TempDir {
        listing::made(names, "{}")
    }

    #[test]
    fn a_folder_without_a_log_is_no_table_and_one_of_iceberg_is_refused() {
        let found = |names: &[&str]| data_files(made(names).path());
        assert_eq!(found(&["a.parquet", "_delta_log/0.csv", "metadata/notes.json"]), Ok(None));
        let iceberg = found(&["data/a.parquet", "metadata/v1.metadata.json"]).unwrap_err();
        assert!(iceberg.starts_with("it is an Iceberg table"), "{iceberg}");
        assert!(found(&["a.parquet", "_delta_log/00000000000000000000.json"]).is_err(), "its log says nothing");
    }

    #[cfg(not(feature = "delta"))]
    #[test]
    fn without_the_feature_a_delta_table_is_refused() {
        let why = data_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/delta/replaced"))).unwrap_err();
        assert!(why.contains("--features delta"), "{why}");
    }

    #[cfg(feature = "delta")]
    #[test]
    fn of_a_delta_table_the_files_count_that_its_log_names() {
        let names = |table: &str| {
            let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/delta")).join(table);
            let found = data_files(&folder)?.unwrap();
            let name = |path: &PathBuf| path.strip_prefix(&folder).unwrap().display().to_string();
            Ok::<_, String>(found.iter().map(name).collect::<Vec<_>>())
        };
        let there = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/delta/replaced")).unwrap();
        assert_eq!((names("replaced").unwrap().len(), there.count()), (1, 3), "one was replaced, and there is the log");
        let partitioned = names("partitioned").unwrap();
        assert!(partitioned.len() == 2 && partitioned[0].starts_with("version=1/"), "{partitioned:?}");
    }
}
