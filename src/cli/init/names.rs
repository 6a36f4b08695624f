//! What a column's name says it is. Names are read by their words, however they are separated: `y_pred`, `yPred` and `Y PRED` are
//! the words y and pred.

/// Words of what a model puts out.
const OUTPUTS: [&str; 17] = [
    "pred",
    "preds",
    "predict",
    "predicted",
    "prediction",
    "predictions",
    "ypred",
    "yhat",
    "proba",
    "probas",
    "prob",
    "probs",
    "probability",
    "probabilities",
    "yprob",
    "yscore",
    "logit",
];
/// Of them, those that mean a probability.
const PROBABILITIES: [&str; 8] =
    ["proba", "probas", "prob", "probs", "probability", "probabilities", "yprob", "yscore"];
const SCORES: [&str; 2] = ["score", "scores"];
/// Words beside `score` that leave it the model's; a credit score is an input.
const BESIDE_SCORE: [&str; 14] = [
    "y",
    "model",
    "raw",
    "final",
    "class",
    "0",
    "1",
    "pos",
    "positive",
    "neg",
    "negative",
    "calibrated",
    "output",
    "scored",
];
/// The class that a probability is not of, where it is named last.
const OTHER_CLASS: [&str; 5] = ["0", "neg", "negative", "no", "false"];

/// Names of an outcome and of nothing else, the likeliest first.
const OUTCOMES: [&str; 16] = [
    "label",
    "target",
    "y",
    "outcome",
    "y_true",
    "labels",
    "ground_truth",
    "actual",
    "ytrue",
    "true_label",
    "targets",
    "outcomes",
    "truth",
    "actuals",
    "true_class",
    "gt",
];
/// Words of outcomes, in tables where they are not an input; the likeliest first.
const LIKELY: [&str; 41] = [
    "class",
    "churn",
    "churned",
    "survived",
    "income",
    "fraud",
    "isfraud",
    "exited",
    "attrition",
    "default",
    "defaulted",
    "converted",
    "conversion",
    "clicked",
    "click",
    "purchased",
    "subscribed",
    "deposit",
    "response",
    "approved",
    "diagnosis",
    "died",
    "death",
    "disease",
    "heartdisease",
    "stroke",
    "diabetes",
    "spam",
    "readmitted",
    "canceled",
    "cancelled",
    "returned",
    "creditability",
    "risk",
    "creditrisk",
    "salary",
    "toxic",
    "bad",
    "won",
    "num",
    "target_class",
];
const IDS: [&str; 8] = ["id", "ids", "uuid", "guid", "key", "index", "rowid", "unnamed"];

/// What a model's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    Probability,
    Score,
    Prediction,
    /// A probability of the class that is not the one with label 1.
    OtherClass,
}

/// The words of a name, in lower case.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = c.is_uppercase() && before.is_lowercase();
        if !c.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|w| w.extend(c.to_lowercase()));
        }
        before = c;
    }
    words.retain(|w| !w.is_empty());
    words
}

fn has(words: &[String], of: &[&str]) -> bool {
    words.iter().any(|w| of.contains(&w.as_str()))
}

/// What kind of output of a model a column is by its name, if it is one.
pub fn output(name: &str) -> Option<Output> {
    let words = words(name);
    let score = has(&words, &SCORES)
        && words.iter().all(|w| [&SCORES[..], &OUTPUTS, &BESIDE_SCORE].iter().any(|of| of.contains(&w.as_str())));
    let hat = words.len() == 2 && words == ["y", "hat"];
    if !score && !hat && !has(&words, &OUTPUTS) {
        return None;
    }
    let probability = has(&words, &PROBABILITIES);
    Some(match words.last() {
        Some(last) if OTHER_CLASS.contains(&last.as_str()) => Output::OtherClass,
        _ if probability => Output::Probability,
        _ if score => Output::Score,
        _ => Output::Prediction,
    })
}

/// Whether a name is an outcome's in any table.
pub fn is_outcome(name: &str) -> bool {
    outcome(name).is_some_and(|rank| rank < OUTCOMES.len())
}

/// How likely a column is the outcome by its name, 0 the most; `None` if nothing says so.
pub fn outcome(name: &str) -> Option<usize> {
    let words = words(name);
    let whole = words.join("_");
    let sure = OUTCOMES.iter().position(|n| *n == whole);
    sure.or_else(|| {
        // A number of something is an input; UCI's heart disease is `num` alone.
        let likely = LIKELY.iter().position(|n| *n == whole || (*n != "num" && words.iter().any(|w| w == n)));
        // A word alone says more than one among others.
        likely.map(|at| OUTCOMES.len() + at + if words.len() > 2 { LIKELY.len() } else { 0 })
    })
}

/// Whether a name says that a column names rows.
pub fn is_id(name: &str) -> bool {
    words(name).iter().any(|w| IDS.contains(&w.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_their_words() {
        assert_eq!(words("CustomerID"), ["customer", "id"]);
        assert_eq!(words("default.payment.next-month "), ["default", "payment", "next", "month"]);
        assert_eq!(words("scoredProbabilities"), ["scored", "probabilities"]);
        for (name, expected) in [
            ("score", Some(Output::Score)),
            ("Y_SCORE", Some(Output::Score)),
            ("y_pred_proba", Some(Output::Probability)),
            ("prob_1", Some(Output::Probability)),
            ("prob_0", Some(Output::OtherClass)),
            ("predicted_label", Some(Output::Prediction)),
            ("y_hat", Some(Output::Prediction)),
            ("prediction_score", Some(Output::Score)),
            ("credit_score", None),
            ("hat", None),
            ("problem", None),
        ] {
            assert_eq!(output(name), expected, "{name}");
        }
        assert!(is_outcome("Y_True") && is_outcome("target") && !is_outcome("class") && !is_outcome("age"));
        assert!(
            outcome("y") < outcome("default")
                && outcome("Churn") < outcome("Churn reason code")
                && outcome("age").is_none()
                && outcome("num_dependents").is_none()
                && outcome("num").is_some()
        );
        assert!(is_id("PassengerId") && is_id("id") && is_id("Unnamed: 0") && !is_id("paid") && !is_id("identity"));
    }
}
