//! Texts of CSV files that mean null, in every column: CSV has no other way to write it.

use std::sync::Arc;

use polars_core::prelude::StringChunked;

/// The texts that common programs write: nothing, R and pandas, databases, Python.
pub const NULL_VALUES: [&str; 9] = ["", "NA", "<NA>", "NaN", "nan", "null", "NULL", "None", "\\N"];

/// A list of such texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NullTexts {
    texts: Vec<String>,
    longest: usize,
    /// By the first byte, whether a text begins so.
    begins: [bool; 256],
}

impl Default for NullTexts {
    fn default() -> Self {
        Self::new(NULL_VALUES.map(str::to_owned).to_vec())
    }
}

impl NullTexts {
    /// The texts of a list, where one is given in place of the usual ones.
    #[must_use]
    pub fn listed(texts: Option<&[String]>) -> Arc<Self> {
        texts.map(|texts| Arc::new(Self::new(texts.to_vec()))).unwrap_or_default()
    }

    #[must_use]
    pub fn new(texts: Vec<String>) -> Self {
        let mut begins = [false; 256];
        for first in texts.iter().filter_map(|t| t.bytes().next()) {
            begins.get_mut(usize::from(first)).into_iter().for_each(|b| *b = true);
        }
        Self { longest: texts.iter().map(String::len).max().unwrap_or(0), begins, texts }
    }

    /// Whether a text means null; white space around it does not count.
    #[inline]
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        let text = if text.starts_with(' ') || text.ends_with(' ') { text.trim() } else { text };
        let begins = text.bytes().next().is_none_or(|b| self.begins.get(usize::from(b)) == Some(&true));
        begins && text.len() <= self.longest && self.texts.iter().any(|t| t == text)
    }

    /// The texts with null for those that mean it; `None` where none does.
    #[must_use]
    pub fn out_of(&self, texts: &StringChunked) -> Option<StringChunked> {
        if !texts.iter().flatten().any(|text| self.has(text)) {
            return None;
        }
        Some(texts.iter().map(|text| text.filter(|t| !self.has(t))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_replaces_the_usual_one() {
        let usual = NullTexts::default();
        for text in ["", "NA", " NA ", "null", "NULL", "None", "NaN", "nan", "<NA>", "\\N", "  "] {
            assert!(usual.has(text), "{text:?}");
        }
        for text in ["na", "N", "NAN", "0", "none", "null!", "NA NA", "é"] {
            assert!(!usual.has(text), "{text:?}");
        }
        let own = NullTexts::new(vec!["-".to_owned(), "n. a.".to_owned()]);
        assert!(own.has("-") && own.has("n. a. ") && !own.has("NA") && !own.has(""));
        assert!(!NullTexts::new(Vec::new()).has(""));
        let texts: StringChunked = [Some("a"), Some("NA"), None].into_iter().collect();
        assert_eq!(usual.out_of(&texts).unwrap().iter().collect::<Vec<_>>(), [Some("a"), None, None]);
        assert!(own.out_of(&texts).is_none());
    }
}
