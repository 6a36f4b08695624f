//! Every metric: its name without the namespace, its type, its labels, its help text, and when to alert on it. Names and labels are
//! an interface that dashboards and alerts are built on. `/metrics`, the OTLP export and docs/reference/metrics.md come from here.
//!
//! Long: one table, with an entry for each metric.

/// What is put before every name.
pub const NAMESPACE: &str = "driftgate";

/// How a metric's value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Without the namespace.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// When to alert; empty where its value alone asks for nothing.
    pub alert: &'static str,
}

impl Metric {
    /// Its name as Prometheus and OpenTelemetry see it.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{NAMESPACE}_{}", self.name)
    }
}

macro_rules! metrics {
    ($(@chapter $title:literal: $($id:ident: $kind:ident $name:literal [$($label:literal),*], $help:literal, $alert:literal;)*)*) => {
        $($(
            #[doc = $help]
            #[allow(clippy::doc_markdown, reason = "the text that Prometheus shows")]
            pub const $id: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help, alert: $alert };
        )*)*

        /// All of them, by chapter.
        pub const CHAPTERS: &[(&str, &[Metric])] = &[$(($title, &[$($id),*])),*];
    };
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    CHAPTERS.iter().flat_map(|(_, metrics)| *metrics)
}

metrics! {
    @chapter "What is read, rejected and passed on":
    EVENTS: Counter "events_total" ["topic"],
        "Events read, by topic or file.",
        "";
    CONSUMER_LAG: Gauge "consumer_lag" ["topic", "partition"],
        "Messages that are in the partition but not read yet.",
        "It is large and grows.";
    REJECTED_EVENTS: Counter "rejected_events_total" ["topic", "reason"],
        "Events that were refused and sent to the dead letters, by reason.",
        "More than 1% of a topic's events are rejected.";
    REJECTED_RATIO: Gauge "rejected_ratio" ["topic"],
        "Share of the events of the last minutes (or of the last events, where they are few) that was rejected, 0 to 1.",
        "It is 0.9 or more: the topic is unreadable.";
    TOPIC_REPLACED: Gauge "topic_replaced" ["topic"],
        "The topic was deleted and made anew, and is not read until somebody accepts it; always 1.",
        "It is 1.";
    PARTITION_HALTED: Gauge "partition_halted" ["topic", "partition"],
        "Whether nothing of a partition is read though there is something, and nothing here holds it back: 1, else 0. GET /ready says why.",
        "It is 1.";
    UNKNOWN_MODEL_EVENTS: Counter "unknown_model_events_total" ["topic"],
        "Events of models without a policy, ignored.",
        "";
    TOMBSTONES: Counter "tombstones_total" ["topic"],
        "Messages without a value, which are no events and are skipped.",
        "";
    UNMAPPED_VALUES: Counter "unmapped_values_total" ["topic", "field"],
        "Labels and decisions that stand for no class by the policy's mapping.",
        "";
    EARLY_TIMES_RATIO: Gauge "early_times_ratio" ["topic"],
        "Share of the events whose times are before 1980, as those of seconds read as milliseconds are, 0 to 1.",
        "";
    ABSENT_NAME: Gauge "absent_name" ["topic", "model", "name"],
        "A name that the model's policy reads and no event of the topic has had; always 1.",
        "";
    INFERENCES_JOINED: Counter "inferences_joined_total" ["topic"],
        "Requests that met their response, of topics with `format: kserve`.",
        "";
    INFERENCES_UNMATCHED: Counter "inferences_unmatched_total" ["topic", "half"],
        "Requests and responses (`half`: `request`, `response`) whose other half did not come in time.",
        "It grows by more than 1% of the requests.";
    INFERENCES_DROPPED: Counter "inferences_dropped_total" ["topic"],
        "Requests and responses that were dropped while they waited, since too much waited.",
        "It grows.";
    INFERENCES_REPEATED: Counter "inferences_repeated_total" ["topic"],
        "Requests and responses that came again while the first of their id waited; the first counts.",
        "";
    INFERENCES_WAITING: Gauge "inferences_waiting" ["topic"],
        "Requests and responses that wait for their other half.",
        "";
    DEAD_LETTERS_LOST: Counter "dead_letters_lost_total" [],
        "Dead letters that could not be kept.",
        "";
    DEAD_LETTERS_FILE_TURNS: Counter "dead_letters_file_turns_total" [],
        "How often the file of dead letters was full: the letters of the file before it went.",
        "";
    @chapter "What became of the events of a model":
    INVALID_VALUES: Counter "invalid_values_total" ["model"],
        "Values of a wrong type or out of range, by model; their events count.",
        "";
    LATE_EVENTS: Counter "late_events_total" ["model"],
        "Events too far behind their partition's newest one, once for each group that left them out.",
        "More than 1% of all events are late.";
    AHEAD_EVENTS: Counter "ahead_events_total" ["model"],
        "Events further ahead of their partition's pace than it allows, whose times the events after them contradicted.",
        "";
    AFTER_CLOSE: Counter "after_close_total" ["model"],
        "Events that came for a window that was judged already.",
        "It grows.";
    FEATURES_UNDECIDED: Counter "features_undecided_total" ["model"],
        "Events of the features stream that were too many to wait for predictions: a version that shows later misses them.",
        "";
    LABELS_JOINED: Counter "labels_joined_total" ["model"],
        "Pairs of a prediction and its label that a rule counts, one for each version that scored it; all pairs where no rule reads any.",
        "";
    UNCLASSED_PAIRS: Counter "unclassed_pairs_total" ["model"],
        "Pairs of a prediction and its label that are in no TPR or other rate, since the prediction has no class: no decision, and no score that a threshold divides.",
        "";
    LABELS_UNMATCHED: Counter "labels_unmatched_total" ["model"],
        "Labels dropped without a prediction, or too far from it in time.",
        "More than 5% of the labels find no prediction.";
    NULL_LABELS: Counter "null_labels_total" ["model"],
        "Labels that say nothing.",
        "";
    UNLABELLED_PREDICTIONS: Counter "unlabelled_predictions_total" ["model"],
        "Predictions dropped without a label, once none could come.",
        "";
    JOIN_GIVEN_UP: Counter "join_given_up_total" ["model"],
        "Predictions and labels that could still have met and were dropped, since they took too much memory.",
        "It grows.";
    UNSEGMENTED_VALUES: Counter "unsegmented_values_total" ["model"],
        "Predictions left out of a segmentation, since its attribute is missing.",
        "";
    DUPLICATE_EVENTS: Counter "duplicate_events_total" ["model"],
        "Predictions and labels whose id was there before; the first one counts.",
        "";
    INCOMPLETE_WINDOWS: Counter "incomplete_windows_total" ["model"],
        "Windows that were judged without all of their events, since counts began within them.",
        "";
    VERSIONS_REFUSED: Counter "versions_refused_total" ["model"],
        "Names of versions in events that nobody registered and that were not taken on, since limits.new_versions an hour were.",
        "It grows.";
    REFUSED_VERSION_EVENTS: Counter "refused_version_events_total" ["model"],
        "Events of versions that were not taken on: they count for none.",
        "";
    IGNORED_EVENTS: Counter "ignored_events_total" ["model"],
        "Events of a time the policy ignores.",
        "";
    WATERMARK: Gauge "watermark_timestamp_seconds" ["model", "group"],
        "Event time up to which windows are closed, in seconds since 1970.",
        "It does not move while predictions arrive.";
    JOIN_WAITING: Gauge "join_waiting" ["model", "kind"],
        "Predictions that wait for a label, and labels that wait for a prediction.",
        "";
    JOIN_BYTES: Gauge "join_bytes" ["model"],
        "Bytes of predictions and labels that wait for each other; limits.join_bytes bounds them.",
        "";
    @chapter "Models and their versions":
    MODEL_INFO: Gauge "model_info" ["model", "team", "severity"],
        "The model's metadata to route alerts by; always 1.",
        "";
    PREDICTIONS: Counter "predictions_total" ["model", "version"],
        "Predictions counted for the version.",
        "It stands still for a version in prod.";
    SNAPSHOT_UNREACHABLE: Gauge "snapshot_unreachable" ["model", "version"],
        "The version's snapshot cannot be read, and its counts go on against a baseline that the state holds; always 1.",
        "";
    BASELINE_REPLACED: Counter "baseline_replaced_total" ["model", "version"],
        "How often the version's snapshot was another one than it was counted against, so that its counts started anew.",
        "";
    VERSIONS_LEFT_OUT: Gauge "versions_left_out" ["model"],
        "Versions that only events name and that have no series here, since they are too many.",
        "It is above 0.";
    BLOCK_ACTIVE: Gauge "block_active" ["model", "version", "group"],
        "Whether the group blocks the version's promotion: 1, else 0.",
        "";
    VERSION_STAGE: Gauge "version_stage" ["model", "version", "stage"],
        "A stage pointer stands on the version; always 1.",
        "";
    @chapter "The latest verdict of each version and group":
    PSI: Gauge "psi" ["model", "version", "group", "feature"],
        "Population stability index against the training snapshot in the last judged window.",
        "";
    KS_STATISTIC: Gauge "ks_statistic" ["model", "version", "group", "feature"],
        "Kolmogorov-Smirnov distance D to the training snapshot in the last judged window, from 0 to 1.",
        "";
    DRIFT_PVALUE: Gauge "drift_pvalue" ["model", "version", "group", "feature", "test"],
        "P-value, uncorrected, of the test (ks, chi2) that the last judged window is distributed as the training snapshot.",
        "";
    TPR: Gauge "tpr" ["model", "version", "group", "attribute", "segment"],
        "True positive rate of the segment in the last judged window, from 0 to 1.",
        "";
    TPR_GAP: Gauge "tpr_gap" ["model", "version", "group", "attribute"],
        "Largest difference of true positive rates between segments of the attribute, from 0 to 1.",
        "";
    LATENCY_P95: Gauge "latency_p95_seconds" ["model", "version", "group"],
        "95th percentile of the latency in the last judged window, in seconds.",
        "";
    ERROR_RATIO: Gauge "error_ratio" ["model", "version", "group"],
        "Share of requests that failed in the last judged window, from 0 to 1.",
        "";
    CHECK_STATUS: Gauge "check_status" ["model", "version", "group", "rule", "subject"],
        "What the rule came to: 0 pass, 1 warn, 2 insufficient, 3 block.",
        "";
    VERDICT: Gauge "verdict" ["model", "version", "group", "status"],
        "Whether the last verdict has this status: 1, else 0.",
        "`block`, `warn` or `insufficient` is 1 for a version in prod.";
    LAST_VERDICT: Gauge "last_verdict_timestamp_seconds" ["model", "version", "group"],
        "End of the last judged window: event time in seconds since 1970.",
        "";
    SERIES_DROPPED: Gauge "series_dropped" ["model", "version", "group"],
        "Segments and features of the last verdict that are left out here, since there are too many.",
        "";
    @chapter "The registry, promotions and rollouts":
    GATE_PASS: Gauge "gate_pass" ["model", "version", "stage"],
        "Whether the gate lets the version into the stage now: 1, else 0.",
        "";
    ROLLOUT_WEIGHT: Gauge "rollout_weight_ratio" ["model", "version"],
        "Share of the traffic that the rollout gives the version, from 0 to 1.",
        "";
    ROLLOUT_PHASE: Gauge "rollout_phase" ["model", "version", "phase"],
        "The phase of the model's last rollout: 1, else 0.",
        "";
    ROLLOUT_PAUSED: Gauge "rollout_paused" ["model", "version"],
        "Whether the rollout is paused: 1, else 0.",
        "It is 1.";
    ROLLOUT_TRAFFIC: Gauge "rollout_traffic_ratio" ["model", "version"],
        "The candidate's share of the predictions since the traffic routers have the rollout's weight; missing before they have it.",
        "";
    ROUTER_WEIGHT: Gauge "router_weight_ratio" ["model", "version", "router"],
        "The candidate's weight that a traffic router was last seen to have.",
        "";
    ROUTER_FOLLOWS: Gauge "router_follows" ["model", "version", "router"],
        "Whether the router has the weight of the model's last rollout: 1, else 0.",
        "It is 0 for a minute.";
    ROLLBACK_PENDING: Gauge "rollback_pending" ["model", "from", "to"],
        "A rollback was made and the old version was not seen serving yet; always 1.",
        "It is 1.";
    MODEL_FROZEN: Gauge "model_frozen" ["model"],
        "Automatic actions on the model stand still; always 1.",
        "";
    REGISTRY_DRIFT: Gauge "registry_drift" ["model", "kind", "name"],
        "MLflow or SageMaker lost a version, or a stage's alias stands elsewhere there; always 1.",
        "It is 1 with `kind=\"stage\"`.";
    REGISTRY_DOUBTED: Gauge "registry_doubted" [],
        "Whether the registry or the audit key is not the one that the state belongs to: 1, else 0. The status says why.",
        "It is 1.";
    REGISTRY_TRANSACTIONS: Counter "registry_transactions_total" [],
        "Changes written to the registry, each synced to the disk; what the stream brings is written in batches.",
        "";
    UNREGISTERED_ELSEWHERE: Gauge "external_registry_unregistered_versions" ["model"],
        "Versions with pointers or tags that MLflow or SageMaker is told once they are registered there.",
        "";
    @chapter "Signals and other deliveries":
    SIGNALS: Counter "signals_total" ["action", "sink", "outcome"],
        "Signals sent, by what they ask for, where to, and how it ended (ok, error, ignored).",
        "`outcome=\"error\"` grows; `action=\"rollback\"` grows.";
    UNDELIVERABLE: Counter "undeliverable_total" ["sink"],
        "Changes and signals that a sink can never take and that were dropped; the log says why.",
        "It grows.";
    DELIVERY_FAILURES: Counter "delivery_failures_total" ["sink"],
        "Attempts to deliver that failed and are made again, by sink.",
        "";
    UNDELIVERED: Gauge "undelivered" ["sink"],
        "Things that wait to be told to a sink.",
        "It stays above 0.";
    @chapter "The daemon itself":
    READY: Gauge "ready" [],
        "Whether the daemon is ready: 1, else 0.",
        "";
    FAILING: Gauge "failing" ["part"],
        "What does not work at the moment and is tried again; always 1. The status says why.",
        "It is 1.";
    CHECKPOINT_WRITTEN: Counter "checkpoint_written_total" [],
        "Checkpoints written.",
        "";
    CHECKPOINT_FAILED: Counter "checkpoint_failed_total" [],
        "Checkpoints that could not be written.",
        "It grows.";
    CHECKPOINT_UNDER_WAY: Gauge "checkpoint_under_way_seconds" [],
        "How long the checkpoint that is being written takes already, in seconds; 0 between two.",
        "It is above 60.";
    HISTORY_BYTES: Gauge "history_bytes" [],
        "Size of the files with results over time.",
        "";
    HISTORY_FILES: Gauge "history_files" [],
        "Files of results over time: one a model and day.",
        "";
    HISTORY_WRITE_FAILURES: Counter "history_write_failures_total" [],
        "Attempts to write results over time that failed; the windows wait in memory and it is tried again.",
        "It grows.";
    HISTORY_LOST: Counter "history_lost_total" [],
        "Windows that are missing in the results over time, since too many waited to be written.",
        "It grows.";
    HISTORY_LAG: Gauge "history_lag_seconds" [],
        "How long the oldest window waits that cannot be written to the results over time, in seconds; 0 where none waits.",
        "It is above 60.";
    CHECKPOINT_FALLBACK: Gauge "checkpoint_fallback" [],
        "Whether this process started from the checkpoint before the last one, since the last one is damaged: 1, else 0. The status says what is read again.",
        "It is 1.";
    CHECKPOINT_LAST_TIMESTAMP: Gauge "checkpoint_last_timestamp_seconds" [],
        "When the last checkpoint was written, in seconds since 1970.",
        "";
    CHECKPOINT_LAST_SIZE: Gauge "checkpoint_last_size_bytes" [],
        "Size of the last checkpoint in bytes.",
        "";
    CHECKPOINT_LAST_DURATION: Gauge "checkpoint_last_duration_seconds" [],
        "How long the last checkpoint took to write, in seconds.",
        "";
    OTLP_FAILURES: Counter "otlp_failures_total" ["signal"],
        "Exports of traces or metrics that the OpenTelemetry collector did not take; only with `otlp` in the configuration.",
        "It grows.";
    @chapter "A cluster, only with `cluster` in the configuration":
    CLUSTER_ROLE: Gauge "cluster_role" ["role"],
        "What this process does: 1 for its role (standby, taking_over, owner of the ledger, counting, giving_back), else 0.",
        "It is taking_over for minutes.";
    CLUSTER_OWNER: Gauge "cluster_owner" [],
        "Whether this process knows an owner of the ledger, itself or another one: 1, else 0.",
        "It is 0 on every process for a minute.";
    CLUSTER_MEMBERS: Gauge "cluster_members" [],
        "Processes in the group, as this one sees it.",
        "There are fewer than were started.";
    CLUSTER_COPY_AGE: Gauge "cluster_copy_age_seconds" [],
        "Time since this process's copy of the registry was at the end of the ledger; 0 of the owner.",
        "It is more than the session and 10 s: the gate of this process answers inconclusive.";
    CLUSTER_CLAIM_AGE: Gauge "cluster_claim_age_seconds" [],
        "Time since the last commit of the unit that was committed longest ago, by the clock of the process that made it.",
        "It is more than several times `cluster.commit`.";
    CLUSTER_LEDGER_SEQ: Gauge "cluster_ledger_seq" [],
        "Number of the last change of the registry that this process has.",
        "";
    CLUSTER_TAKEOVERS: Counter "cluster_takeovers_total" [],
        "How often this process has become the owner of the ledger or of a unit.",
        "It grows again and again.";
    @chapter "The HTTP server":
    HTTP_CONNECTIONS: Gauge "http_connections" [],
        "Connections that are open.",
        "";
    HTTP_CONNECTIONS_LIMIT: Gauge "http_connections_limit" [],
        "How many connections there may be.",
        "";
    HTTP_REFUSED: Counter "http_refused_total" ["reason"],
        "Connections and requests that were refused: ended for a newer one (made_room), every other one being answered (busy), not accepted (failed), no TLS handshake (handshake), a foreign Host (host).",
        "";
    HTTP_TIMEOUTS: Counter "http_timeouts_total" ["phase"],
        "Connections and requests that took too long, by phase.",
        "";
    INGEST_EVENTS: Counter "ingest_events_total" ["topic", "outcome"],
        "Events that came over HTTP, by topic: in the topic (accepted), not sent (busy), sent and not acknowledged (unacknowledged), too large (too_large); and requests without the token (unauthorized) or that are no event (invalid).",
        "Events are refused: busy or unacknowledged grows.";
    TLS_CERTIFICATE_EXPIRY: Gauge "tls_certificate_expiry_timestamp_seconds" [],
        "When the certificate of the TLS port ends, in seconds since 1970.",
        "It is less than two weeks ahead.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_unique_and_counters_end_in_total() {
        let names: BTreeSet<&str> = all().map(|m| m.name).collect();
        assert_eq!(names.len(), all().count());
        for metric in all() {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    /// Names of metrics in a text: what starts with the namespace, up to the first character that a name cannot have.
    fn named(text: &str) -> BTreeSet<String> {
        let prefix = format!("{NAMESPACE}_");
        let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
        text.split(prefix.as_str()).skip(1).map(word).collect()
    }

    #[test]
    fn alerts_name_metrics_that_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let known: BTreeSet<&str> = all().map(|m| m.name).collect();
        for file in ["docker/prometheus/alerts.yml", "docker/prometheus/alerts_test.yml"] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let names = named(&text);
            assert!(names.len() > 10, "{file} names metrics");
            for name in names {
                assert!(known.contains(name.as_str()), "{file}: no metric is called {NAMESPACE}_{name}");
            }
        }
    }

    #[test]
    fn every_metric_with_an_alert_in_the_rules_says_when_to_alert() {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/prometheus/alerts.yml");
        let text = std::fs::read_to_string(rules).unwrap();
        let firsts = text.lines().filter_map(|l| l.trim().strip_prefix("expr: driftgate_"));
        for first in firsts {
            let name: String = first.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let metric = all().find(|m| m.name == name).unwrap();
            assert!(!metric.alert.is_empty(), "{name}");
        }
    }
}
