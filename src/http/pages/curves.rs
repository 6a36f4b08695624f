//! The score of a verdict's labelled predictions by label: ROC curve, precision–recall curve and calibration beside each other, with the counts that
//! they are drawn from.

use std::fmt::Write as _;

use super::markup::{escaped, number, share, table};
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::stats::by_label::ScoreBin;

/// Height and width of a diagram's axes, and the space around them.
const SIDE: f64 = 200.0;
const LEFT: f64 = 34.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 34.0;
const WIDTH: f64 = LEFT + SIDE + 20.0;
const HEIGHT: f64 = TOP + SIDE + BOTTOM;

/// The curves of a verdict; nothing where no rule counts scores by label. All rules of a group count the same predictions.
pub fn curves(verdict: &Verdict) -> String {
    let Some(bins) = verdict.results.iter().find_map(|result| result.read::<Vec<ScoreBin>>("by_label")) else {
        return String::new();
    };
    let (negatives, positives) = (sum(&bins, |bin| bin.negatives), sum(&bins, |bin| bin.positives));
    if bins.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<h3>Score by label <span class=\"soft\">{positives} positive and {negatives} negative labels; the dots are ends of bins of the score</span></h3>\n"
    );
    // What decisions from each bin's first score upwards would have found, the strictest first.
    let cut = cuts(&bins);
    let rates = |(fp, tp): &(u64, u64)| Some((share(*fp, negatives)?, share(*tp, positives)?));
    // Where nothing is decided positively, both rates are 0.
    let roc: Vec<(f64, f64)> = [(0, 0)].iter().chain(&cut).filter_map(rates).collect();
    let precision: Vec<(f64, f64)> =
        cut.iter().filter_map(|(fp, tp)| Some((share(*tp, positives)?, share(*tp, tp.saturating_add(*fp))?))).collect();
    let labelled =
        |bin: &ScoreBin| Some((bin.score?, share(bin.positives, bin.negatives.saturating_add(bin.positives))?));
    let calibrated: Vec<(f64, f64)> = bins.iter().filter_map(labelled).collect();
    out.push_str("<div class=\"curves\">\n");
    for (name, axes, points, diagonal) in [
        ("ROC curve", ["false positive rate", "true positive rate"], &roc, true),
        ("Precision and recall", ["recall", "precision"], &precision, false),
        ("Calibration", ["mean score", "share of positive labels"], &calibrated, true),
    ] {
        if points.len() > 1 {
            out.push_str(&diagram(&format!("{name} of {}", verdict.group), name, axes, points, diagonal));
        }
    }
    out.push_str("</div>\n");
    out.push_str(&counts(&format!("Score by label of {}", verdict.group), &bins, &cut));
    out
}

/// The bins as a table, with the rates of decisions from each bin's end upwards.
fn counts(name: &str, bins: &[ScoreBin], cut: &[(u64, u64)]) -> String {
    let (negatives, positives) = (sum(bins, |bin| bin.negatives), sum(bins, |bin| bin.positives));
    let rows = bins.iter().zip(cut.iter().rev()).map(|(bin, (fp, tp))| {
        let n = bin.negatives.saturating_add(bin.positives);
        let end = bin.le.map_or_else(|| "above".to_owned(), |le| format!("≤ {}", number(Some(le))));
        let of = |part: u64, of: u64| number(share(part, of));
        let (tpr, fpr) = (of(*tp, positives), of(*fp, negatives));
        vec![
            end,
            bin.negatives.to_string(),
            bin.positives.to_string(),
            number(bin.score),
            of(bin.positives, n),
            tpr,
            fpr,
            of(*tp, tp.saturating_add(*fp)),
        ]
    });
    let heads = [
        "score",
        "negative",
        "positive",
        "mean score",
        "share positive",
        "recall from here up",
        "false positive rate",
        "precision",
    ];
    table(name, &heads, rows)
}

fn sum(bins: &[ScoreBin], of: fn(&ScoreBin) -> u64) -> u64 {
    bins.iter().map(of).fold(0, u64::saturating_add)
}

/// False and true positives of decisions that take the last bin, the last two, and so on.
fn cuts(bins: &[ScoreBin]) -> Vec<(u64, u64)> {
    let (mut fp, mut tp) = (0_u64, 0_u64);
    let taken = |bin: &ScoreBin| {
        (fp, tp) = (fp.saturating_add(bin.negatives), tp.saturating_add(bin.positives));
        (fp, tp)
    };
    bins.iter().rev().map(taken).collect()
}

