//! Segments of a result as a forest plot: each segment's value with its interval, beside the value in training; and the same as a table.

use std::fmt::Write as _;

use serde_json::Value;

use super::markup::{escaped, number, table};
use crate::history::record::segments::Rate;
use driftgate_core::codec::number::short;
use driftgate_core::judge::verdict::RuleResult;

/// So many segments are drawn and listed.
const MOST: usize = 60;
const WIDTH: f64 = 900.0;
/// Height of a segment, and the width of its name.
const ROW: f64 = 20.0;
const NAMES: f64 = 220.0;

/// The segments of a result as picture and table; nothing where it has none with an interval.
pub fn forest(result: &RuleResult) -> String {
    let all: Vec<Value> = result.get("segments").and_then(|all| all.as_array().cloned()).unwrap_or_default();
    let mut segments: Vec<Rate> = all.iter().filter_map(Rate::read).collect();
    segments.sort_by(|a, b| a.value.total_cmp(&b.value));
    let left_out = segments.len().saturating_sub(MOST);
    segments.truncate(MOST);
    let Some(first) = segments.first() else { return String::new() };
    let title = format!("{} of {} by segment, with intervals", first.metric, result.rule);
    let mut out = format!(
        "<h3>{} {} <span class=\"soft\">by segment: {}, with its interval; the upright mark is training</span></h3>\n",
        escaped(&result.rule),
        escaped(&result.subject),
        escaped(&first.metric)
    );
    out.push_str(&drawn(&title, &segments));
    let cells = |s: &Rate| {
        let compared = if s.is_compared { "yes" } else { "no, too few" };
        vec![
            escaped(&s.segment),
            s.n.map_or_else(String::new, |n| n.to_string()),
            short(s.value),
            format!("{} to {}", short(s.lower), short(s.upper)),
            number(s.reference),
            compared.to_owned(),
        ]
    };
    let name = format!("Segments of {} {}", result.rule, result.subject);
    out.push_str(&table(
        &name,
        &["segment", "n", "value", "interval", "in training", "compared"],
        segments.iter().map(cells),
    ));
    if left_out > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{left_out} segments with greater values are left out; the API has them.</p>"
        );
    }
    out
}

fn drawn(title: &str, segments: &[Rate]) -> String {
    let ends = segments.iter().flat_map(|s| [s.lower, s.upper, s.value].into_iter().chain(s.reference));
    let (least, most) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    let span = if most > least { most - least } else { 1.0 };
    let at = |x: f64| NAMES + ((x - least) / span).clamp(0.0, 1.0) * (WIDTH - NAMES - 12.0);
    let rows = u32::try_from(segments.len()).unwrap_or(u32::MAX);
    let height = ROW * f64::from(rows) + 18.0;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{}</title>\n", escaped(title));
    let mut top = ROW / 2.0;
    for segment in segments {
        let colour = if segment.is_compared { "window" } else { "reference" };
        let name: String = segment.segment.chars().take(30).collect();
        let _ = write!(
            out,
            "<text x=\"0\" y=\"{:.1}\">{}</text><path d=\"M{:.1} {top:.1}H{:.1}\" stroke=\"var(--{colour})\" stroke-width=\"2\"/>\
             <circle cx=\"{:.1}\" cy=\"{top:.1}\" r=\"4\" fill=\"var(--{colour})\"><title>{} {}</title></circle>",
            top + 4.0,
            escaped(&name),
            at(segment.lower),
            at(segment.upper),
            at(segment.value),
            escaped(&segment.segment),
            short(segment.value)
        );
        if let Some(reference) = segment.reference {
            let _ = write!(out, "<path d=\"M{:.1} {:.1}v14\" stroke=\"var(--fg)\"/>", at(reference), top - 7.0);
        }
        top += ROW;
    }
    let _ = writeln!(
        out,
        "<text x=\"{NAMES}\" y=\"{:.1}\">{}</text><text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">{}</text></svg>",
        height - 3.0,
        short(least),
        height - 3.0,
        short(most)
    );
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::status_view::result;
    use driftgate_core::judge::verdict::Status;

    #[test]
    fn whatever_has_an_interval_is_drawn_the_lowest_first() {
        let segments = json!([
            {"segment": "a<", "tp": 5, "fn": 5, "tpr": 0.5, "tpr_lower": 0.2, "tpr_upper": 0.8, "reference_tpr": 0.6, "eligible": true},
            {"segment": "b", "tp": 1, "fn": 9, "tpr": 0.1, "tpr_lower": 0.0, "tpr_upper": 0.4, "reference_tpr": null, "eligible": false},
            {"segment": "c", "tp": 0, "fn": 0, "tpr": null, "tpr_lower": null, "tpr_upper": null, "eligible": false},
        ]);
        let of = |evidence| result("fairness/tpr_gap", "tpr_gap", "origin", Status::Pass, Some(0.4), evidence);
        let shown = forest(&of(vec![("segments", segments)]));
        assert_eq!(shown.matches("<circle").count(), 2, "{shown}");
        assert!(shown.find("<td>b</td>") < shown.find("<td>a&lt;</td>") && shown.contains("0.2 to 0.8"), "{shown}");
        assert!(shown.contains("no, too few") && !shown.contains("a<"), "{shown}");
        let rates = json!([{"segment": "x", "n": 7, "selection_rate": 0.3, "selection_rate_lower": 0.3, "selection_rate_upper": 0.3}]);
        assert!(forest(&of(vec![("segments", rates)])).contains("<td>7</td><td>0.3</td>"));
        assert_eq!(forest(&of(vec![])), "");
        assert_eq!(forest(&of(vec![("segments", json!([1, {"segment": "y"}]))])), "");
    }
}
