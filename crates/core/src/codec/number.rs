//! Numbers as JSON and people get them.

use serde_json::Value;

/// A number for JSON: null where it is missing or not finite.
#[must_use]
pub fn number(x: Option<f64>) -> Value {
    x.and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number)
}

/// A limit as the policy has it: all its digits, and no more.
#[must_use]
pub fn written(limit: &Value) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |number| number.to_string())
}

/// A number for people: four significant digits.
#[must_use]
pub fn short(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let magnitude = x.abs();
    if !(1e-4..1e6).contains(&magnitude) {
        return format!("{x:.3e}");
    }
    let decimals = if magnitude >= 1000.0 {
        0
    } else if magnitude >= 100.0 {
        1
    } else if magnitude >= 10.0 {
        2
    } else if magnitude >= 0.1 {
        4
    } else {
        6
    };
    let text = format!("{x:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people_are_short() {
        for (x, text) in [
            (0.0, "0"),
            (0.31, "0.31"),
            (95.0, "95"),
            (0.369_12, "0.3691"),
            (9.02, "9.02"),
            (1e-300, "1.000e-300"),
            (12345.6, "12346"),
            (0.0017, "0.0017"),
        ] {
            assert_eq!(short(x), text);
        }
    }

    #[test]
    fn limits_are_shown_as_written() {
        for (limit, text) in [(80.0, "80"), (0.011, "0.011"), (0.123_456_7, "0.1234567"), (1e-9, "0.000000001")] {
            assert_eq!(written(&limit.into()), text);
        }
        assert_eq!(written(&80.into()), "80");
    }
}