/// Points between 0 and 1 on both axes, with a line through them and, if wanted, the diagonal.
fn diagram(title: &str, name: &str, [across, up]: [&str; 2], points: &[(f64, f64)], diagonal: bool) -> String {
    let place = |(x, y): (f64, f64)| (LEFT + x.clamp(0.0, 1.0) * SIDE, TOP + (1.0 - y.clamp(0.0, 1.0)) * SIDE);
    let base = TOP + SIDE;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{}: {up} over {across}</title><text x=\"{LEFT}\" y=\"12\">{name}: {up}</text>\
         <path d=\"M{LEFT} {TOP}V{base}H{}\" fill=\"none\" stroke=\"var(--line)\"/>",
        escaped(title),
        LEFT + SIDE
    );
    for (step, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        let ((x, _), (_, y)) = (place((step, 0.0)), place((0.0, step)));
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            LEFT - 6.0,
            y + 4.0,
            base + 14.0
        );
    }
    let middle = LEFT + SIDE / 2.0;
    let _ = write!(out, "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>", base + 29.0);
    if diagonal {
        let ((x0, y0), (x1, y1)) = (place((0.0, 0.0)), place((1.0, 1.0)));
        let _ = write!(out, "<path d=\"M{x0} {y0}L{x1} {y1}\" stroke=\"var(--reference)\" stroke-dasharray=\"4 3\"/>");
    }
    let (mut path, mut dots) = (String::new(), String::new());
    for point in points {
        let (x, y) = place(*point);
        let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        let _ = write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"var(--window)\"/>");
    }
    let _ =
        writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"var(--window)\" stroke-width=\"1.5\"/>{dots}</svg>");
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::status_view::result;
    use driftgate_core::judge::read::verdict_from_json;
    use driftgate_core::judge::verdict::Status;

    fn verdict(by_label: &serde_json::Value) -> Verdict {
        let of = json!({
            "verdict_id": "v", "model": "m", "version": "1", "stage": null, "group": "quality<",
            "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z", "complete": true}, "status": "pass",
            "results": [], "counted": {"predictions": 10, "labels": 10}, "policy_sha256": "", "baseline_sha256": null,
        });
        let mut verdict = verdict_from_json(&of.to_string()).unwrap();
        let auc = result("quality/auc", "auc", "score", Status::Pass, Some(0.9), vec![("by_label", by_label.clone())]);
        verdict.results = vec![auc];
        verdict
    }

    #[test]
    fn points_of_the_curves_are_the_rates_at_the_ends_of_bins() {
        let shown = curves(&verdict(&json!([
            {"le": 0.2, "negatives": 6, "positives": 0, "score": 0.1},
            {"le": 0.7, "negatives": 2, "positives": 1, "score": 0.5},
            {"le": null, "negatives": 0, "positives": 3, "score": null},
        ])));
        assert!(shown.contains("4 positive and 8 negative labels"), "{shown}");
        assert!(shown.contains("ROC curve of quality&lt;") && !shown.contains("quality<"), "{shown}");
        // From 0.2 up, exclusively: recall 1, 2 of 8 negatives, precision 4 of 6.
        assert!(
            shown.contains(
                "<td>≤ 0.7</td><td>2</td><td>1</td><td>0.5</td><td>0.3333</td><td>1</td><td>0.25</td><td>0.6667</td>"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("<td>above</td><td>0</td><td>3</td><td></td><td>1</td><td>0.75</td><td>0</td><td>1</td>"),
            "{shown}"
        );
        assert_eq!(shown.matches("<svg").count(), 3);
        // The ROC curve begins where nothing is positive; then no false positive, three of four positives.
        assert!(shown.contains(&format!("M{LEFT:.1} {:.1}L{LEFT:.1} {:.1}L", TOP + SIDE, TOP + SIDE / 4.0)), "{shown}");
        assert!(!shown.contains("NaN"));
    }

    #[test]
    fn labels_of_one_kind_have_no_roc_curve_and_nothing_has_none() {
        let shown = curves(&verdict(&json!([
            {"le": 0.2, "negatives": 0, "positives": 2, "score": 0.1}, {"le": 0.9, "negatives": 0, "positives": 5, "score": 0.8}])));
        assert!(!shown.contains("ROC curve") && shown.contains("Calibration"), "{shown}");
        assert_eq!(curves(&verdict(&json!([]))), "");
        assert_eq!(curves(&verdict(&json!("none"))), "");
    }
}
