//! Two distributions beside each other as SVG: with axes, and as small as a line of text.

use std::fmt::Write as _;

use super::chart::{BOTTOM, LEFT, WIDTH, real};
use super::markup::escaped;
use crate::history::record::Bin;
use driftgate_core::codec::number::short;

/// Of more bins than this not all have their name on the axis.
const NAMES: usize = 12;

/// Two distributions beside each other, as shares of their sums. `name` says what a bin is called on the axis; of many bins every so many has its name.
pub fn bars(title: &str, bins: &[Bin], name: impl Fn(&str) -> String) -> String {
    let count = |n: u64| real(i64::try_from(n).unwrap_or(i64::MAX));
    let sum = |of: fn(&Bin) -> u64| bins.iter().map(|bin| count(of(bin))).sum::<f64>().max(1.0);
    let sums = [("reference", sum(|b| b.reference)), ("window", sum(|b| b.window))];
    let shares = |bin: &Bin| [count(bin.reference) / sums[0].1, count(bin.window) / sums[1].1];
    let most = bins.iter().flat_map(shares).fold(f64::MIN_POSITIVE, f64::max);
    let width = (WIDTH - LEFT) / real(i64::try_from(bins.len()).unwrap_or(1)).max(1.0);
    let (height, base) = (125.0, 133.0);
    let mut out =
        format!("<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\"><title>{}</title>\n", base + BOTTOM, escaped(title));
    // Shares of the values in percent.
    for step in [0.0, 0.5, 1.0] {
        let y = base - height * step;
        let _ = write!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{WIDTH}\" stroke=\"var(--line)\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}%</text>",
            LEFT - 6.0,
            y + 4.0,
            short((1000.0 * most * step).round() / 10.0)
        );
    }
    let every = bins.len().div_ceil(NAMES).max(1);
    for (at, bin) in bins.iter().enumerate() {
        let left = LEFT + real(i64::try_from(at).unwrap_or(0)) * width;
        for ((of, _), (share, shift)) in sums.iter().zip(shares(bin).into_iter().zip([0.1, 0.5])) {
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

/// The same without axes, as small as a line of text.
pub fn small(title: &str, bins: &[Bin]) -> String {
    let count = |n: u64| real(i64::try_from(n).unwrap_or(i64::MAX));
    let shares = |of: fn(&Bin) -> u64| -> Vec<f64> {
        let sum = bins.iter().map(|bin| count(of(bin))).sum::<f64>().max(1.0);
        bins.iter().map(|bin| count(of(bin)) / sum).collect()
    };
    let (reference, window) = (shares(|bin| bin.reference), shares(|bin| bin.window));
    let most = reference.iter().chain(&window).copied().fold(f64::MIN_POSITIVE, f64::max);
    let width = 144.0 / real(i64::try_from(bins.len()).unwrap_or(1)).max(1.0);
    let drawn = |shares: &[f64], (shift, colour): (f64, &str)| {
        let mut path = String::new();
        for (at, share) in shares.iter().enumerate() {
            let left = (real(i64::try_from(at).unwrap_or(0)) + shift) * width;
            let _ = write!(path, "M{left:.1} 18v-{:.1}h{:.1}V18z", 17.0 * share / most, 0.42 * width);
        }
        format!("<path d=\"{path}\" fill=\"var(--{colour})\"/>")
    };
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 144 18\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title>{}{}</svg>",
        escaped(title),
        drawn(&reference, (0.06, "reference")),
        drawn(&window, (0.5, "window"))
    )
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
