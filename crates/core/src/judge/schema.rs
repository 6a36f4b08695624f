//! The schema of a result for OpenAPI: beside the fields that every result has stands the evidence of its metric, so that it is no
//! struct's.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::verdict::{RuleResult, Status};

/// One rule on one subject. Which evidence stands beside these fields depends on the metric.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema is made of the fields, which nothing reads")]
struct RuleFields {
    /// group/id.
    rule: String,
    metric: String,
    subject: String,
    status: Status,
    #[schema(required = true)]
    value: Option<f64>,
    /// The limit as the policy has it.
    limit: Option<BTreeMap<String, Value>>,
    n: Option<u64>,
    reference_n: Option<u64>,
    /// How much its feature matters, as the policy has it (`importance`).
    importance: Option<f64>,
    /// Why it is insufficient, or a warning beyond the warning limit.
    reason: Option<String>,
    /// End of the first window of this run of windows with this status.
    since: Option<String>,
    /// Breached, but not for as long as `for` asks.
    pending: Option<bool>,
    muted: Option<bool>,
    segments: Option<Vec<BTreeMap<String, Value>>>,
    bins: Option<Vec<BTreeMap<String, Value>>>,
}

impl PartialSchema for RuleResult {
    fn schema() -> RefOr<Schema> {
        match RuleFields::schema() {
            RefOr::T(Schema::Object(mut fields)) => {
                fields.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
                RefOr::T(Schema::Object(fields))
            }
            other => other,
        }
    }
}

impl ToSchema for RuleResult {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RuleFields::schemas(schemas);
    }
}
