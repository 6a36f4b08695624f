//! A process of a cluster stands by, takes over, commits, and gives the unit back.

use std::collections::BTreeSet;

use driftgate_core::cluster::ownership::Slot;

/// The process is in the group, and counts nothing yet.
pub struct Standby<'e> {
    pub instance: &'e str,
    pub advertise: &'e str,
}

impl Standby<'_> {
    pub fn emit(&self) {
        let Self { instance, advertise } = *self;
        tracing::info!(
            instance,
            advertise,
            "cluster: standby; another process may count, this one answers from its copy"
        );
    }
}

/// The coordinator gave something to this process.
pub struct Assigned<'e> {
    pub what: &'e str,
}

impl Assigned<'_> {
    pub fn emit(&self) {
        tracing::info!(what = self.what, "cluster: taking over: the coordinator assigned it to this process");
    }
}

/// The coordinator wants something back.
pub struct GivesBack<'e> {
    pub what: &'e str,
}

impl GivesBack<'_> {
    pub fn emit(&self) {
        tracing::info!(
            what = self.what,
            "cluster: giving back: the coordinator wants it for another process; this one commits a last time and drops it"
        );
    }
}

/// Slots that the coordinator wants back were not committed a last time in time.
pub struct GivesBackLate<'e> {
    pub slots: &'e BTreeSet<Slot>,
    pub seconds: f64,
}

impl GivesBackLate<'_> {
    pub fn emit(&self) {
        let Self { slots, seconds } = *self;
        tracing::warn!(
            ?slots,
            seconds,
            "cluster: given back without a last commit, which took too long; whoever has it next goes on from the commit before"
        );
    }
}

/// Something that this process had is another one's.
pub struct LostUnit<'e> {
    pub what: &'e str,
}

impl LostUnit<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            what = self.what,
            "cluster: lost: another process has it without a last commit of this one, whose session was over or whose commit took too long; what was \
             not committed is counted elsewhere"
        );
    }
}

/// Something is not this process's any more, and what it kept of it is gone.
pub struct GaveBack<'e> {
    pub what: &'e str,
    pub why: Option<&'e str>,
}

impl GaveBack<'_> {
    pub fn emit(&self) {
        let Self { what, why } = *self;
        tracing::info!(what, why, "cluster: given back");
    }
}

/// Something failed that is still this process's, and it takes it over once more after a pause.
pub struct TakenAgain<'e> {
    pub what: &'e str,
    pub why: &'e str,
    /// One soon after the other.
    pub failures: u32,
    pub pause_seconds: f64,
}

impl TakenAgain<'_> {
    pub fn emit(&self) {
        let Self { what, why, failures, pause_seconds } = *self;
        tracing::warn!(
            what,
            why,
            failures,
            pause_seconds,
            "cluster: it is still this process's, which takes it over again from what the brokers have"
        );
    }
}

/// This process cannot go on, and ends once what it has is given back; where that takes long, without.
pub struct Ends<'e> {
    pub why: &'e str,
}

impl Ends<'_> {
    pub fn emit(&self) {
        tracing::error!(why = self.why, "cluster: this process ends, and is to be started again");
    }
}

/// A unit's state is here, and this process counts it.
pub struct TookOver<'e> {
    pub unit: &'e str,
    /// The commit that it goes on from; 0: none was there.
    pub seq: u64,
    pub bytes: u64,
    pub seconds: f64,
}

impl TookOver<'_> {
    pub fn emit(&self) {
        let Self { unit, seq, bytes, seconds } = *self;
        tracing::info!(
            unit,
            seq,
            bytes,
            seconds,
            "cluster: owner: this process counts the unit from the claimed commit"
        );
    }
}

/// The registry is at the end of the ledger, and this process writes it.
pub struct OwnsLedger {
    /// The last change.
    pub seq: u64,
    pub seconds: f64,
}

impl OwnsLedger {
    pub fn emit(&self) {
        let Self { seq, seconds } = *self;
        tracing::info!(seq, seconds, "cluster: owner: this process writes the ledger from the claimed change");
    }
}

/// What units write for each other cannot be read.
pub struct SetsUnreadable<'e> {
    pub topic: &'e str,
    pub why: &'e str,
}

