//! The scanner takes what `serde_json` takes, and the numbers that are none.

use proptest::strategy::Strategy as _;

use super::*;

fn value(text: &str) -> Result<(String, String), Reject> {
    let mut scratch = String::new();
    let mut s = Scanner::new(text.as_bytes(), 8);
    let token = s.value(&mut scratch)?;
    let token = format!("{token:?}");
    s.end()?;
    Ok((token, scratch))
}

#[test]
fn reads_what_json_allows_and_nothing_else() {
    for good in [
        "1",
        "-0",
        "1.5e+3",
        "0.1",
        "true",
        "null",
        "\"\"",
        "[]",
        "[1,[2,{\"a\":{}}]]",
        " {\"a\" : 1 , \"b\":[ ] } ",
        "1e400",
        "NaN",
        "-Infinity",
        "[NaN,{\"a\":Infinity , \"b\":[-Infinity]}]",
    ] {
        assert!(value(good).is_ok(), "{good}: {:?}", value(good));
    }
    for (bad, says) in [
        ("nan", "expected a value at byte 0, found \"nan\""),
        ("-NaN", "expected a number without leading zeros at byte 1, found \"NaN\""),
        ("NaNs", "expected the end of the event at byte 3, found \"s\""),
        ("+Infinity", "found '+'"),
        ("Inf", "found \"Inf\""),
        ("-Infinite", "found \"Infinite\""),
        ("01", "a number without leading zeros"),
        ("1.", "expected a digit at byte 2, found the end"),
        ("+1", "found '+'"),
        (".5", "found '.'"),
        ("[1,]", "expected a value"),
        ("{\"a\":1,}", "expected a string"),
        ("{a:1}", "expected a string at byte 1, found \"a\""),
        ("\"abc", "found the end: the text is cut short"),
        ("\"a\nb\"", "without control characters"),
        ("\"\\x\"", "an escape"),
        ("\"\\ud800\"", "surrogate"),
        ("\"\\u+123\"", "hexadecimal"),
        ("1 2", "the end of the event"),
        ("tru", "expected a value"),
    ] {
        let error = value(bad).unwrap_err();
        assert_eq!(error.reason, Reason::NotJson, "{bad}");
        assert!(error.detail.contains(says), "{bad}: {}", error.detail);
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = "[".repeat(10_000);
    let error = value(&deep).unwrap_err();
    assert_eq!((error.reason, error.detail.as_str()), (Reason::TooDeep, "nested deeper than the bound at byte 8"));
    assert!(value("[[[[[[[[]]]]]]]]").is_ok());
}

#[test]
fn escapes_are_resolved() {
    let (token, text) = value(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#).unwrap();
    assert_eq!((token.as_str(), text.as_str()), ("Escaped", "a\"\\/\u{8}\u{c}\n\r\té😀z"));
}

#[test]
fn nan_is_no_value_and_an_infinity_is_a_number() {
    assert_eq!(value("NaN").unwrap().0, "Null");
    assert_eq!(value(" Infinity ").unwrap().0, "Number(inf, \"Infinity\")");
    assert_eq!(value("-Infinity").unwrap().0, "Number(-inf, \"-Infinity\")");
}

proptest::proptest! {
    #[test]
    fn agrees_with_serde_json_on_any_text_but_for_nan_and_infinity(
        parts in proptest::collection::vec(
            proptest::prop_oneof![
                4 => r#"[\{\}\[\]",:0-9eE.\-+a-c\\u nulltrueNIf]{0,6}"#,
                1 => proptest::sample::select(&["NaN", "Infinity", "-Infinity", "null", "Na", "Infinit"][..]).prop_map(str::to_owned),
            ],
            0..6,
        ),
    ) {
        let text = parts.concat();
        let ours = value(&text).is_ok();
        // An array is a value that goes on with nothing, and no escape.
        let standard = text.replace("-Infinity", "[]").replace("Infinity", "[]").replace("NaN", "[]");
        let theirs = serde_json::from_str::<serde_json::Value>(&standard).is_ok();
        // serde_json refuses numbers beyond f64, we read them as infinite.
        proptest::prop_assert!(ours == theirs || (ours && text.contains(['e', 'E'])), "{} {} {}", text, ours, theirs);
    }
}
