//! The rows of a pair as predictions in JSON, with the names that fields have by default.

use std::io::Write as _;

use super::body::{Table, Value, write_object, write_text};
use super::pairs::Half;
use super::settings::{Logged, Settings, Version};
use crate::decode::{Reason, Reject};

/// Appends the rows of a pair, a line each; returns how many.
pub(super) fn write(
    id: &str,
    request: &Half,
    response: &Half,
    settings: &Settings,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<usize, Reject> {
    let length = out.len();
    let written = write_all(id, request, response, settings, depth, out);
    if written.is_err() {
        out.truncate(length);
    }
    written
}

fn write_all(
    id: &str,
    request: &Half,
    response: &Half,
    settings: &Settings,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<usize, Reject> {
    let of = |what: &str| {
        let what = format!("the {what} of {id:?}");
        move |why: String| Reject::new(Reason::NotInference, format!("{what}: {why}"))
    };
    let (asked, answered) = (body(id, request, "request", depth)?, body(id, response, "response", depth)?);
    let inputs = Table::of(&asked, "instances", "inputs").map_err(of("request"))?;
    let outputs = Table::of(&answered, "predictions", "outputs").map_err(of("response"))?;
    let rows = inputs.rows();
    if rows != outputs.rows() {
        return Err(of("response")(format!("it has {} rows, and the request has {rows}", outputs.rows())));
    }
    let version = match &settings.version {
        Version::Response => answered.member("model_version").and_then(Value::text),
        _ => response.version.clone().or_else(|| request.version.clone()),
    };
    for row in 0..rows {
        out.extend_from_slice(b"{\"prediction_id\":");
        if rows == 1 {
            write_text(id, out);
        } else {
            write_text(&format!("{id}/{row}"), out);
        }
        // Writing to memory does not fail.
        let _ = write!(out, ",\"ts\":{}", request.ts);
        if has_times(settings) {
            let _ = write!(out, ",\"latency_ms\":{}", response.ts.saturating_sub(request.ts));
        }
        for (key, text) in [("version", &version), ("model", &request.model)] {
            if let Some(text) = text {
                let _ = write!(out, ",\"{key}\":");
                write_text(text, out);
            }
        }
        for (key, pointer) in [("score", Some(&settings.score)), ("decision", settings.decision.as_ref())] {
            if let Some(pointer) = pointer {
                let _ = write!(out, ",\"{key}\":");
                outputs.output(row, pointer).map_err(of("response"))?.write(out);
            }
        }
        let values = inputs.inputs(row, &settings.inputs).map_err(of("request"))?;
        out.extend_from_slice(b",\"features\":");
        write_object(values.iter().map(|(name, value)| (name.as_ref(), *value)), out);
        out.extend_from_slice(b"}\n");
    }
    Ok(rows)
}

/// Whether the times of both halves say when each happened.
fn has_times(settings: &Settings) -> bool {
    matches!(settings.logged, Logged::Kserve | Logged::Oip { time: Some(_) } | Logged::Databricks)
}

fn body<'h>(id: &str, half: &'h Half, what: &str, depth: usize) -> Result<Value<'h>, Reject> {
    let of = |e: Reject| Reject::new(e.reason, format!("the {what} of {id:?}: {}", e.detail));
    Value::parse(&half.body, depth).map_err(of)
}
