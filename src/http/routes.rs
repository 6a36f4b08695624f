//! Every route and what it needs, in one table: the router, the protection of each route, the OpenAPI document, its page in docs/reference
//! and the matrix of who may do what (docs/security.md) are made from it, so that no route is without a rule or a description.

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::Html;
use axum::routing::MethodRouter;
use axum::{Json, Router};

use super::app::Shared;
use super::guard::{Rule, guard};
use super::operation::{self, Accepted, Created, JsonOrMarkdown, JsonOrParquet, Operation, OrNotYet, Text};
use super::{actions, cluster, explain, gate, hooks, ingest, models, pages, probes, series, status};
use crate::api;
use driftgate_core::gate::Answer;
use driftgate_core::promotion::version::VersionRecord;
use driftgate_core::rollout::State;

pub use super::needs::Needs;

/// One route: a method at a path.
#[derive(Clone, Copy)]
pub struct Route {
    /// In lower case.
    pub method: &'static str,
    pub path: &'static str,
    pub needs: Needs,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its query, body and answers.
    pub operation: fn() -> Operation,
    handler: fn() -> MethodRouter<Shared>,
}

/// `method path Needs handler, about [query] (body) => answer;`
macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $handler:path, $about:literal $([$query:ty])? $(($body:ty))? => $answer:ty;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            needs: Needs::$needs,
            about: $about,
            operation: || Operation::answering::<$answer>()$(.asking::<$query>())?$(.taking::<$body>())?,
            handler: || axum::routing::$method($handler),
        }),*]
    };
}

