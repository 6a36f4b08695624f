//! What a policy names, compiled once: features, segment attributes, KPIs and measured metrics as slots, and the canonical form of values.
//! Decoders write into these slots; nothing downstream looks a name up again.

mod classes;

pub use classes::Classes;

use crate::policy::{LabelAttribute, Policy, RuleKind};

/// The slots of one model's events. Indexes into these lists are the columns of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub model: String,
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    /// Single segment attributes, each once, in order of first use.
    pub attributes: Vec<String>,
    /// The policy's segmentations as indexes into `attributes`.
    pub segmentations: Vec<Vec<usize>>,
    pub kpis: Vec<String>,
    /// Metrics of measurements that rules read.
    pub metrics: Vec<String>,
    /// Whether labels are numbers.
    pub is_regression: bool,
    /// What predictions and labels name, of a model of several classes; empty of others.
    pub classes: Vec<String>,
    /// How labels are read where they are one of two classes.
    pub labels: Classes,
    /// How decisions are read.
    pub decisions: Classes,
    /// Whether predictions need an id: where labels are configured.
    pub needs_id: bool,
    /// Whether a rule reads `error`.
    pub reads_error: bool,
    /// Whether pairs count in the prediction's window.
    pub prediction_time: bool,
}

impl Schema {
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let mut attributes: Vec<String> = Vec::new();
        let mut segmentations = Vec::new();
        for s in &policy.segments {
            let parts = s.parts.iter().map(|part| {
                if let Some(i) = attributes.iter().position(|a| a == part) {
                    i
                } else {
                    attributes.push(part.clone());
                    attributes.len() - 1
                }
            });
            segmentations.push(parts.collect());
        }
        Self {
            model: policy.model.clone(),
            numeric: policy.features.numeric.clone(),
            categorical: policy.features.categorical.clone(),
            attributes,
            segmentations,
            kpis: policy.kpis.clone(),
            metrics: policy.measured.clone(),
            is_regression: policy.is_regression(),
            classes: policy.classes.clone(),
            labels: policy.labels.as_ref().map(|l| Classes::new(&l.values)).unwrap_or_default(),
            decisions: Classes::new(&policy.decision_values),
            needs_id: policy.labels.is_some(),
            reads_error: policy.rules().any(|r| r.kind.reads_errors()),
            prediction_time: policy.labels.as_ref().is_some_and(|l| l.attribute == LabelAttribute::PredictionTime),
        }
    }
}

impl Schema {
    /// The place of a class, as a number; `None` for a text that names none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "there are at most 100")]
    pub fn class(&self, text: &str) -> Option<f64> {
        self.classes.iter().position(|class| class == text).map(|at| at as f64)
    }

    /// Whether labels are kept as numbers: the label, or the place of its class.
    #[must_use]
    pub fn has_numbers(&self) -> bool {
        self.is_regression || !self.classes.is_empty()
    }

    /// The slot of a measured metric; `None` for one that no rule reads.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u32> {
        let at = self.metrics.iter().position(|m| m == name)?;
        u32::try_from(at).ok()
    }
}

/// Whether any rule of the policy reads the features stream's values.
#[must_use]
pub fn reads_features(kind: &RuleKind) -> bool {
    kind.reads_features()
}

