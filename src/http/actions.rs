//! What people and pipelines change over HTTP. Each change needs a bearer token with the role for it; the audit log records whose token
//! it was.

pub(super) mod approvals;
pub(super) mod evidence;
pub(super) mod overrides;
pub(super) mod promotions;
pub(super) mod register;
pub(super) mod request;
pub(super) mod rollouts;