/// All of them.
#[rustfmt::skip]
pub const ROUTES: &[Route] = routes! {
    get "/" Page pages::home::home,
        "A page with every version, the worst first, and what is wrong; twenty rows at a time"
        [api::OverviewQuery] => Html<()>;
    get "/page.js" Probe pages::layout::script,
        "The script of the pages, which says when the server does not answer any more"
        => Text;
    get "/live" Probe probes::live,
        "Whether the process lives"
        => Text;
    get "/ready" Probe probes::ready,
        "Whether the daemon works, and if not what it waits for"
        => OrNotYet<api::Readiness>;
    get "/metrics" Metrics probes::scrape,
        "Metrics as Prometheus text"
        => Text;
    get "/models/{model}/versions/{version}" Page pages::version,
        "A page with the results of a version over time: the status of each group, what happened, and a line per rule"
        [api::VersionPageQuery] => Html<()>;
    get "/models/{model}/versions/{version}/subjects/{subject}" Page pages::feature,
        "A page with the values of a feature or another subject over time, and the distribution of a window"
        [api::PageQuery] => Html<()>;
    get "/models/{model}/versions/{version}/promotion" Page pages::promotion::promotion,
        "A page with the gate's answer, rollout, approvals and records of a version, and what whoever is signed in can do"
        [api::PromotionPageQuery] => Html<()>;
    get "/models/{model}/versions/{version}/promotion/{action}" Page pages::act::confirm,
        "A page that says what an action will do, with its button"
        [api::ActQuery] => Html<()>;
    post "/models/{model}/versions/{version}/promotion/{action}" Act pages::act::act,
        "Does what the page before said: a form with the fields of the query before and the session's `csrf`"
        => Html<()>;
    get "/sign-in" SignIn pages::session::ask,
        "A page to sign in with a token"
        [api::SignInQuery] => Html<()>;
    post "/sign-in" SignIn pages::session::sign_in,
        "Exchanges a token, in a form, for the cookie of a session"
        => Html<()>;
    get "/sign-in/issuer" SignIn pages::issuer::leave,
        "Sends a browser to the issuer to sign in there"
        [api::SignInQuery] => Html<()>;
    get "/sign-in/callback" SignIn pages::issuer::back,
        "Where the issuer sends the browser to: begins the session of who signed in there"
        [api::SignedInQuery] => Html<()>;
    post "/sign-out" SignIn pages::session::sign_out,
        "Ends a session: a form with its `csrf`"
        => Html<()>;
    get "/audit" Page pages::audit::audit,
        "A page with the audit log's records, the newest first, and whether its chain holds"
        [api::AuditQuery] => Html<()>;
    get "/operations" Page pages::operations::operations,
        "A page with partitions, watermarks, rejected events, sinks, checkpoints and memory; all but the models for those who may read every model"
        => Html<()>;
    get "/api/v1/openapi.json" Read operation::document,
        "This API as an OpenAPI 3.1 document"
        => Json<serde_json::Value>;
    get "/api/v1/status" Read status::status,
        "The daemon and every model in a few lines, and what is wrong, the worst first"
        => Json<api::Status>;
    get "/api/v1/cluster" Read cluster::cluster,
        "The cluster as this process sees it: its role, the owner, the members, and the age of its copy of the registry"
        => Json<api::Cluster>;
    get "/api/v1/inputs" Read status::inputs,
        "What was read of each topic, what share of it was rejected lately, and an example per reason"
        => Json<api::Inputs>;
    get "/api/v1/models" Read models::models,
        "Every model: one line per version and group"
        => Json<api::Models>;
    get "/api/v1/models/{model}" Read models::model,
        "A model: one line per version and group"
        => Json<api::ModelSummary>;
    get "/api/v1/models/{model}/status" Read status::model_status,
        "A model in a few lines, and what is wrong with it"
        => Json<api::ModelStatus>;
    get "/api/v1/models/{model}/history" Read explain::history,
        "The last records of the audit log on a model, the oldest first"
        [api::HistoryQuery] => Json<api::History>;
    get "/api/v1/models/{model}/rollout" Read explain::rollout,
        "The last rollout of a model, under way or ended"
        => Json<api::LastRollout>;
    post "/api/v1/models/{model}/rollout" Operate actions::rollouts::rollout,
        "Pauses, resumes, aborts or promotes a rollout, or reports how another controller's ended"
        (api::RolloutRequest) => Json<State>;
    post "/api/v1/models/{model}/freeze" Operate actions::rollouts::freeze,
        "Stops automatic actions on a model"
        (api::FreezeRequest) => Json<api::Frozen>;
    post "/api/v1/models/{model}/resume" Operate actions::rollouts::resume,
        "Lets automatic actions on a model happen again"
        => Json<api::Frozen>;
    get "/api/v1/models/{model}/versions/{version}" Read models::version,
        "A version, as events and the registry have it"
        => Json<api::VersionDetail>;
    post "/api/v1/models/{model}/versions/{version}" Operate actions::register::register,
        "Registers a version; the same registration again changes nothing"
        (api::RegisterRequest) => Created<VersionRecord>;
    get "/api/v1/models/{model}/versions/{version}/verdicts" Read models::verdicts,
        "Verdicts of a version, the newest first"
        [api::VerdictsQuery] => Json<api::Verdicts<'static>>;
    get "/api/v1/models/{model}/versions/{version}/series" Read series::series,
        "Values of a version over time, from the history, by rule and subject; or all that is kept of them as a file"
        [api::SeriesQuery] => JsonOrParquet<api::SeriesFound>;
    get "/api/v1/models/{model}/versions/{version}/distributions" Read series::distributions,
        "Distributions of a subject over time, from the history, each beside that of the training snapshot"
        [api::DistributionsQuery] => Json<api::DistributionsFound>;
    get "/api/v1/models/{model}/versions/{version}/explain" Read explain::explain,
        "Everything that speaks for and against a version"
        => Json<api::Explanation>;
    get "/api/v1/models/{model}/versions/{version}/promotions" Read explain::promotions,
        "The promotion records of a version, or the newest one as a note"
        [api::PromotionsQuery] => JsonOrMarkdown<api::Promotions>;
    post "/api/v1/models/{model}/versions/{version}/evidence" Operate actions::evidence::evidence,
        "Attaches evidence to a version"
        (api::EvidenceRequest) => Json<api::EvidenceKept>;
    post "/api/v1/models/{model}/versions/{version}/approvals" Approve actions::approvals::approvals,
        "Approves a version for a stage"
        (api::ApprovalRequest) => Json<api::Approved>;
    post "/api/v1/models/{model}/versions/{version}/promote" Operate actions::promotions::promote,
        "Promotes a version if the gate passes; the status is 200 whatever the gate says"
        (api::PromoteRequest) => Json<api::Promoted>;
    post "/api/v1/models/{model}/versions/{version}/rollback" Operate actions::promotions::rollback,
        "Takes prod back from a version"
        (api::RollbackRequest) => Json<api::RolledBack>;
    post "/api/v1/models/{model}/versions/{version}/overrides" Operate actions::overrides::overrides,
        "Takes a rule out of the gate's decision for a while"
        (api::OverrideRequest) => Json<api::Overridden>;
    post "/api/v1/models/{model}/versions/{version}/unblock" Operate actions::overrides::unblock,
        "Ends active blocks of a version"
        (api::UnblockRequest) => Json<api::Unblocked>;
    get "/api/v1/gate/{model}/{version}" Read gate::gate,
        "Whether a version may be promoted to a stage; the status is 200 whatever the answer"
        [api::GateQuery] => Json<Answer>;
    post "/events/{source}" Ingest ingest::post,
        "Takes an event, or a batch of CloudEvents, for the topic of a source: 202 once every one is in the topic, 429 where none was sent, 503 where that is not known"
        (serde_json::Value) => Accepted;
    post "/hooks/flagger/confirm-rollout" Read hooks::gate,
        "Flagger: 200 if the gate passes, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/pre-rollout" Read hooks::gate,
        "Flagger: 200 if the gate passes, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/rollout" Read hooks::gate,
        "Flagger: 200 if the gate passes, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/confirm-traffic-increase" Read hooks::gate,
        "Flagger: 200 if the gate passes, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/confirm-promotion" Read hooks::gate,
        "Flagger: 200 if the gate passes, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/rollback" Read hooks::rollback,
        "Flagger: 200 to roll back, else 403" (hooks::Call) => Text;
    post "/hooks/flagger/post-rollout" Report hooks::ended,
        "Flagger: how a rollout ended" (hooks::Call) => Text;
    post "/hooks/flagger/event" Report hooks::ended,
        "Flagger: how a rollout ended" (hooks::Call) => Text;
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
        let handler = (route.handler)().route_layer(from_fn_with_state(rule, guard));
        let is_page = matches!(route.needs, Needs::Page | Needs::SignIn | Needs::Act);
        let dressed = from_fn_with_state(Shared::clone(app), pages::trouble::dressed);
        router = router.route(route.path, if is_page { handler.layer(dressed) } else { handler });
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
