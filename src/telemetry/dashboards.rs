//! Tests of what is built on the metrics: Grafana's dashboards and Prometheus' alerts in docker/ ask for metrics and labels that exist, in
//! queries that Prometheus reads, and every alert has its section in docs/operations/alerts.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::metrics;

/// What Prometheus adds to every series.
const OF_PROMETHEUS: &[&str] = &["instance", "job"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A query, and the label names that its panel shows.
struct Query {
    place: String,
    expr: String,
    legend: String,
}

/// Every query of every dashboard: of panels, and of the values of variables.
fn queries() -> Vec<Query> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(root("docker/grafana/dashboards")).unwrap() {
        let path = file.unwrap().path();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let of = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        for panel in board["panels"].as_array().unwrap() {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{name}: {}", panel["title"]);
            for target in targets {
                let place = format!("{name}: {}", panel["title"]);
                found.push(Query { place, expr: of(target, "expr"), legend: of(target, "legendFormat") });
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            if let Some(query) = variable["query"]["query"].as_str() {
                let inner = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')')).unwrap();
                let (expr, label) = inner.rsplit_once(", ").unwrap();
                let place = format!("{name}: variable {}", variable["name"]);
                found.push(Query { place, expr: expr.to_owned(), legend: format!("{{{{{label}}}}}") });
            }
        }
    }
    found
}

/// The words of a text that can be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What stands behind each of these openings up to its end.
fn between<'t>(text: &'t str, open: &'t str, close: char) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}

#[test]
fn dashboards_ask_for_metrics_and_labels_that_exist() {
    let known: BTreeMap<String, &[&str]> = metrics::all().map(|m| (m.full_name(), m.labels)).collect();
    let queries = queries();
    assert!(queries.len() > 50, "{}", queries.len());
    for Query { place, expr, legend } in &queries {
        let prefix = format!("{}_", metrics::NAMESPACE);
        let names: BTreeSet<&str> = words(expr).filter(|word| word.starts_with(&prefix)).collect();
        assert!(!names.is_empty(), "{place}: {expr}");
        let mut labels: BTreeSet<&str> = OF_PROMETHEUS.iter().copied().collect();
        for name in names {
            let of = known.get(name).unwrap_or_else(|| panic!("{place}: no metric is called {name}"));
            labels.extend(of.iter());
            for matchers in between(expr, &format!("{name}{{"), '}') {
                for matcher in matchers.split(", ") {
                    let label = words(matcher).next().unwrap();
                    assert!(of.contains(&label), "{place}: {name} has no label {label}");
                }
            }
        }
        let grouped: BTreeSet<&str> =
            between(expr, " by (", ')').chain(between(expr, " on (", ')')).flat_map(words).collect();
        let shown: BTreeSet<&str> = between(legend, "{{", '}').collect();
        for label in grouped.iter().chain(&shown) {
            assert!(labels.contains(label), "{place}: no series has the label {label}: {expr}");
        }
        // What an aggregation left out cannot be shown.
        if expr.contains(" by (") {
            assert!(shown.is_subset(&grouped), "{place}: the legend {legend} shows what {expr} leaves out");
        }
    }
}

#[test]
fn prometheus_reads_every_query() {
    let mut rules = "groups:\n- name: dashboards\n  rules:\n".to_owned();
    for (at, Query { expr, .. }) in queries().iter().enumerate() {
        let _ = writeln!(rules, "  - record: query_{at}\n    expr: {}", Value::from(expr.as_str()));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", root(".cache/bin").display());
    let Ok(checked) = Command::new("promtool").args(["check", "rules"]).arg(&file).env("PATH", path).output() else {
        // Only where it is installed; `make setup-lint` does.
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{}{said}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn dashboards_have_ids_of_their_own_and_panels_their_places() {
    let mut ids = BTreeSet::new();
    for name in ["overview", "model", "feature", "daemon"] {
        let text = std::fs::read_to_string(root(&format!("docker/grafana/dashboards/{name}.json"))).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        assert!(ids.insert(board["uid"].as_str().unwrap().to_owned()), "{name}");
        let places: BTreeSet<String> = board["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| format!("{},{}", p["gridPos"]["x"], p["gridPos"]["y"]))
            .collect();
        assert_eq!(places.len(), board["panels"].as_array().unwrap().len(), "{name}");
    }
}

#[test]
fn every_alert_leads_to_its_runbook() {
    let rules = std::fs::read_to_string(root("docker/prometheus/alerts.yml")).unwrap();
    let runbooks = std::fs::read_to_string(root("docs/operations/alerts.md")).unwrap();
    let sections: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let ends = format!("docs/operations/alerts.md#{}", name.to_lowercase());
        let url = rule.lines().find_map(|line| line.trim().strip_prefix("runbook_url: "));
        assert!(url.is_some_and(|url| url.ends_with(&ends)), "{name} has no runbook_url that ends in {ends}");
        assert!(alerts.insert(name), "{name} is there twice");
    }
    assert_eq!(alerts, sections);
    for section in runbooks.split("\n## ").skip(1) {
        assert!(section.lines().filter(|line| !line.is_empty()).count() >= 3, "what it means, what to do: {section}");
    }
}
