//! The confusion matrix of a verdict's labelled predictions as a table: counts with their share of the label, recall and precision of each class.

use std::fmt::Write as _;

use super::markup::{escaped, table};
use driftgate_core::judge::verdict::{RuleResult, Verdict};

/// A matrix of more classes is not read by anybody.
const MOST: usize = 20;

/// A row a label, a column a prediction.
struct Matrix {
    classes: Vec<String>,
    rows: Vec<Vec<u64>>,
}

/// The matrix of a verdict; nothing where no rule counts one. All rules of a group count the same predictions.
pub fn confusion(verdict: &Verdict) -> String {
    let of_several = || verdict.results.iter().find_map(of_classes);
    let Some(matrix) = of_several().or_else(|| verdict.results.iter().find_map(of_decisions)) else {
        return String::new();
    };
    let mut out = String::from(
        "<h3>Confusion matrix <span class=\"soft\">a row a label, a column what was predicted; shares are of the label</span></h3>\n",
    );
    if matrix.classes.len() > MOST {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} classes are too many for a table; the API has them.</p>",
            matrix.classes.len()
        );
        return out;
    }
    out.push_str(&matrix.table(&format!("Confusion matrix of {}", verdict.group)));
    out
}

fn of_classes(result: &RuleResult) -> Option<Matrix> {
    let (classes, rows): (Vec<String>, Vec<Vec<u64>>) = (result.read("classes")?, result.read("confusion")?);
    let is_square = rows.len() == classes.len() && rows.iter().all(|row| row.len() == classes.len());
    is_square.then_some(Matrix { classes, rows })
}

fn of_decisions(result: &RuleResult) -> Option<Matrix> {
    let count = |key: &str| result.read::<u64>(key);
    let rows = vec![vec![count("tp")?, count("fn")?], vec![count("fp")?, count("tn")?]];
    Some(Matrix { classes: vec!["positive".to_owned(), "negative".to_owned()], rows })
}

impl Matrix {
    fn table(&self, name: &str) -> String {
        let names: Vec<String> = self.classes.iter().map(|class| escaped(class)).collect();
        let mut heads = vec!["label"];
        heads.extend(names.iter().map(String::as_str));
        heads.extend(["labels", "recall"]);
        let of_label = |(at, (name, row)): (usize, (&String, &Vec<u64>))| {
            let labels: u64 = row.iter().sum();
            let mut cells = vec![name.clone()];
            cells.extend(row.iter().map(|n| format!("{n} <span class=\"soft\">{}</span>", percent(*n, labels))));
            cells.extend([labels.to_string(), percent(row.get(at).copied().unwrap_or(0), labels)]);
            cells
        };
        let column = |at: usize| self.rows.iter().filter_map(|row| row.get(at)).sum::<u64>();
        let right = |at: usize| self.rows.get(at).and_then(|row| row.get(at)).copied().unwrap_or(0);
        let mut precision = vec!["precision".to_owned()];
        precision.extend((0..names.len()).map(|at| percent(right(at), column(at))));
        precision.extend([String::new(), String::new()]);
        let rows = names.iter().zip(&self.rows).enumerate().map(of_label);
        table(name, &heads, rows.chain([precision]))
    }
}

/// A share in tenths of a percent; empty of nothing.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn percent(part: u64, of: u64) -> String {
    if of == 0 { String::new() } else { format!("{:.1}%", 100.0 * part as f64 / of as f64) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use driftgate_core::judge::read::verdict_from_json;

    fn verdict(results: &[serde_json::Value]) -> Verdict {
        let of = json!({
            "verdict_id": "v", "model": "m", "version": "1", "stage": null, "group": "quality",
            "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z", "complete": true}, "status": "pass",
            "results": results, "counted": {"predictions": 10, "labels": 10}, "policy_sha256": "", "baseline_sha256": null,
        });
        verdict_from_json(&of.to_string()).unwrap()
    }

    fn result(more: &serde_json::Value) -> serde_json::Value {
        let mut of = json!({"rule": "quality/accuracy", "metric": "accuracy", "subject": "decision", "status": "pass", "value": 0.5});
        of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of
    }

    #[test]
    fn decisions_are_a_matrix_of_two() {
        let shown =
            confusion(&verdict(&[result(&json!({"n": 10})), result(&json!({"tp": 3, "fn": 1, "fp": 2, "tn": 0}))]));
        for cells in [
            "<td>positive</td><td>3 <span class=\"soft\">75.0%</span></td><td>1 <span class=\"soft\">25.0%</span></td><td>4</td><td>75.0%</td>",
            "<td>precision</td><td>60.0%</td><td>0.0%</td><td></td><td></td>",
        ] {
            assert!(shown.contains(cells), "{shown}");
        }
        assert_eq!(confusion(&verdict(&[result(&json!({"tp": 3, "fn": 1}))])), "");
    }

    #[test]
    fn classes_are_a_matrix_of_all_and_names_are_text() {
        let of_class = json!({"tp": 1, "fn": 1, "fp": 1, "tn": 1, "classes": ["<a>", "b", "c"], "confusion": [[4, 0, 0], [1, 2, 1], [0, 0, 0]]});
        let shown = confusion(&verdict(&[result(&of_class)]));
        assert!(shown.contains("<th scope=\"col\">&lt;a&gt;</th>") && !shown.contains("<a>"), "{shown}");
        assert!(shown.contains("<td>precision</td><td>80.0%</td><td>100.0%</td><td>0.0%</td>"), "{shown}");
        assert!(shown.contains("<td>c</td><td>0 <span class=\"soft\"></span></td>"), "no label of it: {shown}");
        let ragged = json!({"classes": ["a", "b"], "confusion": [[4], [1, 2]]});
        assert_eq!(confusion(&verdict(&[result(&ragged)])), "");
        let many: Vec<String> = (0..21).map(|at| at.to_string()).collect();
        let of_many = json!({"classes": many, "confusion": vec![vec![1; 21]; 21]});
        assert!(confusion(&verdict(&[result(&of_many)])).contains("21 classes are too many"));
    }
}
