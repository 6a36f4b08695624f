//! What documents that share parts come to.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::super::tree;
use super::*;

const TABLE: Table = Table { key: "weights", name: "feature", value: "weight" };

/// The merged text, or the errors as they are printed.
fn read(files: &[(&str, &str)]) -> Result<String, String> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let other = |path: &Path| {
        let found = files.get(path.to_str().unwrap_or_default());
        found.map(|text| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let text = files["p/a.yaml"];
    read_extended(text, Path::new("p/a.yaml"), &other, &[TABLE], |_, merged| Some(merged.unwrap_or(text).to_owned()))
        .map_err(|e| e.to_string())
}

#[test]
fn mappings_merge_lists_replace_and_null_deletes() {
    let base = "x: {a: 1, b: [1, 2], c: {d: 1, e: \"2\"}}\ny: 0.2\nz: [a]\n";
    let above = "extends: base.yaml\nx: {b: [3], c: {d: null, f: 4}}\nz: null\nw: new\n";
    assert_eq!(
        read(&[("p/a.yaml", above), ("p/base.yaml", base)]).unwrap(),
        "x:\n  a: 1\n  b: [3]\n  c:\n    e: \"2\"\n    f: 4\ny: 0.2\nw: new\n"
    );
}

#[test]
fn variables_are_filled_in_through_the_whole_chain() {
    let files = [
        ("p/a.yaml", "extends: b.yaml\nvars: {features: [x, y], limit: 0.3}\n"),
        ("p/b.yaml", "extends: ../c.yaml\nvars: {name: m}\nmodel: $name\n"),
        (
            "p/../c.yaml",
            "vars: {limit: 0.2}\nsnapshot: \"s/${name}/{version}.parquet\"\nof: $features\nlt: $limit\ncost: 5$$\n",
        ),
    ];
    assert_eq!(read(&files).unwrap(), "snapshot: \"s/m/{version}.parquet\"\nof: [x, y]\nlt: 0.3\ncost: 5$\nmodel: m\n");
}

#[test]
fn a_document_without_either_is_itself() {
    assert_eq!(read(&[("p/a.yaml", "a: $x # kept\n")]).unwrap(), "a: $x # kept\n");
}

#[test]
fn errors_name_the_file_line_and_column_where_the_value_stands() {
    let case = |files: &[(&str, &str)], expected: &str| assert_eq!(read(files).unwrap_err(), expected);
    case(&[("p/a.yaml", "extends: b.yaml\n")], "p/a.yaml:1:10: extends: p/b.yaml cannot be read: no such file");
    case(&[("p/a.yaml", "extends: [b]\n")], "p/a.yaml:1:10: extends: expected the path of one file, such as base.yaml");
    case(
        &[("p/a.yaml", "extends: b.yaml\n"), ("p/b.yaml", "\nextends: ../p/a.yaml\n")],
        "p/b.yaml:2:10: extends: p/../p/a.yaml extends itself: remove one `extends` of the circle",
    );
    case(
        &[("p/a.yaml", "extends: b.yaml\nvars: {nam: 1}\n"), ("p/b.yaml", "x: 1\ny: [$name]\n")],
        "p/b.yaml:2:5: y[0]: unknown variable `name`; known here: `nam`; did you mean `nam`?; write `$$` for a dollar",
    );
    case(
        &[("p/a.yaml", "extends: b.yaml\n"), ("p/b.yaml", "x: 1\nx: 2\n")],
        "p/b.yaml:2:1: x: the key `x` is written twice, first on line 1: keep one",
    );
    case(
        &[("p/a.yaml", "vars: 3\n")],
        "p/a.yaml:1:7: vars: expected a mapping of names to values, such as {team: payments}",
    );
    let message = read(&[("p/a.yaml", "vars: {a: [1]}\nx: b-${a}\n")]).unwrap_err();
    assert!(message.contains("p/a.yaml:2:4: x: `${a}` is a mapping or list"), "{message}");
}

#[test]
fn a_chain_has_an_end_and_variables_a_size() {
    let files: Vec<(String, String)> = (0..9)
        .map(|n| {
            (if n == 0 { "p/a.yaml".to_owned() } else { format!("p/{n}.yaml") }, format!("extends: {}.yaml\n", n + 1))
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(read(&files).unwrap_err().contains("more than 8 files extend each other"));
    let text = format!("vars: {{a: [{}1]}}\nx: [{}$a]\n", "1, ".repeat(1000), "$a, ".repeat(1000));
    assert!(read(&[("p/a.yaml", &text)]).unwrap_err().contains("values come from variables"));
}

/// A tree without its positions.
fn bare(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, plain } => format!("{}{text:?}", if *plain { "" } else { "q" }),
        Value::List(items) => format!("{:?}", items.iter().map(bare).collect::<Vec<_>>()),
        Value::Map(entries) => format!("{:?}", entries.iter().map(|e| (&e.key, bare(&e.value))).collect::<Vec<_>>()),
    }
}

fn trees() -> impl Strategy<Value = Node> {
    let node = |value| Node { value, at: Position { line: 1, column: 1, file: 0 } };
    let leaf = prop_oneof![
        "[a-zA-Z0-9_./-]{1,6}".prop_filter("plain", |t| is_simple(t)).prop_map(|text| (text, true)),
        "\\PC{0,6}".prop_map(|text| (text, false)),
    ];
    let leaf = leaf.prop_map(move |(text, plain)| node(Value::Scalar { text, plain }));
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let key = "[a-z]{1,3}|[ -~]{1,4}".prop_filter("a merge key", |k| k != "<<");
        let map = prop::collection::btree_map(key, inner.clone(), 0..5);
        let at = Position { line: 1, column: 1, file: 0 };
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(move |items| node(Value::List(items))),
            map.prop_map(move |m| node(Value::Map(
                m.into_iter().map(|(key, value)| Entry { key, at, value }).collect()
            ))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_emitted_is_read_back(tree in trees()) {
        let text = emit(&tree);
        let sink = Sink::default();
        let again = tree::parse(&text, &sink);
        prop_assert!(again.is_some(), "{text}");
        prop_assert_eq!(bare(&again.unwrap()), bare(&tree), "{}", text);
    }

    #[test]
    fn merging_over_itself_changes_nothing(tree in trees()) {
        let once = merged(tree.clone(), tree.clone());
        prop_assert_eq!(bare(&once), bare(&tree));
    }
}

#[test]
fn a_mapping_stands_in_a_file_with_the_places_of_its_rows() {
    let csv = ("p/w.csv", "name,gain\namount,0.4\n\"a, b\",0.1\n");
    let policy = "model: $m # as it is\nweights: {file: w.csv, feature: name, weight: gain}\n";
    assert_eq!(read(&[("p/a.yaml", policy), csv]).unwrap(), "model: $m\nweights:\n  amount: 0.4\n  \"a, b\": 0.1\n");
    let whole = [
        ("p/a.yaml", "extends: b.yaml\nvars: {of: w}\n"),
        ("p/b.yaml", "weights: {file: \"${of}.csv\"}\n"),
        ("p/w.csv", "x,weight,feature\n1,2,a\n"),
    ];
    assert_eq!(read(&whole).unwrap(), "weights:\n  a: 2\n");
    // A feature may be called `file`.
    assert_eq!(read(&[("p/a.yaml", "weights: {file: 0.5}\n")]).unwrap(), "weights: {file: 0.5}\n");
    let case = |policy: &str, csv: &str, expected: &str| {
        let policy = format!("weights: {{file: w.csv{policy}}}\n");
        assert_eq!(read(&[("p/a.yaml", &policy), ("p/w.csv", csv)]).unwrap_err(), expected);
    };
    case(
        ", gain: x",
        "feature,weight\n",
        "p/a.yaml:1:24: weights.gain: unknown key `gain` beside `file`; known here: `file`, `feature`, `weight`",
    );
    case(
        ", weight: gainn",
        "feature,gain\n",
        "p/a.yaml:1:32: weights.weight: p/w.csv has no column \"gainn\"; known here: `feature`, `gain`; did you mean `gain`?",
    );
    case("", "", "p/a.yaml:1:17: weights.file: p/w.csv is empty: its first line names the columns");
    case("", "feature,weight\na\n", "p/w.csv:2:1: weights: 1 columns: write as many as the first line names");
    case("", "feature,weight\na,1\n\na,2\n", "p/w.csv:4:1: weights.a: \"a\" stands twice: keep one row");
    case("", "feature,weight\n\"a", "p/a.yaml:1:17: weights.file: p/w.csv:2: a quote is not closed");
    let missing = read(&[("p/a.yaml", "weights: {file: other.csv}\n")]).unwrap_err();
    assert_eq!(missing, "p/a.yaml:1:17: weights.file: p/other.csv cannot be read: no such file");
}
