//! A distribution in a few words, beside that of training: of numbers the bins that quartiles lie in, of categories how many there are and the most common one.

use super::markup::{bin_name, escaped, table, tenths};
use crate::history::record::Bin;

/// A table of both; empty where neither has values.
pub fn summary(bins: &[Bin]) -> String {
    let sides: [fn(&Bin) -> u64; 2] = [|bin| bin.reference, |bin| bin.window];
    let numbers = bins.iter().all(|bin| bin.name.starts_with("le:") || bin.name.starts_with("eq:"));
    let rows: Vec<(&str, [String; 2])> = if numbers {
        let at = |quarter| sides.map(|of| quartile(bins, of, quarter));
        vec![("lower quartile in", at(1)), ("median in", at(2)), ("upper quartile in", at(3))]
    } else {
        vec![
            ("categories", sides.map(|of| categories(bins, of))),
            ("most common", sides.map(|of| most_common(bins, of))),
        ]
    };
    if rows.iter().all(|(_, sides)| sides.iter().all(String::is_empty)) {
        return String::new();
    }
    let cells = rows.into_iter().map(|(name, [training, window])| vec![name.to_owned(), training, window]);
    table("Summary", &["summary", "training", "window"], cells)
}

fn sum(bins: &[Bin], of: fn(&Bin) -> u64) -> u64 {
    bins.iter().map(of).fold(0, u64::saturating_add)
}

/// The bin in which so many quarters of the values are reached, from the lowest on.
fn quartile(bins: &[Bin], of: fn(&Bin) -> u64, quarter: u64) -> String {
    let all = u128::from(sum(bins, of));
    let mut below = 0;
    let reached = bins.iter().find(|bin| {
        below += u128::from(of(bin));
        all > 0 && below * 4 >= all * u128::from(quarter)
    });
    reached.map_or_else(String::new, |bin| escaped(&bin_name(&bin.name)))
}

/// How many categories have values. Those that training does not have, or that are counted together, are some more.
fn categories(bins: &[Bin], of: fn(&Bin) -> u64) -> String {
    let named = bins.iter().filter(|bin| bin.name.starts_with("category:") && of(bin) > 0).count();
    let together = bins.iter().any(|bin| !bin.name.starts_with("category:") && of(bin) > 0);
    match (sum(bins, of), together) {
        (0, _) => String::new(),
        (_, false) => named.to_string(),
        (_, true) => format!("{named} and some together"),
    }
}

fn most_common(bins: &[Bin], of: fn(&Bin) -> u64) -> String {
    let all = sum(bins, of);
    // The first of equals is the one that training has more of.
    let most =
        bins.iter().rev().filter(|bin| bin.name.starts_with("category:") && of(bin) > 0).max_by_key(|bin| of(bin));
    most.map_or_else(String::new, |bin| format!("{} ({})", escaped(&bin_name(&bin.name)), tenths(of(bin), all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(name: &str, reference: u64, window: u64) -> Bin {
        Bin { name: name.to_owned(), reference, window }
    }

    #[test]
    fn quartiles_are_named_by_their_bins() {
        let bins = [bin("le:1", 25, 0), bin("eq:2", 25, 10), bin("le:3", 25, 10), bin("le:", 25, 80)];
        let shown = summary(&bins);
        for cells in
            ["<td>median in</td><td>= 2</td><td>above</td>", "<td>lower quartile in</td><td>≤ 1</td><td>above</td>"]
        {
            assert!(shown.contains(cells), "{shown}");
        }
        assert_eq!(summary(&[bin("le:1", 0, 0)]), "");
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn categories_are_counted_and_the_most_common_one_is_named() {
        let bins =
            [bin("category:a<", 60, 30), bin("category:b", 40, 30), bin("category:c", 0, 0), bin("unseen", 0, 40)];
        let shown = summary(&bins);
        for cells in [
            "<td>categories</td><td>2</td><td>2 and some together</td>",
            "<td>a&lt; (60.0%)</td><td>a&lt; (30.0%)</td>",
        ] {
            assert!(shown.contains(cells), "{shown}");
        }
    }
}
