//! `importance:` of a policy.

use std::collections::BTreeMap;

use super::*;

fn weights(text: &str) -> BTreeMap<String, f64> {
    read(text).unwrap().importance
}

#[test]
fn features_have_the_importance_that_is_written_and_others_none() {
    assert_eq!(weights(&and("")), BTreeMap::new());
    let written = weights(&and("importance: {a: 0.4, c: 0}\n"));
    assert_eq!(written, [("a".to_owned(), 0.4), ("c".to_owned(), 0.0)].into());
}

#[test]
fn what_is_no_importance_is_told_at_its_place() {
    let last = |rest: &str| format!("{}:{rest}", and("").lines().count() + 1);
    says(
        &and("importance: {a: 0.4, amuont: 0.1}\n"),
        &last("30: importance.amuont: unknown feature \"amuont\"; known"),
    );
    says(&and("importance: {score: 0.4}\n"), "unknown feature \"score\"");
    says(&and("importance: {a: -0.1}\n"), "importance.a: expected a finite number from 0 on, read \"-0.1\"");
    for text in [".inf", ".nan", "inf", "NaN", "1e999", "\"0.4\"", "much", ""] {
        says(&and(&format!("importance: {{a: {text}}}\n")), "importance.a: ");
    }
    says(&and("importance: 3\n"), "importance: expected a mapping of features to weights");
}

#[test]
fn a_column_of_a_file_is_read_and_belongs_to_the_digest() {
    let policy = and("importance: {file: w.csv, feature: name, weight: gain}\n");
    let with = |csv: &'static str| {
        let file = move |path: &Path| match path.to_str() {
            Some("dir/w.csv") => Ok(csv.to_owned()),
            other => Err(format!("no {other:?}")),
        };
        load(&policy, Path::new("dir/p.yaml"), &file).map_err(|errors| errors.to_string())
    };
    let policy_of = with("name,gain\na,0.4\nc,1e-3\n").unwrap();
    assert_eq!(policy_of.importance, [("a".to_owned(), 0.4), ("c".to_owned(), 0.001)].into());
    assert_ne!(policy_of.sha256, with("name,gain\na,0.5\n").unwrap().sha256);
    let told = with("name,gain\na,0.4\nx,1\nb,-1\nc,\n").unwrap_err();
    for part in [
        "dir/w.csv:3:1: importance.x: unknown feature \"x\"",
        "dir/w.csv:4:1: importance.b: expected a finite number from 0 on, read \"-1\"",
        "dir/w.csv:5:1: importance.c: expected a number, read nothing",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // A text that is read without its folder says what to do.
    assert!(
        read(&policy)
            .unwrap_err()
            .contains("importance.file: dir/w.csv cannot be read: the policy is read without its folder")
    );
}
