//! A card for people: as Markdown, and as one HTML file.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::content::{Block, Card};
use crate::http::report::alone;

/// The card as Markdown.
#[must_use]
pub fn markdown(card: &Card) -> String {
    let mut out = format!("# {}\n", plain(&card.title));
    for section in &card.sections {
        let _ = write!(out, "\n## {}\n", section.title);
        for block in &section.blocks {
            out.push('\n');
            match block {
                Block::Text(text) => {
                    let _ = writeln!(out, "{}", plain(text));
                }
                Block::List(items) => {
                    for item in items {
                        let _ = writeln!(out, "- {}", plain(item));
                    }
                }
                Block::Table { heads, rows } => {
                    let line = |cells: &[String]| {
                        format!("| {} |", cells.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" | "))
                    };
                    let _ = writeln!(out, "{}\n|{}", line(heads), "---|".repeat(heads.len()));
                    for row in rows {
                        let _ = writeln!(out, "{}", line(row));
                    }
                }
            }
        }
    }
    out
}

/// A text in one line, of which nothing is markup: names come from events.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The card as a page in a file of its own.
#[must_use]
pub fn html(card: &Card) -> String {
    let body = html! {
        h1 { (card.title) }
        @for section in &card.sections {
            h2 { (section.title) }
            @for block in &section.blocks { (of_block(section.title, block)) }
        }
    };
    alone(&card.title, &body)
}

fn of_block(name: &str, block: &Block) -> Markup {
    html! {
        @match block {
            Block::Text(text) => p { (text) },
            Block::List(items) => ul { @for item in items { li { (item) } } },
            Block::Table { heads, rows } => div.scroll tabindex="0" role="region" aria-label=(name) {
                table {
                    thead { tr { @for head in heads { th scope="col" { (head) } } } }
                    tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
                }
            },
        }
    }
}
