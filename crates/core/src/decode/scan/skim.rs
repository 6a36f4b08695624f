//! Passing over a value that another reader checks, by its texts and brackets alone.

use super::{Scanner, Token};
use crate::decode::Reject;
use crate::decode::short::plain_until;

impl<'a> Scanner<'a> {
    /// Reads one value as `value` does, but what an array or object holds is not checked: whoever reads it does.
    pub fn skim(&mut self, scratch: &mut String) -> Result<Token<'a>, Reject> {
        if !matches!(self.first(), Some(b'{' | b'[')) {
            return self.value(scratch);
        }
        self.utf8()?;
        let Some(behind) = behind_brackets(self.bytes, self.pos) else {
            self.pos = self.bytes.len();
            return Err(self.unexpected("the end of an array or object"));
        };
        self.pos = behind;
        Ok(Token::Composite)
    }
}

/// Where the array or object ends that begins here; `None` where it does not.
fn behind_brackets(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut open) = (start, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => at = quote(bytes, at + 1)?,
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The quote that ends the text whose first byte this is.
fn quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain_until(bytes, at);
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(text: &str, whole: bool) -> Option<usize> {
        let mut scanner = Scanner::new(text.as_bytes(), 64);
        let mut scratch = String::new();
        let read = if whole { scanner.value(&mut scratch) } else { scanner.skim(&mut scratch) };
        read.ok().map(|_| scanner.position())
    }

    #[test]
    fn brackets_within_texts_are_texts() {
        for text in [r#"{"a]\"}": [1, "}{\\"], "b": {}} ,"#, "[]", " [[],[{}]]x", "7,", r#""[",1"#] {
            assert_eq!(passed(text, false), passed(text, true), "{text}");
            assert!(passed(text, false).is_some(), "{text}");
        }
        for text in ["[", r#"{"a"#, r#"["\"#, "{\"a\":[}", ""] {
            assert_eq!(passed(text, false), None, "{text}");
        }
    }

    proptest! {
        /// What is JSON ends where the scanner that checks all of it says.
        #[test]
        fn it_ends_where_a_value_ends(of in any::<Vec<(String, Option<i32>)>>(), behind in "[,}\\] a]{0,3}") {
            let text = serde_json::to_string(&of).unwrap() + &behind;
            prop_assert_eq!(passed(&text, false), passed(&text, true));
        }
    }
}
