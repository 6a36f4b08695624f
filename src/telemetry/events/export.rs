//! The export by OTLP. `otlp_failures_total` counts what failed, in `otlp::Exports`.

/// The collector did not take an export; the first of several in a row is logged.
pub struct ExportFailed<'a> {
    pub signal: &'static str,
    pub error: &'a str,
}

impl ExportFailed<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            signal = self.signal,
            error = self.error,
            "the OpenTelemetry collector did not take an export; the daemon goes on, and later ones are counted in otlp_failures_total"
        );
    }
}

/// The collector takes exports again.
pub struct ExportResumed {
    pub signal: &'static str,
}

impl ExportResumed {
    pub fn emit(&self) {
        tracing::info!(signal = self.signal, "the OpenTelemetry collector takes exports again");
    }
}

/// What was not exported when the daemon ended.
pub struct ExportNotFlushed {
    pub seconds: u64,
}

impl ExportNotFlushed {
    pub fn emit(&self) {
        let seconds = self.seconds;
        tracing::warn!(seconds, "the last traces and metrics were not exported in time");
    }
}
