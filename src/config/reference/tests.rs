//! The descriptions of keys agree with what the parsers do.

use std::path::Path;

use super::*;
use crate::config::{Config, parse_with};

/// A file with a section that has what it needs and these keys.
fn file(path: &str, more: &str) -> String {
    let base = "policies: [p.yaml]\n";
    let source = "sources: [{topic: t, kind: labels}]\n";
    let kafka = "kafka: {brokers: \"a:9092\"}\n";
    let all = |section: String| format!("{base}{source}{kafka}{section}\n");
    let oidc = |more: &str, grant: &str| {
        all(format!(
            "http: {{oidc: {{issuer: \"https://x\", audience: a, claim: g, roles: {{o: {{role: operator, models: a{grant}}}}}{more}}}}}"
        ))
    };
    match path {
        "" => all(more.trim_start_matches(", ").to_owned()),
        "kafka" => format!("{base}{source}kafka: {{brokers: \"a:9092\"{more}}}\n"),
        "sources[]" => format!("{base}{kafka}sources: [{{topic: t, kind: labels{more}}}]\n"),
        "sources[].http" => {
            format!("{base}{kafka}sources: [{{topic: t, kind: labels, http: {{path: /events/a{more}}}}}]\n")
        }
        "sources[].schema" => {
            format!("{base}{kafka}sources: [{{topic: t, kind: labels, format: avro, schema: {{file: f{more}}}}}]\n")
        }
        "sources[].inference" => format!(
            "{base}{kafka}sources: [{{topic: t, kind: predictions, model: m, format: oip, inference: {{{}}}}}]\n",
            more.trim_start_matches(", ")
        ),
        "sources[].kserve" => format!(
            "{base}{kafka}sources: [{{topic: t, kind: predictions, format: kserve, kserve: {{{}}}}}]\n",
            more.trim_start_matches(", ")
        ),
        "schema_registry" => all(format!("schema_registry: {{url: \"https://s\"{more}}}")),
        "registry" => all(format!("registry: {{embedded: {{path: r.db}}{more}}}")),
        "registry.embedded" => all(format!("registry: {{embedded: {{path: r.db{more}}}}}")),
        "registry.sagemaker" => all(format!("registry: {{sagemaker: {{{}}}}}", more.trim_start_matches(", "))),
        "registry.mlflow" => all(format!("registry: {{mlflow: {{url: \"https://m\"{more}}}}}")),
        "publish" => all(format!("publish: {{signals: s{more}}}")),
        "publish.dead_letters" => all(format!("publish: {{dead_letters: {{path: d{more}}}}}")),
        "publish.webhooks[]" => all(format!("publish: {{webhooks: [{{url: \"https://w\"{more}}}]}}")),
        "http.tls" => all(format!("http: {{tls: {{listen: \"0.0.0.0:1\", certificate: c, key: k{more}}}}}")),
        "http.oidc" => oidc(more, ""),
        "http.oidc.roles.*" => oidc("", more),
        "http.oidc.sign_in" => oidc(&format!(", sign_in: {{client_id: c, url: \"https://d\"{more}}}"), ""),
        "oci" => all(format!("oci: {{{}}}", more.trim_start_matches(", "))),
        "prometheus[]" => {
            all(format!("prometheus: [{{url: \"http://p\", query: q, model: m, metric: c, topic: t2{more}}}]"))
        }
        "routing.webhooks[]" => all(format!("routing: {{webhooks: [{{name: n, url: \"http://w\"{more}}}]}}")),
        "audit" => all(format!("audit: {{topic: a{more}}}")),
        "cluster" => all(format!("cluster: {{instance: a, advertise: \"http://a:1\", audit_key: k{more}}}")),
        "cluster.topics" => all(format!(
            "cluster: {{instance: a, advertise: \"http://a:1\", audit_key: k, topics: {{{}}}}}",
            more.trim_start_matches(", ")
        )),
        "otlp" => all(format!("otlp: {{endpoint: \"http://o:4318\"{more}}}")),
        "tls" => all(format!("tls: {{ca_file: c{more}}}")),
        path => all(format!("{path}: {{{}}}", more.trim_start_matches(", "))),
    }
}

fn read(text: &str) -> Result<Config, String> {
    parse_with(text, Path::new("c.yaml"), &|_| None).map_err(|errors| errors.to_string())
}

#[test]
fn a_default_is_what_the_parser_takes_for_a_key_that_is_left_out() {
    for Section { path, keys } in SECTIONS {
        let without = read(&file(path, "")).unwrap();
        for key in *keys {
            if let Otherwise::Value(value) = key.otherwise {
                let text = file(path, &format!(", {}: {value}", key.name));
                assert_eq!(read(&text).as_ref(), Ok(&without), "{path}: {} is not {value} by default", key.name);
            }
        }
    }
}

#[test]
fn a_required_key_cannot_be_left_out() {
    for Section { path, keys } in SECTIONS {
        for key in keys.iter().filter(|key| key.otherwise == Otherwise::Required) {
            // The key under another name.
            let text = file(path, "");
            let at = format!("{}: ", key.name);
            let start = text.rfind(&at).unwrap_or_else(|| panic!("{path}: no {} in the test's file", key.name));
            let left_out = format!("{}x{}", text.get(..start).unwrap(), text.get(start..).unwrap());
            let told = read(&left_out).unwrap_err();
            assert!(told.contains(&format!("`{}`", key.name)), "{path}: {told}");
        }
    }
}

#[test]
fn every_section_has_its_table_and_no_cell_breaks_it() {
    let page = page();
    let rows: usize = SECTIONS.iter().map(|section| section.keys.len()).sum();
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), rows);
    assert!(page.lines().filter(|line| line.starts_with('|')).all(|line| line.matches('|').count() == 5));
}
