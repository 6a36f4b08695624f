//! Times as text.

/// An event time as RFC 3339 in UTC.
#[must_use]
pub fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string())
}
