//! The status view as Prometheus text, built anew for each scrape: series of a version that is gone disappear with it. Names, labels
//! and help texts are in `telemetry::metrics`; here they get their values.
//!
//! | module | holds |
//! |---|---|
//! | `page` | the families of one scrape |
//! | `stream` | what was read of each topic |
//! | `models` | what became of each model's events, and its versions |
//! | `chosen` | which subjects of verdicts have series |
//! | `judged` | the latest verdicts |
//! | `ledger` | what the registry says |
//! | `state` | deliveries, checkpoints, readiness |
//! | `cluster` | the role among several processes |
//! | `server` | connections and the certificate |

mod chosen;
mod cluster;
mod judged;
pub mod ledger;
mod models;
mod page;
mod server;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use crate::view::View;
pub use chosen::{Features, Options};
pub use cluster::cluster;
pub use ledger::Ledger;
use page::{Page, Result};
pub use server::server;

/// What the text is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything in the status view and in the registry.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn families(view: &View, ledger: &Ledger, options: Options) -> Result<Vec<MetricFamily>> {
    let page = Page::new();
    stream::show(&page, view)?;
    models::show(&page, view, &ledger.records)?;
    judged::verdicts(&page, view, options)?;
    ledger::show(&page, ledger)?;
    state::show(&page, view)?;
    Ok(page.families())
}

/// Families as Prometheus text.
///
/// # Errors
/// A family without a name or series, which is left out before.
pub fn text(families: &[MetricFamily]) -> Result<String> {
    TextEncoder::new().encode_to_string(families)
}
