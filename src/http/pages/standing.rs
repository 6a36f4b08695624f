//! What stands against a version whatever the gate says: what blocks it and since when, a rollback, a freeze of its model.

use maud::{Markup, html};

use crate::api::Explanation;

/// So many reasons of a block are shown.
const REASONS: usize = 20;

/// A notice for each; nothing where nothing stands against it.
pub fn standing(seen: &Explanation) -> Markup {
    html! {
        @if let Some(frozen) = &seen.frozen {
            div.notice.warn { p { b { "Frozen " } (frozen) ": nothing moves by itself." } }
        }
        @if let Some(at) = &seen.rolled_back { div.notice.warn { p { "This version was rolled back at " (at) "." } } }
        @for block in &seen.blocks {
            div.notice.block {
                p { b { "Blocked by " (block.group) } " since " (block.since) }
                ul { @for reason in block.reasons.iter().take(REASONS) { li { (reason) } } }
                @if block.reasons.len() > REASONS { p.soft { (block.reasons.len() - REASONS) " more" } }
            }
        }
    }
}
