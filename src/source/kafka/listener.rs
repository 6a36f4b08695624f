//! What every Kafka client of this process is made with: it takes the client's complaints about its connections, each logged once per
//! minute, and the lines of the client's log. What one kind of client receives beside them (deliveries, statistics, assignments) is its `own`.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;

use super::trouble::Troubles;
use crate::telemetry::events::kafka::ClientLine;

/// The part of one kind of client.
pub trait Own: Send + Sync + 'static {
    /// Whether warnings of the client's log are warnings here. They are about settings that all clients have, so those of one kind of client
    /// suffice; the others' are for debugging.
    const WARNS: bool = false;

    /// Statistics, where the client is told to make them.
    fn statistics(&self, _: Statistics) {}
}

/// A client that receives nothing beside.
impl Own for () {}

/// The context of a client.
#[derive(Debug, Default)]
pub struct Listener<O = ()> {
    /// Why the brokers do not answer.
    pub troubles: Troubles,
    pub own: O,
}

impl<O> Listener<O> {
    pub fn new(own: O) -> Self {
        Self { troubles: Troubles::default(), own }
    }
}

impl<O: Own> ClientContext for Listener<O> {
    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.own.statistics(statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if !self.troubles.hear_log(facility, message) {
            let is_warning = O::WARNS && (level as i32) <= (RDKafkaLogLevel::Warning as i32);
            ClientLine { facility, message, is_warning }.emit();
        }
    }
}

impl ConsumerContext for Listener {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use rdkafka::error::RDKafkaErrorCode;

    use super::*;
    use driftgate_core::pipeline::lock;

    /// A client whose warnings count.
    struct First;

    impl Own for First {
        const WARNS: bool = true;
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The log, from warnings on, of what a client says.
    fn logged(client: &impl ClientContext, says: impl Fn(&dyn Fn(&str), &dyn Fn(&str, &str))) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || to.clone()).with_ansi(false).without_time();
        let log = log.with_max_level(tracing::Level::WARN).finish();
        tracing::subscriber::with_default(log, || {
            says(
                &|reason| client.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), reason),
                &|facility, line| {
                    client.log(RDKafkaLogLevel::Warning, facility, line);
                },
            );
        });
        let bytes = lock(&lines.0).clone();
        String::from_utf8(bytes).unwrap()
    }

    /// As librdkafka 2.12 says it: an error, and a line of the log.
    const REFUSED: &str =
        "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";

    #[test]
    fn a_broken_connection_is_logged_once_by_each_kind_of_client_and_explains_later_errors() {
        fn check<O: Own>(client: &Listener<O>) {
            let log = logged(client, |error, line| {
                for _ in 0..3 {
                    error(REFUSED);
                    line("FAIL", &format!("[thrd:b:1/bootstrap]: {REFUSED}"));
                }
            });
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(log.contains("WARN") && log.contains("kafka: b:1/bootstrap: Connect to"), "{log}");
            assert!(client.troubles.why().unwrap().contains("Connection refused; check host and port"));
        }
        check(&Listener::<()>::default());
        check(&Listener::new(First));
    }

    #[test]
    fn other_lines_are_warnings_of_one_kind_of_client() {
        let line = |line: &dyn Fn(&str, &str)| line("CONFWARN", "[thrd:app]: Configuration property x is y");
        assert_eq!(logged(&Listener::<()>::default(), |_, say| line(say)), "");
        let log = logged(&Listener::new(First), |_, say| line(say));
        assert!(log.contains("librdkafka: [thrd:app]: Configuration property x is y"), "{log}");
    }
}