/// Integral numbers at or above this are written in their shortest float form.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The canonical text of a number that is where a category or segment value belongs: integral values below 2^53
/// without decimals, others in the shortest form that reads back as the same `f64`. Appends to `out`.
pub fn canonical_number(x: f64, out: &mut String) {
    use std::fmt::Write as _;
    let written = if x.fract() == 0.0 && x.abs() < EXACT_INTEGERS {
        // The cast is exact: |x| < 2^53 and integral. It also turns -0.0 into 0.
        #[allow(clippy::cast_possible_truncation, reason = "|x| < 2^53 and integral")]
        let integer = x as i64;
        write!(out, "{integer}")
    } else {
        write!(out, "{}", Shortest(x))
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// The canonical text of a boolean that a CSV file or a program spells in its own case: R's `TRUE`, Python's `True`. Other
/// texts of a CSV file stay as they are written: `1.10` is not `1.1`.
#[must_use]
pub fn boolean(text: &str) -> Option<&'static str> {
    ["true", "false"].into_iter().find(|canonical| text.eq_ignore_ascii_case(canonical))
}

/// What parts the values of an intersection in its name, and what stands before a character of a value that would be taken
/// for one.
const BETWEEN: char = '*';
const ESCAPE: char = '\\';

/// The name of an intersection: its parts' values joined by `*`, with a `\` before each `*` and `\` of a value, so that other
/// parts have another name. Appends to `out`.
pub fn cross<'a>(parts: impl IntoIterator<Item = &'a str>, out: &mut String) {
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            out.push(BETWEEN);
        }
        for c in part.chars() {
            if matches!(c, BETWEEN | ESCAPE) {
                out.push(ESCAPE);
            }
            out.push(c);
        }
    }
}

/// How many parts a name has that `cross` may have written; `None` for another text.
#[must_use]
pub fn crossed_parts(name: &str) -> Option<usize> {
    let (mut parts, mut chars) = (1, name.chars());
    while let Some(c) = chars.next() {
        match c {
            BETWEEN => parts += 1,
            ESCAPE => drop(chars.next().filter(|c| matches!(*c, BETWEEN | ESCAPE))?),
            _ => {}
        }
    }
    Some(parts)
}

/// Python's `repr` of a float, which is the shortest round trip with an exponent from 1e16 and below 1e-4 on.
struct Shortest(f64);

impl std::fmt::Display for Shortest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let x = self.0;
        if x.is_infinite() {
            return f.write_str(if x > 0.0 { "inf" } else { "-inf" });
        }
        let magnitude = x.abs();
        if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
            let text = format!("{x:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
            return write!(f, "{mantissa}e{sign}{digits:0>2}");
        }
        write!(f, "{x:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(x: f64) -> String {
        let mut s = String::new();
        canonical_number(x, &mut s);
        s
    }

    #[test]
    fn numbers_read_as_the_independent_oracle_writes_them() {
        // Left: Python's canon(); right: ours.
        for (x, text) in [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000"),
            (9_007_199_254_740_992.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.00012, "0.00012"),
            (0.000_012, "1.2e-05"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn other_parts_have_another_name() {
        let name = |parts: &[&str]| {
            let mut out = String::new();
            cross(parts.iter().copied(), &mut out);
            assert_eq!(crossed_parts(&out), Some(parts.len()), "{out}");
            out
        };
        assert_eq!(name(&["JFK", "UA"]), "JFK*UA");
        assert_eq!([name(&["a*b", "c"]), name(&["a", "b*c"])], [r"a\*b*c", r"a*b\*c"]);
        let values = ["", "*", r"\", r"\*", r"*\", r"\\", "a", "a*", r"a\", "é*"];
        let mut seen = std::collections::BTreeSet::new();
        for a in values {
            for b in values {
                assert!(seen.insert(name(&[a, b])), "{a} and {b}");
                values.iter().for_each(|c| assert!(seen.insert(name(&[a, b, c])), "{a}, {b} and {c}"));
            }
        }
        assert_eq!([crossed_parts(r"a\b*c"), crossed_parts(r"a*b\"), crossed_parts("a*b*c")], [None, None, Some(3)]);
    }

    #[test]
    fn booleans_have_one_text_whatever_their_case() {
        assert_eq!(
            ["TRUE", "True", "true", "FALSE", "False"].map(boolean),
            [Some("true"), Some("true"), Some("true"), Some("false"), Some("false")]
        );
        assert_eq!(["T", "yes", "1", "", " true", "1.10"].map(boolean), [None; 6]);
    }
}
