//! The rows of a pair as predictions in JSON, with the names that fields have by default.

use std::io::Write as _;

use super::pairs::{Half, Side};
use super::settings::{Logged, Settings};
use super::tape::write_text;
use crate::decode::{Reason, Reject};

/// Appends the rows of a pair, a line each; returns how many. The id of a row is the pair's, and `id/0`, `id/1`, … where there are several; its
/// time is the request's.
///
/// # Errors
/// Halves that have not as many rows; nothing is written then.
pub(super) fn write(
    id: &str,
    request: &Half,
    response: &Half,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<usize, Reject> {
    let (asked, answered) = (lines(&request.rows).count(), lines(&response.rows).count());
    if asked != answered {
        let what = Side::Response.name();
        let detail = format!("the {what} of {id:?}: it has {answered} rows, and the request has {asked}");
        return Err(Reject::new(Reason::NotInference, detail));
    }
    let version = if response.version.is_empty() { &request.version } else { &response.version };
    for (row, (features, outputs)) in lines(&request.rows).zip(lines(&response.rows)).enumerate() {
        begin(id, (row, asked), request.ts, out);
        if has_times(settings) {
            let _ = write!(out, ",\"latency_ms\":{}", response.ts.saturating_sub(request.ts));
        }
        for (key, text) in [(&b",\"version\":"[..], version), (&b",\"model\":"[..], &request.model)] {
            if !text.is_empty() {
                out.extend_from_slice(key);
                write_text(text, out);
            }
        }
        out.extend_from_slice(outputs);
        out.extend_from_slice(b",\"features\":");
        out.extend_from_slice(features);
        out.extend_from_slice(b"}\n");
    }
    Ok(asked)
}

/// Begins the event of a row, of so many that have the id of a pair together: `id` of one, `id/0`, `id/1`, … of several.
pub(super) fn begin(id: &str, (row, rows): (usize, usize), ts: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"prediction_id\":");
    write_text(id, out);
    if rows > 1 {
        // The quote moves behind the number. Writing to memory does not fail.
        out.pop();
        let _ = write!(out, "/{row}\"");
    }
    let _ = write!(out, ",\"ts\":{ts}");
}

/// Lines without their ends: JSON on one line has no line feed in it.
fn lines(rows: &[u8]) -> impl Iterator<Item = &[u8]> {
    rows.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end)
}

/// Whether the times of both halves say when each happened.
fn has_times(settings: &Settings) -> bool {
    matches!(settings.logged, Logged::Kserve | Logged::Oip { time: Some(_) } | Logged::Databricks)
}
