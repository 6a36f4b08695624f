//! Which of the configured properties of librdkafka are for whom.

/// Properties of a member of the group, which who reads by hand is not.
#[must_use]
pub fn is_for_members(property: &str) -> bool {
    ["group.instance.id", "group.protocol", "partition.assignment.strategy"].contains(&property)
}

/// Properties that a producer would warn about.
#[must_use]
pub fn is_for_consumers(property: &str) -> bool {
    const PREFIXES: [&str; 5] = ["fetch.", "group.", "queued.", "auto.", "isolation."];
    PREFIXES.iter().any(|p| property.starts_with(p))
        || [
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "check.crcs",
            "partition.assignment.strategy",
            "enable.partition.eof",
        ]
        .contains(&property)
}
