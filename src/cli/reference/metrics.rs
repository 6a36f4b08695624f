//! The page of metrics, from the one list of them.

use std::fmt::Write as _;

use super::markdown::cell;
use crate::telemetry::metrics::CHAPTERS;

/// The page in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = "\
# Metrics

`GET /metrics` answers in the Prometheus text format; with `otlp` in the configuration the same metrics, by the same names, go to an
OpenTelemetry collector. A series of a version that is gone disappears. Alert rules for Prometheus are in
[docker/prometheus/alerts.yml](../../docker/prometheus/alerts.yml).

This page is generated: `driftgate reference docs/reference`.
"
    .to_owned();
    for (chapter, metrics) in CHAPTERS {
        let _ = write!(
            page,
            "\n## {chapter}\n\n| metric | type | labels | meaning | alert when |\n|---|---|---|---|---|\n"
        );
        for metric in *metrics {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, labels) = (metric.full_name(), metric.kind.name(), labels.join(", "));
            let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {} | {} |", cell(metric.help), cell(metric.alert));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::all;

    #[test]
    fn each_metric_has_a_row() {
        let page = super::page();
        for metric in all() {
            let row =
                page.lines().find(|l| l.starts_with(&format!("| `{}` | {} |", metric.full_name(), metric.kind.name())));
            assert!(row.is_some_and(|row| row.contains(metric.help)), "{}", metric.name);
        }
        assert_eq!(page.lines().filter(|l| l.starts_with("| `")).count(), all().count());
    }
}
