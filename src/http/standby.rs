//! What a process of a cluster answers that does not own the ledger: the gate from its copy of the registry while that is current,
//! and to changes where they are made.

use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use reqwest::Url;

use super::app::App;
use super::problem::Problem;
use crate::ledger::{Embedded, RegistryError, RequestContext};
use crate::view::cluster::{ClusterView, Role};
use driftgate_core::gate::{self, Answer, FromCopy};

/// The gate's answer, as this process may give it: while it knows who owns the ledger and the model's unit, and of a copy only while that is current.
///
/// # Errors
/// As the registry's.
pub(super) fn gate(
    cluster: Option<&ClusterView>,
    registry: &Embedded,
    context: &RequestContext<'_>,
    version: &str,
    to: &str,
) -> Result<Answer, RegistryError> {
    let Some(cluster) = cluster else { return registry.gate(context, version, to) };
    let answer = match cluster.not_current(Some(&context.policy.model), context.now_ms) {
        None => registry.gate(context, version, to)?,
        Some(why) => gate::unanswered(context.policy, to, version, &why.to_string(), context.now_ms),
    };
    Ok(if cluster.owns() { answer } else { told_from(cluster, answer, context.now_ms) })
}

/// The answer with what it was taken from.
pub(super) fn told_from(cluster: &ClusterView, answer: Answer, now_ms: i64) -> Answer {
    let owner = cluster.owner.as_ref().map(|owner| owner.instance.clone());
    Answer { copy: Some(FromCopy { age_ms: cluster.copy_age_ms(now_ms), owner }), ..answer }
}

/// What a request to change something is answered where this process makes no changes; `None` where it does.
pub(super) async fn instead(app: &App, request: &mut Request<Body>, body_limit: usize) -> Option<Response> {
    let cluster = app.view.read().cluster.clone().filter(|cluster| !cluster.owns())?;
    // A body that is not read can end the connection before the answer is.
    let body = std::mem::take(request.body_mut());
    let _ = axum::body::to_bytes(body, body_limit).await;
    Some(elsewhere(&cluster, request.uri()))
}

/// The answer of a handler to a change. What was changed is in the ledger, which only its owner can add to; a refusal was taken from what this
/// process knows, and a process that was stopped for longer than its session does not know what another one changed meanwhile.
pub(super) fn confirmed(app: &App, uri: &Uri, answer: Response) -> Response {
    let view = app.view.read();
    let Some(cluster) = view.cluster.as_ref().filter(|_| answer.status().is_client_error()) else { return answer };
    if !cluster.owns() {
        return elsewhere(cluster, uri);
    }
    match cluster.may_be_replaced((app.now_ms)()) {
        None => answer,
        Some(why) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("nothing is changed: {why}")).into_response()
        }
    }
}

/// The answer to a change that this process does not make.
pub(super) fn elsewhere(cluster: &ClusterView, uri: &Uri) -> Response {
    let Some((owner, location)) = cluster.elsewhere().and_then(|owner| Some((owner, location(owner, uri)?))) else {
        let why = match cluster.role {
            Role::TakingOver => "this process is taking over the ledger, and changes nothing until it has",
            Role::GivingBack => "this process is giving the ledger back, and changes nothing any more",
            Role::Standby | Role::Counting | Role::Owner => {
                "no process of the cluster owns the ledger at the moment, so nothing is changed"
            }
        };
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{why}: ask again in a moment; driftgate cluster status shows the processes"),
        )
        .into_response();
    };
    let why = format!("this process does not own the ledger, and {owner} does: send the request there");
    let mut response = Problem::new(StatusCode::TEMPORARY_REDIRECT, why).into_response();
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The same path and query at another process.
fn location(owner: &str, uri: &Uri) -> Option<HeaderValue> {
    // What a member of the group calls itself came over Kafka.
    Url::parse(owner).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())?;
    let rest = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    HeaderValue::try_from(format!("{}{rest}", owner.trim_end_matches('/'))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::cluster::Member;

    fn standby(owner: Option<&str>) -> ClusterView {
        let member =
            |advertise: &str| Member { instance: "a".into(), advertise: advertise.into(), ..Member::default() };
        ClusterView { instance: "b".into(), owner: owner.map(member), ..ClusterView::default() }
    }

    #[test]
    fn a_change_is_sent_to_the_owner_with_its_path_and_query() {
        let uri: Uri = "/api/v1/models/credit%20eu/freeze?x=1%2F2".parse().unwrap();
        let answer = elsewhere(&standby(Some("https://a.example:9464/gate")), &uri);
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers()[LOCATION], "https://a.example:9464/gate/api/v1/models/credit%20eu/freeze?x=1%2F2");
    }

    #[test]
    fn without_an_owner_that_can_be_asked_it_is_to_be_asked_again() {
        let uri: Uri = "/x".parse().unwrap();
        for owner in [None, Some(""), Some("rdkafka"), Some("javascript:alert(1)"), Some("http://a\r\nset-cookie: x")] {
            let answer = elsewhere(&standby(owner), &uri);
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{owner:?}");
            assert_eq!(answer.headers()["retry-after"], "1");
            assert!(!answer.headers().contains_key(LOCATION));
        }
        // The group still names the process itself, which gives back or has not taken over yet.
        for role in [Role::TakingOver, Role::GivingBack] {
            let own = ClusterView { instance: "a".into(), role, ..standby(Some("http://a")) };
            assert_eq!(elsewhere(&own, &uri).status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
