//! Folders of files of columns, as a data lake lays a table out: `part-0.parquet` and others, also in folders that name a partition
//! (`country=DE`), and tables of Delta Lake, whose log names their files. Names that begin with `.` or `_` (`_SUCCESS`, `.part-0.crc`) are passed over, and so is what is no file of columns.

use std::path::{Path, PathBuf};

use super::ColumnFile;
use super::error::{FileError, Format};
use crate::source::tables::{Unlisted, files_below};

/// A folder holds no more files than this: all of them are open at a time.
const MOST_FILES: usize = 500;

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderFile {
    pub path: PathBuf,
    /// Its path below the folder, with `/` between the parts.
    pub name: String,
}

/// The files of a folder and of its folders, in the order of their names by bytes, as `LC_ALL=C sort` has them.
///
/// # Errors
/// A folder that cannot be read, that holds none or too many, or files of several formats.
pub fn files(folder: &Path) -> Result<Vec<FolderFile>, FileError> {
    let wrong = |why: String| FileError::Folder { path: folder.display().to_string(), why };
    let named = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        FolderFile { path, name }
    };
    let below = files_below(folder).map_err(|e| match e {
        Unlisted::Unreadable { folder, source } => FileError::Open { path: folder.display().to_string(), source },
        Unlisted::Table { folder, why } => FileError::Folder { path: folder.display().to_string(), why },
    })?;
    let mut all: Vec<FolderFile> =
        below.into_iter().map(named).filter(|file| Format::of(&file.name, &[]).is_some()).collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let format = |file: &FolderFile| Format::of(&file.name, &[]);
    let Some(first) = all.first() else {
        let why = "it holds no Parquet or CSV file; names that begin with . or _ are passed over";
        return Err(wrong(why.to_owned()));
    };
    if let Some(other) = all.iter().find(|file| format(file) != format(first)) {
        return Err(wrong(format!("it holds {} and {}: keep files of one format", first.name, other.name)));
    }
    if all.len() > MOST_FILES {
        let why =
            format!("it holds {} files, and at most {MOST_FILES} are read: write fewer and larger ones", all.len());
        return Err(wrong(why));
    }
    Ok(all)
}

/// Whether two files have the same columns, in any order.
///
/// # Errors
/// Columns that one of them has alone.
pub fn same_columns(first: &ColumnFile, other: &ColumnFile) -> Result<(), FileError> {
    let alone = |of: &ColumnFile, not: &ColumnFile| of.columns.iter().find(|column| !not.has(column)).cloned();
    let (has_not, column, has) = match (alone(first, other), alone(other, first)) {
        (Some(column), _) => (other, column, first),
        (None, Some(column)) => (first, column, other),
        (None, None) => return Ok(()),
    };
    let why = format!("it has no column {column:?}, which {:?} has: files of a folder have the same columns", has.path);
    Err(FileError::Folder { path: has_not.path.clone(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::listing;

    fn made(names: &[&str]) -> tempfile::TempDir {
        listing::made(names, "x\n1\n")
    }

    fn names(folder: &Path) -> Result<Vec<String>, String> {
        files(folder).map(|all| all.into_iter().map(|file| file.name).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_folders_files_are_in_the_order_of_their_names_and_marks_are_passed_over() {
        let folder = made(&[
            "part-10.csv",
            "part-2.csv",
            "a/x.csv.gz",
            "a-b/x.csv",
            "country=DE/part-0.csv",
            "_SUCCESS",
            ".part-2.csv.crc",
            "_delta_log/0.csv",
            "notes.txt",
        ]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        let expected = ["a-b/x.csv", "a/x.csv.gz", "country=DE/part-0.csv", "part-10.csv", "part-2.csv"];
        assert_eq!(names(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_folder_that_is_no_table_is_told() {
        let told = |files: &[&str]| names(made(files).path()).unwrap_err();
        assert!(told(&["_SUCCESS", "x.txt"]).contains("it holds no Parquet or CSV file"));
        assert!(told(&["a.csv", "b.parquet"]).contains("it holds a.csv and b.parquet: keep files of one format"));
        let many: Vec<String> = (0..=MOST_FILES).map(|at| format!("{at}.csv")).collect();
        assert!(told(&many.iter().map(String::as_str).collect::<Vec<_>>()).contains("at most 500 are read"));
        assert!(names(Path::new("nowhere/at/all")).unwrap_err().contains("cannot open"));
    }
}
