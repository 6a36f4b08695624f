//! Rules on distances with `by`: each segment's values beside scipy's of its raw rows alone (`tests/data/distance/by_segment.json`), whatever
//! the order, the number of threads and the parts; and what is in no segment that training knows.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Folder;

/// A midnight.
const DAY: i64 = 1_700_006_400_000;
const NUMERIC: [&str; 6] = ["psi", "ks", "js", "hellinger", "l_inf", "wasserstein"];

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/distance/by_segment.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cells(row: &Value) -> String {
    format!("{},{},{}", row[0].as_str().unwrap(), row[1], row[2].as_str().unwrap())
}

/// The rows of the golden file as files, of which the first `apart` predictions stand in one of their own; the rules follow `rules:`.
fn folder(rules: &str, rest: &[&str]) -> Folder {
    let (folder, golden) = (Folder::new(), golden());
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.csv}}\nfeatures: {{numeric: [x], categorical: [kind], grid: {{points: exact}}}}\n\
             segments: [region, region*kind]\nlateness: 1d\nmin_samples: 10\nmin_reference: 10\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
        ),
    );
    let rows = |name: &str| golden[name].as_array().unwrap().iter().map(cells).collect::<Vec<_>>();
    folder.write("train.csv", format!("region,x,kind\n{}\n", rows("reference").join("\n")));
    let mut window = rows("window");
    window.extend(rest.iter().map(|row| (*row).to_owned()));
    let file = |rows: &mut dyn Iterator<Item = (usize, &String)>| {
        rows.fold("version,ts,region,x,kind\n".to_owned(), |mut text, (i, row)| {
            writeln!(text, "1,{},{row}", DAY + i64::try_from(i).unwrap() * 10_000).unwrap();
            text
        })
    };
    folder.write("p.csv", file(&mut window.iter().enumerate()));
    folder.write("backwards.csv", file(&mut window.iter().enumerate().rev()));
    folder
}

fn results(folder: &Folder) -> Vec<Value> {
    folder.driftgate("replay --policy policy.yaml --predictions p.csv --verdicts v.jsonl").exits(0);
    folder.json_lines("v.jsonl").into_iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect()
}

#[track_caller]
fn of<'a>(results: &'a [Value], id: &str) -> &'a Value {
    results.iter().find(|r| r["rule"] == format!("g/{id}")).unwrap_or_else(|| panic!("no {id} in {results:?}"))
}

#[track_caller]
fn segment<'a>(result: &'a Value, name: &str) -> &'a Value {
    let all = result["segments"].as_array().unwrap_or_else(|| panic!("{result}"));
    all.iter().find(|s| s["segment"] == name).unwrap_or_else(|| panic!("no {name} in {result}"))
}

#[track_caller]
fn close(found: &Value, expected: &Value) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{found} is not {expected}");
}

#[test]
fn every_segment_has_the_distance_that_scipy_finds_of_its_rows_alone() {
    let mut rules = "    - ks_p: {of: kind, by: region, gte: 0.001}\n".to_owned();
    for name in NUMERIC {
        let limit = if name == "l_inf" { 0.1 } else { 0.2 };
        writeln!(rules, "    - {name}: {{of: x, by: region, lt: {limit}}}").unwrap();
    }
    rules += "    - drifted_share: {of_rule: g/js, lt: 1}\n";
    let (found, expect) = (results(&folder(&rules, &[])), &golden()["expect"]);
    for name in ["east", "north", "west"] {
        for metric in NUMERIC {
            let listed = segment(of(&found, metric), name);
            if metric != "wasserstein" {
                close(&listed["value"], &expect[name][metric]);
            }
            assert_eq!((&listed["n"], &listed["reference_n"]), (&expect[name]["n"], &expect[name]["reference_n"]));
        }
        close(&segment(of(&found, "ks_p"), name)["value"], &expect[name]["chi2"]);
    }
    for metric in NUMERIC {
        let result = of(&found, metric);
        assert_eq!((&result["status"], &result["segment"]), (&json!("block"), &json!("north")), "{result}");
        assert_eq!((&result["by"], &result["not_compared"]), (&json!("region"), &json!(0)));
        assert_eq!(result["value"], segment(result, "north")["value"]);
        let blocked = result["segments"].as_array().unwrap().iter().filter(|s| s["status"] == "block").count();
        assert_eq!(blocked, 1, "{result}");
    }
    // Values of the window between the points of the grid leave it open.
    let (moved, raw) = (of(&found, "wasserstein"), expect["north"]["wasserstein"].as_f64().unwrap());
    assert!(moved["lower"].as_f64().unwrap() <= raw && raw <= moved["upper"].as_f64().unwrap(), "{moved}");
    let tested = of(&found, "ks_p");
    assert_eq!((&tested["status"], &tested["segment"]), (&json!("block"), &json!("east")), "only its kinds moved");
    assert_eq!(of(&found, "drifted_share")["value"], 1.0);
}

