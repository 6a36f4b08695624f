//! Which of the configured properties of librdkafka are for whom, and what a partition fetches ahead.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

/// How much is fetched ahead of each partition, and how much it is unless the configuration says otherwise.
pub(super) const QUEUED: (&str, u64) = ("queued.max.messages.kbytes", 8192);

/// The messages of a partition that were fetched and not read: their bytes at most.
#[must_use]
pub fn fetched_ahead(properties: &BTreeMap<String, String>) -> u64 {
    let (name, default) = QUEUED;
    properties.get(name).and_then(|kbytes| kbytes.trim().parse().ok()).unwrap_or(default).saturating_mul(1024)
}

/// Properties of a member of the group, which who reads by hand is not.
#[must_use]
fn is_for_members(property: &str) -> bool {
    ["group.instance.id", "group.protocol", "partition.assignment.strategy"].contains(&property)
}

/// What a client is made by that reads partitions by hand: the user's properties win over `defaults`, and `fixed` over the user's.
#[must_use]
pub fn read_by_hand(
    properties: &BTreeMap<String, String>,
    defaults: &[(&str, &str)],
    fixed: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (k, v) in defaults {
        config.set(*k, *v);
    }
    for (k, v) in properties.iter().filter(|(k, _)| !is_for_members(k)) {
        config.set(k, v);
    }
    for (k, v) in fixed {
        config.set(*k, *v);
    }
    config
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_ahead_is_what_the_configuration_says() {
        let with = |value: &str| fetched_ahead(&BTreeMap::from([(QUEUED.0.to_owned(), value.to_owned())]));
        assert_eq!(fetched_ahead(&BTreeMap::new()), 8 << 20);
        assert_eq!((with("1024"), with("4194304")), (1 << 20, 4 << 30));
    }
}
