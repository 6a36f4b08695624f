//! Two distributions beside each other as SVG: with axes, and as small as a line of text.

use std::fmt::Write as _;

use super::chart::{BOTTOM, LEFT, WIDTH, level_line, real};
use super::markup::escaped;
use crate::history::record::Bin;
use driftgate_core::codec::number::short;

/// Of more bins than this not all have their name on the axis.
const NAMES: usize = 12;
/// More bins than this are not drawn as small as a line.
const SMALL: usize = 60;

/// Two distributions beside each other, as shares of their sums. `name` says what a bin is called on the axis; of many bins every so many has its name.
pub fn bars(title: &str, bins: &[Bin], name: impl Fn(&str) -> String) -> String {
    let shares = shares(bins);
    let most = greatest(&shares);
    let width = (WIDTH - LEFT) / real(i64::try_from(bins.len()).unwrap_or(1)).max(1.0);
    let (height, base) = (125.0, 133.0);
    let mut out =
        format!("<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\"><title>{}</title>\n", base + BOTTOM, escaped(title));
    // Shares of the values in percent.
    for step in [0.0, 0.5, 1.0] {
        let y = base - height * step;
        out.push_str(&level_line(y, &format!("{}%", short((1000.0 * most * step).round() / 10.0))));
    }
    let every = bins.len().div_ceil(NAMES).max(1);
    for (at, bin) in bins.iter().enumerate() {
        let left = LEFT + real(i64::try_from(at).unwrap_or(0)) * width;
        for ((of, shares), shift) in shares.iter().zip([0.1, 0.5]) {
            let Some(share) = shares.get(at) else { continue };
            let high = height * share / most;
            let _ = write!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\" fill=\"var(--{of})\"><title>{}: {of} {:.1}%</title></rect>",
                left + shift * width,
                base - high,
                0.38 * width,
                escaped(&bin.name),
                100.0 * share
            );
        }
        if at % every == 0 {
            let shown: String = name(&bin.name).chars().take(12).collect();
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                left + 0.5 * width,
                base + 15.0,
                escaped(&shown)
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The same without axes, as small as a line of text; empty where there are none, or more than a line has room for.
pub fn small(title: &str, bins: &[Bin]) -> String {
    if bins.is_empty() || bins.len() > SMALL {
        return String::new();
    }
    let sides = shares(bins);
    let most = greatest(&sides);
    let width = 144.0 / real(i64::try_from(bins.len()).unwrap_or(1)).max(1.0);
    let mut out = format!(
        "<svg class=\"bars\" viewBox=\"0 0 144 18\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title>",
        escaped(title)
    );
    for ((colour, shares), shift) in sides.iter().zip([0.06, 0.5]) {
        out.push_str("<path d=\"");
        for (at, share) in shares.iter().enumerate() {
            let left = (real(i64::try_from(at).unwrap_or(0)) + shift) * width;
            let _ = write!(out, "M{left:.1} 18v-{:.1}h{:.1}V18z", 17.0 * share / most, 0.42 * width);
        }
        let _ = write!(out, "\" fill=\"var(--{colour})\"/>");
    }
    out.push_str("</svg>");
    out
}

/// Each bin's share of the sum, of both distributions, behind their colours.
fn shares(bins: &[Bin]) -> [(&'static str, Vec<f64>); 2] {
    let count = |n: u64| real(i64::try_from(n).unwrap_or(i64::MAX));
    let of = |of: fn(&Bin) -> u64| -> Vec<f64> {
        let sum = bins.iter().map(|bin| count(of(bin))).sum::<f64>().max(1.0);
        bins.iter().map(|bin| count(of(bin)) / sum).collect()
    };
    [("reference", of(|bin| bin.reference)), ("window", of(|bin| bin.window))]
}

fn greatest(shares: &[(&str, Vec<f64>); 2]) -> f64 {
    shares.iter().flat_map(|(_, shares)| shares).copied().fold(f64::MIN_POSITIVE, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_shares_with_axes_and_some_bins_have_their_name() {
        let bin = |name: &str, reference, window| Bin { name: name.to_owned(), reference, window };
        let svg = bars("t<", &[bin("le:1", 3, 1), bin("le:", 1, 3)], |name| format!("<{name}>"));
        for part in
            [">75%</text>", ">37.5%</text>", ">&lt;le:1&gt;</text>", "le:: window 75.0%", "<title>t&lt;</title>"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        let many: Vec<Bin> = (0..50).map(|at| bin(&at.to_string(), 1, 1)).collect();
        assert_eq!(bars("t", &many, str::to_owned).matches("<text").count(), 3 + 10);
        let huge = [bin("le:", 0, u64::MAX)];
        assert!(!bars("t", &huge, str::to_owned).contains("NaN") && !small("t", &huge).contains("NaN"));
    }
}
