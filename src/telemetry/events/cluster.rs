//! A process of a cluster stands by, takes over, commits, and gives the unit back.

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

/// The coordinator gave the unit to this process.
pub struct Assigned<'e> {
    pub instance: &'e str,
}

impl Assigned<'_> {
    pub fn emit(&self) {
        tracing::info!(
            instance = self.instance,
            "cluster: taking over: the coordinator assigned the models to this process"
        );
    }
}

/// The coordinator wants the unit back.
pub struct GivesBack<'e> {
    pub instance: &'e str,
}

impl GivesBack<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            instance = self.instance,
            "cluster: giving back: the coordinator wants the models for another process; this one commits a last time and ends"
        );
    }
}

/// The state and the registry are here, and this process counts.
pub struct TookOver {
    /// The commit that it goes on from; 0: none was there.
    pub seq: u64,
    pub bytes: u64,
    pub ledger_seq: u64,
    pub seconds: f64,
}

impl TookOver {
    pub fn emit(&self) {
        let Self { seq, bytes, ledger_seq, seconds } = *self;
        tracing::info!(seq, bytes, ledger_seq, seconds, "cluster: owner: this process counts from the claimed commit");
    }
}

/// Who counts, as this process sees it, is another one than before.
pub struct OwnerSeen<'e> {
    pub owner: Option<&'e str>,
}

impl OwnerSeen<'_> {
    pub fn emit(&self) {
        if let Some(owner) = self.owner {
            tracing::info!(owner, "cluster: the owner is known");
        } else {
            tracing::warn!("cluster: no owner: nothing is counted, and the gate answers inconclusive");
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

/// The ledger could not be shortened; it stays as it is.
pub struct LedgerKept<'e> {
    pub error: &'e str,
}

impl LedgerKept<'_> {
    pub fn emit(&self) {
        tracing::warn!(error = self.error, "cluster: the ledger was not shortened, and grows on");
    }
}
