//! Tables, numbers and progress bars for people.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::shown;
use driftgate_core::codec::number::short;

/// A table with a header, without more lines than it needs.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(|name| shown(name).into_owned()));
    table
}

/// Adds a row to a table. Cells are escaped before widths are computed, so that the columns stay where they are.
pub fn row<C: AsRef<str>>(table: &mut Table, cells: impl IntoIterator<Item = C>) {
    table.add_row(cells.into_iter().map(|cell| shown(cell.as_ref()).into_owned()));
}

/// A number, or a dash where there is none.
pub fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "–".to_owned(), short)
}

/// A count with thin groups of three digits.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// A progress bar over bytes; a spinner where the total is unknown. Hidden where standard error is no terminal.
pub fn bytes_bar(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total).with_style(style("{msg} {wide_bar} {bytes}/{total_bytes} {eta}")),
        None => ProgressBar::new_spinner().with_style(style("{msg} {spinner} {bytes}")),
    };
    bar.set_message(what.to_owned());
    bar
}

/// A progress bar over things.
pub fn count_bar(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total).with_style(style("{msg} {wide_bar} {human_pos}/{human_len} {eta}")),
        None => ProgressBar::new_spinner().with_style(style("{msg} {spinner} {human_pos}")),
    };
    bar.set_message(what.to_owned());
    bar
}

/// A spinner for work of unknown length.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg}"));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn style(template: &str) -> ProgressStyle {
    // The templates are written here; a wrong one shows a plain bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [count(0), count(999), count(1000), count(445_594), count(1_000_000)],
            ["0", "999", "1,000", "445,594", "1,000,000"]
        );
    }
}
