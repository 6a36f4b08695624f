//! The registries that driftgate keeps in step with its own, and what each of them lets a version's tags hold.

use std::collections::BTreeMap;

use crate::audit::names;

/// MLflow's limit on keys, in characters.
const LONGEST_KEY: usize = 250;
/// A longer value is cut, in bytes. MLflow's own limit differs with its release and database; 5,000 is in all of them.
pub(super) const LONGEST_VALUE: usize = 5000;
/// The limits of `CustomerMetadataProperties` of a model package, in characters.
const LONGEST_PROPERTY_KEY: usize = 128;
const LONGEST_PROPERTY: usize = 256;
const ELLIPSIS: &str = "…";

/// A registry of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum External {
    #[default]
    Mlflow,
    SageMaker,
}

impl External {
    /// As sentences name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlflow => "MLflow",
            Self::SageMaker => "SageMaker",
        }
    }

    /// The actor of what is observed there.
    #[must_use]
    pub fn actor(self) -> &'static str {
        match self {
            Self::Mlflow => names::MLFLOW,
            Self::SageMaker => names::SAGEMAKER,
        }
    }

    /// A key as it takes it.
    ///
    /// MLflow: at most 250 of ASCII letters, digits and `_-. :/` (others become `_`), and nothing that reads as another path.
    /// `SageMaker`: at most 128 of ASCII letters, digits and `_.:/=+-@`.
    #[must_use]
    pub fn key(self, key: &str) -> String {
        match self {
            Self::Mlflow => mlflow_key(key),
            Self::SageMaker => {
                let key: String = key.chars().take(LONGEST_PROPERTY_KEY).map(property_char).collect();
                if key.is_empty() { "_".to_owned() } else { key }
            }
        }
    }

    /// A value as it takes it, cut with an ellipsis where it is longer than that.
    ///
    /// MLflow: 5,000 bytes. `SageMaker`: 256 of ASCII letters, digits, spaces and `_.:/=+-@`, at least one; comparisons become words,
    /// and brackets and quotes are left out.
    #[must_use]
    pub fn value(self, value: &str) -> String {
        match self {
            Self::Mlflow => mlflow_value(value),
            Self::SageMaker => property(value),
        }
    }

    /// Of the tags that shall be, those that are not there so.
    #[must_use]
    pub fn differing(self, there: &BTreeMap<String, String>, wanted: Vec<(String, String)>) -> Vec<(String, String)> {
        wanted.into_iter().filter(|(key, value)| there.get(&self.key(key)) != Some(&self.value(value))).collect()
    }
}

fn mlflow_key(key: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "_-. :/".contains(c) { c } else { '_' };
    let cut: String = key.chars().take(LONGEST_KEY).map(keep).collect();
    // No part is empty, `.`, or starts with `..`.
    let part = |part: &str| match part.strip_prefix("..") {
        Some(rest) => format!("__{rest}"),
        None if part == "." => "_".to_owned(),
        None => part.to_owned(),
    };
    let parts: Vec<String> = cut.split('/').filter(|part| !part.is_empty()).map(part).collect();
    if parts.is_empty() { "_".to_owned() } else { parts.join("/") }
}

fn mlflow_value(value: &str) -> String {
    if value.len() <= LONGEST_VALUE {
        return value.to_owned();
    }
    let ends = value.char_indices().map(|(at, c)| at + c.len_utf8());
    let kept = ends.take_while(|end| *end <= LONGEST_VALUE - ELLIPSIS.len()).count();
    value.chars().take(kept).chain(ELLIPSIS.chars()).collect()
}

/// A character of a property's key.
fn property_char(c: char) -> char {
    if c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c) { c } else { '_' }
}

