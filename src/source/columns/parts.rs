//! Parts of a Parquet file: some of its row groups.

use super::parquet::GroupRows;
use super::{Content, Left, Pieces};

impl Pieces {
    /// Reads these row groups alone; nothing was taken yet. `false` for a file that has none.
    pub fn only(&mut self, groups: std::ops::Range<usize>) -> bool {
        let (Left::Parquet(last), Content::Parquet(file)) = (&mut self.left, &self.file.content) else { return false };
        self.rows = file.rows_of_groups().take(groups.start).map(|rows| rows as u64).sum();
        *last = Some(GroupRows { group: groups.start, rows: 0..0 });
        self.until = Some(groups.end);
        true
    }

    /// How many rows each row group of a Parquet file has; `None` for another file.
    #[must_use]
    pub fn rows_of_groups(&self) -> Option<Vec<usize>> {
        match &self.file.content {
            Content::Parquet(file) => Some(file.rows_of_groups().collect()),
            Content::Csv(_) => None,
        }
    }
}
