//! Requests and answers of the HTTP API: what `http` writes and `cli` reads. Keys are written in the order of the fields. The OpenAPI
//! document is made from these types and those of the core that they hold.
//!
//! | module | holds |
//! |---|---|
//! | [`requests`] | bodies and queries |
//! | [`models`] | models, versions, verdicts |
//! | [`status`] | readiness, inputs, the status of models |
//! | [`explain`] | a version's explanation, the history, promotion records, rollouts |
//! | [`series`] | results over time |
//! | [`cluster`] | a cluster and its processes |
//! | [`changes`] | what came of a change |
//! | [`state`] | what the commands of a state folder print |
//! | [`ordered`] | an object whose keys keep their order |
//! | [`verdict`] | the schema of a verdict, whole or shortened |

pub mod changes;
pub mod cluster;
pub mod explain;
pub mod models;
pub mod ordered;
pub mod pages;
pub mod requests;
pub mod series;
pub mod state;
pub mod status;
pub mod verdict;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use changes::{Approved, EvidenceKept, Frozen, Overridden, Promoted, RolledBack, Unblocked};
pub use cluster::{Cluster, ClusterStatus, MemberStatus};
pub use explain::{AuditRecord, Explanation, History, LastRollout, Lineage, PromotionRecord, Promotions};
pub use models::{Baseline, GroupSummary, ModelSummary, Models, Verdicts, VersionDetail, VersionSummary};
pub use ordered::Ordered;
pub use pages::{ActQuery, AuditQuery, OverviewQuery, PromotionPageQuery, SignInQuery, SignedInQuery};
pub use requests::{
    ApprovalRequest, EvidenceRequest, FreezeRequest, GateQuery, HistoryQuery, OverrideRequest, PromoteRequest,
    PromotionsQuery, RegisterRequest, RollbackRequest, RolloutRequest, UnblockRequest, VerdictsQuery,
};
pub use series::{
    DistributionsFound, DistributionsQuery, PageQuery, Point, Series, SeriesFound, SeriesQuery, VersionPageQuery,
};
pub use status::{Input, Inputs, ModelStatus, Readiness, Status, VersionStatus, Worst};

/// An answer with a status of 400 or above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// What is wrong, and what to do about it.
    pub error: String,
}
