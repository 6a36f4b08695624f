//! The names of series: a subject's, and those of its segments, each of which has the subject's name, a separator and its own.

/// Between a subject and a segment of it. No name in a policy has it.
const SEPARATOR: char = '\u{1f}';

/// The name of the series of a segment of a subject.
#[must_use]
pub fn joined(subject: &str, segment: &str) -> String {
    format!("{subject}{SEPARATOR}{segment}")
}

/// The subject of a series, and the segment, if it is one's.
#[must_use]
pub fn split(series: &str) -> (&str, Option<&str>) {
    series.split_once(SEPARATOR).map_or((series, None), |(subject, segment)| (subject, Some(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_as_it_was_joined() {
        for (subject, segment) in [("amount", "country=DE"), ("a", ""), ("a", "x\u{1f}y")] {
            assert_eq!(split(&joined(subject, segment)), (subject, Some(segment)));
        }
        assert_eq!(split("amount"), ("amount", None));
    }
}