impl SetsUnreadable<'_> {
    pub fn emit(&self) {
        let Self { topic, why } = *self;
        tracing::error!(topic, why, "cluster: what units write for each other cannot be read");
    }
}

/// A snapshot is another one than that which all shards count a version against.
pub struct OtherBaseline<'e> {
    pub model: &'e str,
    pub version: &'e str,
    /// The digest of the baseline that was found.
    pub found: &'e str,
    pub decided: bool,
}

impl OtherBaseline<'_> {
    pub fn emit(&self) {
        let Self { model, version, found, decided } = *self;
        tracing::error!(
            model,
            version,
            found,
            decided,
            "cluster: the snapshot is not the one that the other processes count this version against: its events wait until it is there again"
        );
    }
}

/// One process counts a unit although partitions are divided.
pub struct NotDivided<'e> {
    pub unit: &'e str,
    pub why: &'e str,
}

impl NotDivided<'_> {
    pub fn emit(&self) {
        let Self { unit, why } = *self;
        tracing::warn!(unit, why, "cluster: the partitions of this model are not divided: one process counts them all");
    }
}

/// A topic has more partitions than its process has divided.
pub struct DividedAnew<'e> {
    pub topic: &'e str,
    pub partitions: i32,
    pub divided: u32,
}

impl DividedAnew<'_> {
    pub fn emit(&self) {
        let Self { topic, partitions, divided } = *self;
        tracing::warn!(
            topic,
            partitions,
            divided,
            "cluster: the topic has more partitions than are divided: the process ends, and divides them once it is started again"
        );
    }
}

/// A version's baseline stays as it was decided for all shards.
pub struct DecisionStays<'e> {
    pub model: &'e str,
    pub version: &'e str,
    /// What would have changed it.
    pub what: &'e str,
}

impl DecisionStays<'_> {
    pub fn emit(&self) {
        let Self { model, version, what } = *self;
        tracing::warn!(
            model,
            version,
            "cluster: {what}; where partitions are divided a version is counted to its end as it began: register the model under another version"
        );
    }
}

/// Who owns the ledger, as this process sees it, is another one than before.
pub struct OwnerSeen<'e> {
    pub owner: Option<&'e str>,
}

impl OwnerSeen<'_> {
    pub fn emit(&self) {
        if let Some(owner) = self.owner {
            tracing::info!(owner, "cluster: the owner of the ledger is known");
        } else {
            tracing::warn!("cluster: no owner of the ledger: nothing is decided, and the gate answers inconclusive");
        }
    }
}

/// A step towards counting failed and is tried again.
pub struct Retried<'e> {
    pub what: &'e str,
    pub tries: u32,
    pub error: &'e str,
}

impl Retried<'_> {
    pub fn emit(&self) {
        let Self { what, tries, error } = *self;
        // Now and then only: it is tried several times a second.
        if tries.is_power_of_two() {
            tracing::warn!(what, tries, error, "cluster: tried again");
        }
    }
}

/// The brokers refused a commit, of which nothing is durable, and it is tried again.
pub struct CommitRefused<'e> {
    pub why: &'e str,
    pub tries: u32,
}

impl CommitRefused<'_> {
    pub fn emit(&self) {
        let Self { why, tries } = *self;
        if tries == 1 {
            tracing::info!(why, "cluster: a commit was refused and is tried again");
        }
    }
}

/// A question about the group was not answered; what was known before is shown, with its age.
pub struct Unanswered<'e> {
    pub what: &'e str,
    pub error: &'e str,
}

impl Unanswered<'_> {
    pub fn emit(&self) {
        let Self { what, error } = *self;
        tracing::warn!(what, error, "cluster: the brokers do not answer");
    }
}

/// Records of the ledger were deleted that a snapshot stands for.
pub struct LedgerShortened {
    /// The last change of the snapshot, and the offset of its first record.
    pub seq: u64,
    pub first: i64,
}

impl LedgerShortened {
    pub fn emit(&self) {
        let Self { seq, first } = *self;
        tracing::info!(seq, first, "cluster: the ledger begins with a snapshot now");
    }
}

/// A topic that only grows could not be shortened; it stays as it is.
pub struct LedgerKept<'e> {
    pub topic: &'e str,
    pub error: &'e str,
}

impl LedgerKept<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            topic = self.topic,
            error = self.error,
            "cluster: an internal topic was not shortened, and grows on"
        );
    }
}
