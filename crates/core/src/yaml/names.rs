//! Names that are known, for messages about one that is not.

use std::fmt::Write as _;

/// The known name nearest to what was written, if it is near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names of very different length are no slip, and comparing them takes time.
    const LONGEST: usize = 100;
    let length = written.chars().count();
    let allowed = (length / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|name| length <= LONGEST && name.chars().count().abs_diff(length) <= allowed)
        .map(|name| (strsim::levenshtein(written, name), name))
        .filter(|&(edits, name)| edits <= allowed && edits < name.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// The names quoted and listed, with a guess at the one that was meant: the tail of an "unknown" message.
#[must_use]
pub fn known_names<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 30;
    let mut text = String::from("known here: ");
    let total = known.clone().into_iter().count();
    for (place, name) in known.clone().into_iter().take(SHOWN).enumerate() {
        text.push_str(if place == 0 { "`" } else { ", `" });
        text.push_str(name);
        text.push('`');
    }
    if total == 0 {
        text.push_str("none");
    } else if total > SHOWN {
        let _ = write!(text, " and {} more", total - SHOWN);
    }
    if let Some(name) = nearest(written, known) {
        let _ = write!(text, "; did you mean `{name}`?");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_are_near() {
        assert_eq!(nearest("limt", ["lt", "limit", "of"]), Some("limit"));
        assert_eq!(nearest("psy", ["psi", "ks_p"]), Some("psi"));
        assert_eq!(nearest("xyz", ["psi", "ks_p"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        // Long names are not compared letter by letter: a file may hold thousands of them.
        assert_eq!(nearest(&"x".repeat(101), ["x"]), None);
    }
}
