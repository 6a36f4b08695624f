//! The page of formats. People write it; it stands here so that the folder has what the program writes, and names each format of a source.

pub fn page() -> String {
    include_str!("../../../docs/reference/formats.md").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_of_a_source_has_a_row() {
        for name in crate::config::format_names() {
            assert!(page().contains(&format!("\n| `{name}`")), "docs/reference/formats.md has no row of {name}");
        }
    }
}
