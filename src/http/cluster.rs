//! The cluster as this process sees it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::app::Shared;
use super::problem::Problem;
use crate::api;

/// GET /api/v1/cluster
pub(super) async fn cluster(State(app): State<Shared>) -> Result<Json<api::Cluster>, Problem> {
    let view = app.view.read();
    let seen = view.cluster.as_ref().ok_or_else(|| {
        let why = "this process is none of a cluster: its configuration has no `cluster` section";
        Problem::new(StatusCode::CONFLICT, why)
    })?;
    Ok(Json(api::Cluster::of(seen, &view, (app.now_ms)())))
}
