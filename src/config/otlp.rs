//! `otlp:`: the OpenTelemetry collector that traces and metrics go to.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::key::{self, Key, default, names, required};
use super::reader::{ConfigReader, duration, url};
use crate::telemetry::otlp::OtlpConfig;
use driftgate_core::yaml::Item;

/// How often metrics are exported, unless the configuration says so.
const EVERY: Duration = Duration::from_secs(60);

pub const OTLP: [Key; 4] = [
    required(
        "endpoint",
        "URL",
        "Address of the collector for OTLP over HTTP; `/v1/traces` and `/v1/metrics` are added.",
    ),
    default("headers", "mapping", "{}", "Headers of each request, such as a token."),
    default("interval", "duration", "1m", "How often metrics are exported."),
    key::optional("tls", "mapping", "`{ca_file: …}` in place of the configuration's `tls`."),
];

impl ConfigReader<'_> {
    pub(super) fn otlp(&self, item: &Item) -> Option<OtlpConfig> {
        let map = item.map(const { &names(&OTLP) })?;
        let endpoint = map.require("endpoint", "http://localhost:4318").and_then(|item| {
            let url = url(&item)?;
            if url.contains("/v1/") {
                return item.fail("expected the collector's address alone: /v1/traces and /v1/metrics are added");
            }
            Some(url)
        });
        let headers = map.get("headers").map_or_else(|| Some(BTreeMap::new()), |item| self.headers(&item));
        let interval = map.get("interval").map_or(Some(EVERY), |item| duration(&item));
        let ca_file = self.authorities(map.get("tls").as_ref());
        Some(OtlpConfig { endpoint: endpoint?, headers: headers?, interval: interval?, ca_file: ca_file? })
    }

    /// Headers, the environment filled in. No message quotes a value, which may be a secret.
    fn headers(&self, item: &Item) -> Option<BTreeMap<String, String>> {
        let mut headers = BTreeMap::new();
        let mut wrong = false;
        for (name, item) in item.open_map("a mapping such as {authorization: \"Bearer ${OTLP_TOKEN}\"}")?.entries() {
            let value = item.text("a header's value").and_then(|text| self.substituted(&item, text, ""));
            let Some(value) = value else {
                wrong = true;
                continue;
            };
            if HeaderName::from_str(name).is_err() || HeaderValue::from_str(&value).is_err() {
                item.report(format!(
                    "`{name}` is no header that HTTP can carry: look at its name, and for line ends in its value"
                ));
                wrong = true;
            }
            headers.insert(name.to_owned(), value);
        }
        (!wrong).then_some(headers)
    }
}
