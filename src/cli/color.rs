//! Colours of statuses in what commands print for people: what is bad is red, what is not decided yellow, what is well green.
//! Colours are added after texts were escaped, so that nothing from outside brings escape sequences of its own.

use std::fmt::Write as _;
use std::io;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

/// When statuses are coloured
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Color {
    /// When statuses are coloured; auto: on a terminal, unless the variable `NO_COLOR` is set. JSON never is
    #[arg(
        long = "color",
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        hide_default_value = true
    )]
    when: ColorChoice,
}

impl Color {
    /// Decides for everything that is printed from now on.
    pub fn apply(self) {
        let choice = match self.when {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Whether standard output takes colours: as `--color` says, else if it is a terminal and the environment does not refuse.
pub fn is_on() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// What is coloured: statuses and verdicts, where they begin a line or a cell of a table.
const WORDS: &[(&str, Style)] = &[
    ("blocked", RED),
    ("block", RED),
    ("error", RED),
    ("failed", RED),
    ("inconclusive", YELLOW),
    ("pending", YELLOW),
    ("warning", YELLOW),
    ("warn", YELLOW),
    ("nothing is wrong", GREEN),
    ("passed", GREEN),
    ("passes", GREEN),
    ("pass", GREEN),
];

/// A text with its statuses coloured. The text must be escaped already; without the sequences it is the same.
pub fn painted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let mut written = String::with_capacity(line.len() + 64);
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            // A cell begins after two spaces; an answer at the line's beginning, or behind the name of what it is about.
            let begins = written.ends_with("  ") || written.ends_with(": ") || written.trim_start().is_empty();
            if let Some((word, style)) = WORDS.iter().find(|(word, _)| begins && begins_with(rest, word)) {
                let _ = write!(written, "{style}{word}{style:#}");
                rest = rest.strip_prefix(word).unwrap_or_default();
            } else {
                written.push(c);
                rest = rest.strip_prefix(c).unwrap_or_default();
            }
        }
        out.push_str(&written);
    }
    out
}

/// Whether a text begins with this word and the word ends there.
fn begins_with(text: &str, word: &str) -> bool {
    let after = text.strip_prefix(word).map(|rest| rest.chars().next());
    after.is_some_and(|next| next.is_none_or(|c| matches!(c, ' ' | '\n' | ',' | ':' | ';' | '.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn statuses_are_coloured_where_a_line_or_cell_begins_and_the_text_stays_the_same() {
        let text =
            "m: nothing is wrong\n version  latest verdicts \n 6        pass by drift\n 7        block by drift, x\n";
        let painted = painted(text);
        assert_eq!(plain(&painted), text);
        assert!(painted.contains(&format!("m: {GREEN}nothing is wrong{GREEN:#}\n")), "{painted:?}");
        assert!(painted.contains(&format!("  {RED}block{RED:#} by drift")), "{painted:?}");
        assert!(painted.contains(&format!("  {GREEN}pass{GREEN:#} by drift")), "{painted:?}");
    }

    #[test]
    fn words_of_sentences_and_parts_of_names_are_not() {
        for text in ["a model may block others\n", "  blocks\n", "  pass_rate 0.2\n", "my-block 1\n", ""] {
            assert_eq!(painted(text), text);
        }
        assert_eq!(painted("block"), format!("{RED}block{RED:#}"));
    }
}
