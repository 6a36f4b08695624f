//! Numbers of a document put in the place of others, and nothing else changed: comments, order and spelling stay.

use super::error::Sink;
use super::tree::{Node, Value, join, parse};

/// Replaces plain values by their paths, like `checks.drift.rules[0].psi.lt`.
///
/// # Errors
/// The first path at which the document has no value that is written plainly on one line.
pub fn replaced(text: &str, edits: &[(String, String)]) -> Result<String, String> {
    let sink = Sink::default();
    let root = parse(text, &sink).ok_or_else(|| "the document cannot be read".to_owned())?;
    let mut places = Vec::new();
    for (path, new) in edits {
        let node = find(&root, "", path).ok_or_else(|| path.clone())?;
        let Value::Scalar { text: old, plain: true } = &node.value else { return Err(path.clone()) };
        let at =
            offset(text, node.at.line, node.at.column).filter(|at| text.get(*at..).is_some_and(|t| t.starts_with(old)));
        places.push((at.ok_or_else(|| path.clone())?, old.len(), new));
    }
    // From the end on, so that places before an edit stay.
    places.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let mut out = text.to_owned();
    for (at, length, new) in places {
        out.replace_range(at..at + length, new);
    }
    Ok(out)
}

/// The text of a plain value by its path; `None` where there is none.
#[must_use]
pub fn plain_at(text: &str, path: &str) -> Option<String> {
    let sink = Sink::default();
    let root = parse(text, &sink)?;
    match &find(&root, "", path)?.value {
        Value::Scalar { text, plain: true } => Some(text.clone()),
        _ => None,
    }
}

fn find<'n>(node: &'n Node, at: &str, path: &str) -> Option<&'n Node> {
    if at == path {
        return Some(node);
    }
    match &node.value {
        Value::Scalar { .. } => None,
        Value::Map(entries) => entries.iter().find_map(|e| find(&e.value, &join(at, &e.key), path)),
        Value::List(items) => items.iter().enumerate().find_map(|(i, item)| find(item, &format!("{at}[{i}]"), path)),
    }
}

/// The byte at which a place lies; both count from 1, columns in characters.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let body = text.get(mark..)?;
    let start: usize = body.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let within = body.get(start..)?.char_indices().nth(column.checked_sub(1)?)?.0;
    Some(mark + start + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_replaced_and_everything_else_stays() {
        let text = "# ä\nchecks:\n  g: # kept\n    rules:\n    - psi: {of: ü, lt: 0.2, warn: 0.1}  # why\n    - ks_p:\n        gte: 0.01\n";
        let edit = |path: &str, new: &str| (path.to_owned(), new.to_owned());
        let edits = [
            edit("checks.g.rules[0].psi.lt", "0.315"),
            edit("checks.g.rules[1].ks_p.gte", "0.002"),
            edit("checks.g.rules[0].psi.warn", "0.15"),
        ];
        let expected =
            text.replace("lt: 0.2,", "lt: 0.315,").replace("warn: 0.1}", "warn: 0.15}").replace("0.01", "0.002");
        assert_eq!(replaced(text, &edits).unwrap(), expected);
        let marked = format!("\u{feff}{text}");
        assert_eq!(replaced(&marked, &edits).unwrap(), format!("\u{feff}{expected}"));
        assert_eq!(plain_at(text, "checks.g.rules[0].psi.lt").unwrap(), "0.2");
        assert_eq!(replaced(text, &[edit("checks.g.rules[2].psi.lt", "1")]).unwrap_err(), "checks.g.rules[2].psi.lt");
        assert_eq!(replaced("a: \"1\"\n", &[edit("a", "2")]).unwrap_err(), "a");
    }
}
