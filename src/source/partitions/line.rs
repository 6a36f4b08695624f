//! Where members stand in a line of JSON: the names of its own, and those of its features. What lies deeper, or in texts, is none of either.

use memchr::memchr2;

/// The name of the member that holds the features, as it is written.
pub const FEATURES: &[u8] = b"\"features\"";

/// What a line has; names with their quotes, as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line<'l> {
    top: Vec<&'l [u8]>,
    features: Vec<&'l [u8]>,
    /// The offset behind the brace that opens the features; `None` where the line has no object of them.
    pub within: Option<usize>,
}

impl<'l> Line<'l> {
    /// Looks through a line that is one object. Of what is no JSON it says what it found until there: whoever decodes the line refuses it.
    #[must_use]
    pub fn of(line: &'l [u8]) -> Self {
        let mut found = Self::default();
        let (mut at, mut depth, mut is_name, mut is_features) = (0, 0_usize, false, false);
        // The last name at the top.
        let mut member: &[u8] = &[];
        while let Some(byte) = line.get(at) {
            match byte {
                b'"' => {
                    let Some(text) = text(line, at) else { return found };
                    match (is_name, depth) {
                        (true, 1) => {
                            found.top.push(text);
                            member = text;
                        }
                        (true, 2) if is_features => found.features.push(text),
                        _ => {}
                    }
                    is_name = false;
                    at += text.len();
                    continue;
                }
                b'{' => {
                    depth += 1;
                    is_name = true;
                    if depth == 2 && member == FEATURES && found.within.is_none() {
                        is_features = true;
                        found.within = Some(at + 1);
                    }
                }
                b'[' => (depth, is_name) = (depth + 1, false),
                b'}' | b']' => {
                    is_features &= depth > 2;
                    depth = depth.saturating_sub(1);
                }
                // Between values of a list nothing is asked at depth one, and of features only where they are an object.
                b',' => is_name = true,
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Whether a field of this name is there.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.top.contains(&name)
    }

    /// Whether a feature of this name is there, in whichever of the two places it may stand.
    #[must_use]
    pub fn has_feature(&self, name: &[u8]) -> bool {
        self.features.contains(&name) || self.has(name)
    }
}

/// The text that begins at this quote, with both quotes; `None` where it does not end.
fn text(line: &[u8], begins: usize) -> Option<&[u8]> {
    let mut at = begins + 1;
    loop {
        at += memchr2(b'"', b'\\', line.get(at..)?)?;
        if line.get(at) == Some(&b'"') {
            return line.get(begins..=at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Names<'l> = (Vec<&'l str>, Vec<&'l str>, Option<usize>);

    fn names(line: &str) -> Names<'_> {
        let Line { top, features, within } = Line::of(line.as_bytes());
        let text =
            |name: &[u8]| line.match_indices(std::str::from_utf8(name).unwrap()).map(|(_, name)| name).next().unwrap();
        (top.into_iter().map(text).collect(), features.into_iter().map(text).collect(), within)
    }

    #[test]
    fn names_are_those_of_the_line_and_of_its_features() {
        assert_eq!(
            names(r#"{"kind":"features","features":{"a":1,"b":{"c":[{"d":2}]}},"e":["f","g"],"h":{"i":1}}"#),
            (vec![r#""kind""#, r#""features""#, r#""e""#, r#""h""#], vec![r#""a""#, r#""b""#], Some(31))
        );
        // In a list, as a text, deeper: no features.
        for line in [
            r#"{"features":[{"a":1}]}"#,
            r#"{"features":"{"}"#,
            r#"{"x":{"features":{"a":1}}}"#,
            r#"{"features":1,"x":{"a":1}}"#,
        ] {
            assert_eq!((names(line).1, names(line).2), (vec![], None), "{line}");
        }
        assert_eq!(names(r#"{"a\"b":1,"c":"\\"}"#).0, [r#""a\"b""#, r#""c""#]);
        for line in ["", "{", r#"{"a"#, r#"{"a\"#, "}]", r#"["a"]"#] {
            assert_eq!(names(line), (vec![], vec![], None), "{line}");
        }
    }
}
