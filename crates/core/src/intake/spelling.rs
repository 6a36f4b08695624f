//! Categories of events among those of a baseline, whose file may spell the same value in another way: a boolean in
//! another case, and whole numbers that a program kept as floats, because some were missing, with `.0` behind each.

use crate::schema::boolean;

/// What a float's text has behind a whole number.
const BEHIND: &str = ".0";

/// The categories of a baseline, sorted, and what is common to all of them: looked at once, however many are looked for.
pub struct Spelled<'n> {
    names: &'n [String],
    all_whole: bool,
    all_floats: bool,
    /// Where the first that spells `false` and `true` stands, in any case.
    booleans: [Option<usize>; 2],
}

impl<'n> Spelled<'n> {
    #[must_use]
    pub fn new(names: &'n [String]) -> Self {
        let float = |name: &String| name.strip_suffix(BEHIND).is_some_and(is_whole);
        Self {
            names,
            all_whole: names.iter().all(|n| is_whole(n)),
            all_floats: names.iter().all(float),
            booleans: ["false", "true"].map(|text| names.iter().position(|n| n.eq_ignore_ascii_case(text))),
        }
    }

    fn place(&self, text: &str) -> Option<usize> {
        self.names.binary_search_by(|n| n.as_str().cmp(text)).ok()
    }

    /// The place of a category: of the text itself, else of the value that it spells.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<usize> {
        self.place(text).or_else(|| {
            if let Some(canonical) = boolean(text) {
                let [no, yes] = self.booleans;
                return if canonical == "true" { yes } else { no };
            }
            // Only where all are whole numbers: versions such as 1.0 and 1 are texts.
            match text.strip_suffix(BEHIND) {
                Some(whole) if is_whole(whole) && self.all_whole => self.place(whole),
                None if is_whole(text) && self.all_floats => self.place(&format!("{text}{BEHIND}")),
                _ => None,
            }
        })
    }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(names: &'a [&'a str], text: &str) -> Option<&'a str> {
        let owned: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        assert!(owned.is_sorted());
        Spelled::new(&owned).find(text).map(|at| names[at])
    }

    #[test]
    fn booleans_are_found_in_any_case() {
        assert_eq!(
            [found(&["false", "true"], "TRUE"), found(&["FALSE", "TRUE"], "true")],
            [Some("true"), Some("TRUE")]
        );
        assert_eq!(found(&["TRUE", "other", "true"], "true"), Some("true"));
        assert_eq!([found(&["f", "t"], "true"), found(&["A", "B"], "a")], [None, None]);
    }

    #[test]
    fn whole_numbers_are_found_as_floats_and_versions_are_not() {
        assert_eq!([found(&["1", "10", "2"], "10.0"), found(&["-1.0", "10.0"], "10")], [Some("10"), Some("10.0")]);
        for (names, text) in [
            (&["1.1", "1.2"][..], "1.10"),
            (&["1.10", "1.2"], "1.1"),
            (&["1", "1.5"], "1.0"),
            (&["1.0", "1.5"], "1"),
            (&["007", "1"], "1.0"),
            (&["7"], "007"),
            (&["7"], "7.00"),
            (&["3"], "4.0"),
        ] {
            assert_eq!(found(names, text), None, "{names:?} {text}");
        }
    }
}
