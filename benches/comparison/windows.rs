//! How long closing a window takes, with its statistics, its verdict, and the verdict as JSON.

use std::time::Instant;

use crate::feed::{Feed, T0, noise};
use crate::results::{Claim, Part, Spread, Table};

/// Events of a pane; a window has twelve panes.
const PANE_ROWS: usize = 2_000;
const PANES: usize = 12;
const PANE_MS: i64 = 300_000;
const REFERENCE_ROWS: usize = 20_000;
/// Values that rows draw from; a power of two.
const POOL: usize = 1 << 16;
/// Features and the most milliseconds that closing their window may take.
const TARGETS: [(usize, f64); 2] = [(100, 20.0), (1_000, 200.0)];

pub fn run(rounds: usize) -> Part {
    let milliseconds = |x: f64| format!("{x:.1} ms");
    let mut part = Part {
        title: "Closing a window".to_owned(),
        about: format!(
            "PSI and KS of every feature in a window of {} events against grids of 1021 points, a tenth of the features \
             drifted: the pane that slides in is sealed and added, the one that slides out subtracted, the window judged and \
             its verdict written as JSON, on one core.",
            PANES * PANE_ROWS
        ),
        ..Part::default()
    };
    let mut table = Table {
        head: ["features", "windows", "median", "shortest", "longest", "verdict"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for (features, target) in TARGETS {
        let (times, bytes) = close(features, 4 * rounds);
        let spread = Spread::of(times.iter().copied());
        eprintln!("windows: {features} features: {}", spread.show(milliseconds));
        let [median, min, max] = [spread.median, spread.min, spread.max].map(milliseconds);
        let verdict = format!("{} KiB", bytes / 1024);
        table.rows.push(vec![features.to_string(), times.len().to_string(), median, min, max, verdict]);
        part.claims.push(Claim::at_most(
            &format!("closing a window of {features} features"),
            spread,
            target,
            milliseconds,
        ));
        part.raw.push(serde_json::json!({"features": features, "milliseconds": times}));
    }
    part.tables.push(table);
    part
}

/// Milliseconds that closing took, of each of so many windows, and the bytes of the last verdict.
fn close(features: usize, windows: usize) -> (Vec<f64>, usize) {
    let pool: Vec<f64> = (0..POOL as u64).map(|i| noise(i + 1_000_000_007)).collect();
    let mut feed = Feed::new(features, 1, REFERENCE_ROWS);
    let (mut times, mut bytes) = (Vec::new(), 0);
    for pane in 0..PANES + windows {
        let start = T0 + i64::try_from(pane).expect("few panes") * PANE_MS;
        let at = |row: i64| start + row * PANE_MS / 2_000;
        // Columns share one pool, each in an order of its own.
        let value = |f: usize, row: usize| {
            let drift = if f.is_multiple_of(10) { 1.0 } else { 0.0 };
            pool[((pane * PANE_ROWS + row) * 31 + f * 7919) & (POOL - 1)] + drift
        };
        feed.rows((0..i64::try_from(PANE_ROWS).expect("few rows")).map(at), value);
        // One event of the next pane closes this one's window.
        feed.rows(std::iter::once(start + PANE_MS), |f, _| value(f, 0));
        let begun = Instant::now();
        let (closed, written) = feed.advance();
        let elapsed = begun.elapsed().as_secs_f64() * 1e3;
        assert_eq!(closed, 1, "each pane closes one window");
        if pane >= PANES {
            times.push(elapsed);
            bytes = written;
        }
    }
    (times, bytes)
}
