//! Many policies on one screen: a line for each, and their sums.

use super::super::display;
use super::super::terminal::shown;

/// Above so many policies `check` prints a line for each in place of its groups.
pub const FLEET: usize = 8;

/// What is said of one policy.
pub struct Line {
    pub model: String,
    pub groups: usize,
    pub rules: usize,
    pub features: usize,
    /// About what a version takes, in words.
    pub version: String,
    pub warnings: usize,
    pub digest: String,
}

/// The lines, their columns aligned.
pub fn text(lines: &[Line]) -> String {
    let head = ["model", "groups", "rules", "features", "memory a version", "warnings", "policy"].map(str::to_owned);
    let sum = |of: fn(&Line) -> usize| display::count(lines.iter().map(of).sum::<usize>() as u64);
    let rows = lines.iter().map(|l| {
        let digest = l.digest.get(..12).unwrap_or(&l.digest).to_owned();
        let [groups, rules, features, warnings] =
            [l.groups, l.rules, l.features, l.warnings].map(|n| display::count(n as u64));
        [shown(&l.model).into_owned(), groups, rules, features, l.version.clone(), warnings, digest]
    });
    let total = [
        format!("{} models", lines.len()),
        sum(|l| l.groups),
        sum(|l| l.rules),
        sum(|l| l.features),
        String::new(),
        sum(|l| l.warnings),
        String::new(),
    ];
    let all: Vec<[String; 7]> = std::iter::once(head).chain(rows).chain(std::iter::once(total)).collect();
    let widths: Vec<usize> = (0..7)
        .map(|at| all.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect::<Vec<_>>();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_line_and_columns_are_aligned() {
        let line = |model: &str, rules| Line {
            model: model.into(),
            groups: 1,
            rules,
            features: 100,
            version: "7 MB".into(),
            warnings: 0,
            digest: "0123456789abcdef".into(),
        };
        assert_eq!(
            text(&[line("a", 2), line("longer\u{1b}", 1000)]),
            "model         groups  rules  features  memory a version  warnings  policy\n\
             a             1       2      100       7 MB              0         0123456789ab\n\
             longer\\u001b  1       1,000  100       7 MB              0         0123456789ab\n\
             2 models      2       1,002  200                         0\n"
        );
    }
}
