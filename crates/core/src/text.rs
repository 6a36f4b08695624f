//! Characters of texts that come from outside.

/// Whether a character does something to whatever shows it: control characters, also line ends and tabs; what turns the
/// direction of writing around; what is not seen.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text that somebody sends, if it has no such characters and no more bytes than this.
///
/// # Errors
/// What is wrong with it.
pub fn bounded(text: &str, most: usize) -> Result<&str, String> {
    if text.len() > most {
        return Err(format!("it has {} bytes; it can have {most}", text.len()));
    }
    match text.chars().find(|c| steers(*c)) {
        Some(c) => Err(format!("it holds U+{:04X}, a character that is not seen or steers a terminal", u32::from(c))),
        None => Ok(text),
    }
}

/// A name as it is written in a sentence, whatever characters an event gave it.
#[must_use]
pub fn in_line(name: &str) -> std::borrow::Cow<'_, str> {
    if name.chars().any(char::is_control) { name.escape_debug().to_string().into() } else { name.into() }
}
