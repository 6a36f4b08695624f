//! What the parts of a process of a cluster share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commits::Commits;
use crate::cluster::ledger_log::Tail;
use crate::cluster::member::Membership;
use crate::cluster::topics::Names;
use crate::config::ClusterConfig;
use crate::ledger::Embedded;
use crate::view::Shared;

/// What they share.
pub struct Parts {
    pub cluster: ClusterConfig,
    pub group: String,
    /// Of the client, as the configuration has them.
    pub properties: BTreeMap<String, String>,
    pub names: Names,
    pub registry: Arc<Embedded>,
    pub view: Shared,
    pub membership: Arc<Membership>,
    pub tail: Arc<Tail>,
    pub commits: Arc<Commits>,
}