#[test]
fn what_training_does_not_know_is_counted_and_not_compared() {
    let rest = ["south,0.5,a"; 30].into_iter().chain([",0.5,a"; 7]).chain(["west,,a"; 3]).collect::<Vec<_>>();
    let rules = "    - js: {of: [x, kind], by: region, lt: 0.9}\n    - js: {id: few, of: x, by: region, lt: 0.9, min_samples: 10000}\n    \
                 - ks: {of: x, by: \"region*kind\", lt: 0.9, versus: previous}\n";
    let found = results(&folder(rules, &rest));
    let result = of(&found, "js");
    assert_eq!((&result["status"], &result["not_compared"]), (&json!("pass"), &json!(37)));
    assert_eq!(result["segments"].as_array().unwrap().len(), 3);
    let few = of(&found, "few");
    assert_eq!((&few["status"], &few["value"]), (&json!("insufficient"), &Value::Null));
    assert_eq!(few["reason"], "no segment of region is compared; east: n 211 is below min_samples 10000");
    let crossed = of(&found, "ks");
    assert_eq!(crossed["status"], "insufficient", "there is no window before the first");
    assert_eq!(crossed["versus"], "previous");
}

#[test]
fn order_threads_and_parts_change_nothing() {
    let mut rules = String::new();
    for name in NUMERIC {
        writeln!(rules, "    - {name}: {{of: x, by: region, lt: 0.2}}").unwrap();
    }
    rules += "    - ks_p: {of: [x, kind], by: region, gte: 0.001, correction: holm}\n    - ks_lcb: {of: x, by: region, lte: 0.1}\n";
    let folder = folder(&rules, &["south,0.5,a"]);
    let replay = |files: &str| {
        folder.driftgate(&format!("replay --policy policy.yaml --predictions {files} --verdicts v.jsonl")).exits(0);
        folder.read("v.jsonl")
    };
    let expected = replay("p.csv --threads 1");
    assert!(expected.contains("\"segment\":\"north\""));
    assert_eq!(replay("p.csv --threads 4"), expected);
    assert_eq!(replay("backwards.csv"), expected);
    folder
        .driftgate("count --policy policy.yaml --pass scan --kind predictions --place 0 --split p.csv --out p.scan")
        .exits(0);
    folder.driftgate("carry --policy policy.yaml --buckets 1 --out carry p.scan").exits(0);
    folder
        .driftgate("count --policy policy.yaml --carry carry --kind predictions --split p.csv --out p.partial")
        .exits(0);
    folder.driftgate("judge --policy policy.yaml p.partial --verdicts parts.jsonl").exits(0);
    assert_eq!(folder.read("parts.jsonl"), expected);
}

#[test]
fn a_snapshot_without_the_segments_is_refused() {
    let folder = folder("    - js: {of: x, by: region, lt: 0.2}\n", &[]);
    folder.write("train.csv", "x,kind\n1,a\n2,b\n");
    let ran = folder.driftgate("baseline build --policy policy.yaml --version 1 --out v1.baseline");
    ran.exits(2)
        .says("has no column \"region\", which the policy names under segments (and a rule with `by` reads it)");
}