fn property(value: &str) -> String {
    let words = [(">=", "at least"), ("<=", "at most"), (">", "above"), ("<", "below"), ("%", " percent")];
    let said = words.iter().fold(value.to_owned(), |said, (sign, word)| said.replace(sign, word));
    let kept = said.chars().filter(|c| !"\"'{}[]()".contains(*c)).map(|c| match c {
        c if c.is_whitespace() || ",;".contains(c) => ' ',
        c => property_char(c),
    });
    let kept: String = kept.collect();
    let mut kept = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    // The ellipsis is no character that it takes.
    if kept.len() > LONGEST_PROPERTY {
        kept.truncate(LONGEST_PROPERTY - "...".len());
        kept.push_str("...");
    }
    if kept.is_empty() { "-".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_compared_as_mlflow_keeps_them() {
        let there = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("c_".to_owned(), "3".to_owned())]);
        let wanted = [("a", "1"), ("a", "2"), ("b", "1"), ("c#", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(External::Mlflow.differing(&there, wanted.to_vec()), wanted[1..3]);
    }

    #[test]
    fn keys_that_mlflow_takes_stay() {
        for key in ["gate.prod.verdict", "gate.check.a b", "a/b:c-d_e", "a.b/.c"] {
            assert_eq!(External::Mlflow.key(key), key);
        }
        for (key, allowed) in
            [("gate.é#", "gate.__"), ("../x", "__/x"), ("/a//b/./c/", "a/b/_/c"), ("", "_"), ("//", "_")]
        {
            assert_eq!(External::Mlflow.key(key), allowed);
        }
    }

    #[test]
    fn sagemaker_takes_words_for_signs_and_no_brackets() {
        let of = |value| External::SageMaker.value(value);
        assert_eq!(of("p95 95 ms >= 80 ms; psi 0.3 > 0.2"), "p95 95 ms at least 80 ms psi 0.3 above 0.2");
        assert_eq!(
            of(r#"[{"actor":"ann@x","role":"owner","at":"2026-01-01T00:00:00Z"}]"#),
            "actor:ann@x role:owner at:2026-01-01T00:00:00Z"
        );
        assert_eq!((of("").as_str(), of("\u{fc}5%").as_str()), ("-", "_5 percent"));
        assert_eq!(External::SageMaker.key("gate.check.a b"), "gate.check.a_b");
    }

    proptest! {
        #[test]
        fn everything_becomes_what_sagemaker_takes(text in "\\PC{0,300}|[<>a ,%]{0,300}") {
            let (key, value) = (External::SageMaker.key(&text), External::SageMaker.value(&text));
            let is_taken = |c: char| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c);
            prop_assert!((1..=LONGEST_PROPERTY_KEY).contains(&key.len()) && key.chars().all(is_taken));
            prop_assert!((1..=LONGEST_PROPERTY).contains(&value.len()) && value.chars().all(|c| is_taken(c) || c == ' '));
            prop_assert_eq!(&External::SageMaker.key(&key), &key);
            prop_assert_eq!(&External::SageMaker.value(&value), &value);
        }

        #[test]
        fn every_key_becomes_one_that_mlflow_takes(key in "\\PC{0,300}|[./a ]{0,12}") {
            let allowed = External::Mlflow.key(&key);
            prop_assert!(!allowed.is_empty() && allowed.len() <= LONGEST_KEY);
            prop_assert!(allowed.chars().all(|c| c.is_ascii_alphanumeric() || "_-. :/".contains(c)));
            prop_assert!(allowed.split('/').all(|part| !part.is_empty() && part != "." && !part.starts_with("..")));
            prop_assert_eq!(&External::Mlflow.key(&allowed), &allowed);
        }

        #[test]
        fn a_value_is_a_beginning(value in "\\PC{0,3000}") {
            let allowed = External::Mlflow.value(&value);
            prop_assert!(allowed.len() <= LONGEST_VALUE);
            match allowed.strip_suffix('…') {
                Some(start) if value.len() > LONGEST_VALUE => {
                    prop_assert!(value.starts_with(start) && start.len() > LONGEST_VALUE - 8);
                }
                _ => prop_assert_eq!(&allowed, &value),
            }
            prop_assert_eq!(&External::Mlflow.value(&allowed), &allowed);
        }
    }
}
