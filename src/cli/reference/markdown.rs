//! Text in Markdown.

/// Text as it is written in a cell of a Markdown table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_row() {
        assert_eq!(cell("a | b\n  <c>"), "a \\| b &lt;c>");
    }
}
