//! Every route and what it needs, in one table: the router, the protection of each route and the matrix of who may do what
//! (docs/security.md) are made from it, so that no route is without a rule.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;

use super::guard::{Rule, guard};
use super::{Shared, actions, api, dashboard, hooks, insight, live, ready, scrape};

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: machines ask whether the process lives.
    Probe,
    /// Nothing, unless `http.metrics` says `token`: then a token that reads every model.
    Metrics,
    /// As `Read`; a browser is asked for the token.
    Page,
    /// A token that may read the model, unless reading is open.
    Read,
    /// As `Read`; to tell the end of a rollout, the role operator for the model.
    Report,
    /// The role approver for the model.
    Approve,
    /// The role operator for the model.
    Operate,
}

/// One route: a method at a path.
#[derive(Clone, Copy)]
pub struct Route {
    /// In lower case.
    pub method: &'static str,
    pub path: &'static str,
    pub needs: Needs,
    handler: fn() -> MethodRouter<Shared>,
}

macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $handler:path;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            needs: Needs::$needs,
            handler: || axum::routing::$method($handler),
        }),*]
    };
}

/// All of them.
pub const ROUTES: &[Route] = routes! {
    get  "/"                                                        Page    dashboard::page;
    get  "/live"                                                    Probe   live;
    get  "/ready"                                                   Probe   ready;
    get  "/metrics"                                                 Metrics scrape;
    get  "/api/v1/status"                                           Read    insight::status;
    get  "/api/v1/inputs"                                           Read    insight::inputs;
    get  "/api/v1/models"                                           Read    api::models;
    get  "/api/v1/models/{model}"                                   Read    api::model;
    get  "/api/v1/models/{model}/status"                            Read    insight::model_status;
    get  "/api/v1/models/{model}/history"                           Read    insight::history;
    get  "/api/v1/models/{model}/rollout"                           Read    insight::rollout;
    post "/api/v1/models/{model}/rollout"                           Operate actions::rollout;
    post "/api/v1/models/{model}/freeze"                            Operate actions::freeze;
    post "/api/v1/models/{model}/resume"                            Operate actions::resume;
    get  "/api/v1/models/{model}/versions/{version}"                Read    api::version;
    post "/api/v1/models/{model}/versions/{version}"                Operate api::register;
    get  "/api/v1/models/{model}/versions/{version}/verdicts"       Read    api::verdicts;
    get  "/api/v1/models/{model}/versions/{version}/explain"        Read    insight::explain;
    get  "/api/v1/models/{model}/versions/{version}/promotions"     Read    insight::promotions;
    post "/api/v1/models/{model}/versions/{version}/evidence"       Operate actions::evidence;
    post "/api/v1/models/{model}/versions/{version}/approvals"      Approve actions::approvals;
    post "/api/v1/models/{model}/versions/{version}/promote"        Operate actions::promote;
    post "/api/v1/models/{model}/versions/{version}/rollback"       Operate actions::rollback;
    post "/api/v1/models/{model}/versions/{version}/overrides"      Operate actions::overrides;
    post "/api/v1/models/{model}/versions/{version}/unblock"        Operate actions::unblock;
    get  "/api/v1/gate/{model}/{version}"                           Read    api::gate;
    post "/hooks/flagger/confirm-rollout"                           Read    hooks::gate;
    post "/hooks/flagger/pre-rollout"                               Read    hooks::gate;
    post "/hooks/flagger/rollout"                                   Read    hooks::gate;
    post "/hooks/flagger/confirm-traffic-increase"                  Read    hooks::gate;
    post "/hooks/flagger/confirm-promotion"                         Read    hooks::gate;
    post "/hooks/flagger/rollback"                                  Read    hooks::rollback;
    post "/hooks/flagger/post-rollout"                              Report  hooks::ended;
    post "/hooks/flagger/event"                                     Report  hooks::ended;
};

impl Route {
    /// Whether the model stands in the body, and the token may.
    #[must_use]
    pub fn is_hook(&self) -> bool {
        self.path.starts_with("/hooks/")
    }
}

/// The router of the table: no handler is reached before its rule holds.
pub(super) fn table(app: &Shared, body_limit: usize) -> Router<Shared> {
    let mut router = Router::new();
    for route in ROUTES {
        let rule = Rule { app: Shared::clone(app), needs: route.needs, is_hook: route.is_hook(), body_limit };
        router = router.route(route.path, (route.handler)().route_layer(from_fn_with_state(rule, guard)));
    }
    router.layer(DefaultBodyLimit::max(body_limit))
}

/// Every path once, shortened where one lies under the one before.
pub(super) fn paths() -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut last = "";
    for route in ROUTES.iter().filter(|r| !r.is_hook()) {
        if shown.iter().any(|path| path == route.path) || route.path == last {
            continue;
        }
        last = route.path;
        let under = ["/api/v1/models/{model}/versions/{version}", "/api/v1/models/{model}"];
        let short = under.iter().find_map(|parent| {
            let rest = route.path.strip_prefix(parent)?;
            (!rest.is_empty() && rest.matches('/').count() == 1).then(|| format!("…{rest}"))
        });
        let short = short.unwrap_or_else(|| route.path.to_owned());
        if !shown.contains(&short) {
            shown.push(short);
        }
    }
    format!("{} and the hooks /hooks/flagger/{{confirm-rollout, …}}", shown.join(", "))
}
