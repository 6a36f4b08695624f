//! The answer as a text.

use std::fmt::Write as _;

use super::super::display;
use super::answer::{Tuned, TunedRule};

/// The answer for people; `read` is what was read of the files.
pub fn as_text(tuned: &Tuned, read: &str, is_own_text: bool) -> String {
    let left_out = tuned.left_out.told().map_or_else(String::new, |told| format!("; {told}"));
    let mut out = format!("{}: {}{left_out}\n", tuned.model, tuned.history);
    // Only where something is missing.
    if !left_out.is_empty() {
        out.push_str(read);
    }
    let heads = ["rule", "blocks", "windows", "limit", "tuned", "blocks then", "finds then"];
    let mut table = display::table(&heads);
    for of in &tuned.rules {
        let limit =
            of.key.as_ref().map_or_else(|| "–".to_owned(), |key| format!("{key} {}", display::number(of.limit)));
        let cells = [
            of.rule.clone(),
            of.blocks.to_string(),
            format!("{} of {}", of.blocking_windows, of.windows),
            limit,
            display::number(of.tuned),
            of.blocks_after.to_string(),
            finds(of),
        ];
        display::row(&mut table, cells);
    }
    let _ = writeln!(out, "{table}");
    out.push_str(
        "blocks: windows that block and do not overlap; finds: the smallest shift that half of the windows find\n",
    );
    for of in &tuned.rules {
        if let Some(reason) = &of.reason {
            let _ = writeln!(out, "{}: the limit stays: {reason}", of.rule);
        }
    }
    for of in &tuned.rules {
        if let Some(why) = of.not_tried {
            let _ = writeln!(out, "{}: no shift was tried: {why}", of.rule);
        }
    }
    if tuned.diff.is_empty() {
        out.push_str("the policy stays as it is\n");
        return out;
    }
    if !is_own_text {
        out.push_str("the diff is of the merged policy (driftgate check --merged): move its numbers to the files that they come from\n");
    }
    let _ = write!(out, "\n{}", tuned.diff);
    out
}

/// The least and the greatest shift that is found, by unit, and what is not found.
fn finds(of: &TunedRule) -> String {
    if of.finds.is_empty() {
        return "–".to_owned();
    }
    let mut units: Vec<&str> = of.finds.iter().map(|f| f.unit).collect();
    units.dedup();
    let mut parts = Vec::new();
    for unit in units {
        let shifts = || of.finds.iter().filter(|f| f.unit == unit).filter_map(|f| f.shift);
        let ends = (shifts().reduce(f64::min), shifts().reduce(f64::max));
        match ends {
            (Some(least), Some(most)) if least < most => {
                parts.push(format!("{} to {} {unit}", display::number(Some(least)), display::number(Some(most))));
            }
            (Some(least), _) => parts.push(format!("{} {unit}", display::number(Some(least)))),
            _ => {}
        }
    }
    let lost: Vec<&str> = of.finds.iter().filter(|f| f.shift.is_none()).map(|f| f.subject.as_str()).collect();
    if !lost.is_empty() {
        let more = lost.len().saturating_sub(3);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("none of {}{rest}", lost.iter().take(3).copied().collect::<Vec<_>>().join(", ")));
    }
    parts.join("; ")
}
