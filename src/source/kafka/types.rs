//! Where a partition starts, and a topic as the brokers have it.

/// Where a partition starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The offset; the beginning without one.
    pub next: Option<i64>,
    /// In which leader's epoch the record before it was written.
    pub leader_epoch: Option<i32>,
    pub topic_id: Option<String>,
    /// Why it is not read at all.
    pub halted: Option<String>,
    /// Records were deleted before the beginning that is read from.
    pub cut: bool,
    /// It goes on behind records that are gone, which an operator accepted.
    pub gap: bool,
}

/// A topic as the brokers have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub partitions: i32,
    /// None where the brokers give topics no ids.
    pub id: Option<String>,
    /// Partitions that no broker leads now, if that was asked: their ends are unknown.
    pub leaderless: Vec<i32>,
}
