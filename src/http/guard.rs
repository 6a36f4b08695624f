//! What stands before every handler: the rule of its route. Whoever is let through is handed on with the request.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::app::Shared;
use super::auth::{Access, Caller, Role, Visitor};
use super::hooks::Call;
use super::needs::{Act, Needs};
use super::problem::Problem;
use super::standby;

/// The rule of one route.
#[derive(Clone)]
pub(super) struct Rule {
    pub app: Shared,
    pub needs: Needs,
    pub is_hook: bool,
    pub body_limit: usize,
}

/// Which models whoever asks may see.
#[derive(Clone, Debug)]
pub(super) struct Sight(Option<Caller>);

impl Sight {
    /// Of a probe, which is always answered: everything where reading is open, else what its token may see, if it sends one.
    async fn of_probe(access: &Access, header: Option<&str>) -> Self {
        if access.is_open() {
            return Self(None);
        }
        let caller = match header {
            Some(header) => access.recognise(Some(header), Role::Viewer).await.ok(),
            None => None,
        };
        Self(Some(caller.unwrap_or_else(|| Caller { actor: String::new(), grants: Vec::new() })))
    }

    pub fn sees(&self, model: &str) -> bool {
        self.0.as_ref().is_none_or(|caller| caller.sees(model))
    }

    /// Whether nothing is hidden from it.
    pub fn sees_all(&self) -> bool {
        self.0.as_ref().is_none_or(Caller::sees_all)
    }
}

impl FromRequestParts<Shared> for Sight {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal("a route has no rule"))
    }
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal("a route of a page has no rule"))
    }
}

impl Visitor {
    /// Whether whoever is signed in may do something to a model.
    pub(super) fn may(&self, act: Act, model: &str) -> Result<(), Problem> {
        let Some(caller) = &self.caller else {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in: sign in with a token first"));
        };
        caller.may(act.role(), Some(model)).map_err(Problem::from)
    }
}

/// Lets a request through to its handler, or refuses it.
pub(super) async fn guard(State(rule): State<Rule>, request: Request, next: Next) -> Response {
    let is_page = rule.needs == Needs::Page;
    match admit(&rule, request).await {
        Ok(Admitted { mut request, changes }) => {
            if !changes {
                return next.run(request).await;
            }
            if let Some(answer) = standby::instead(&rule.app, &mut request, rule.body_limit).await {
                return answer;
            }
            let uri = request.uri().clone();
            standby::confirmed(&rule.app, &uri, next.run(request).await)
        }
        Err(problem) if is_page => problem.asking_for_password().into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// A request that is let through.
struct Admitted {
    request: Request,
    /// Whether it is to change something.
    changes: bool,
}

async fn admit(rule: &Rule, request: Request) -> Result<Admitted, Problem> {
    let (mut parts, mut body) = request.into_parts();
    let access = &rule.app.access;
    let mut call = None;
    if rule.is_hook {
        // Flagger names the model in the body, and can send a token nowhere else.
        let bytes =
            axum::body::to_bytes(body, rule.body_limit).await.map_err(|_| Problem::too_long(rule.body_limit))?;
        call = Some(Call::read(&bytes)?);
        body = Body::from(bytes);
    }
    let tells_an_end = call.as_ref().is_some_and(|call| call.succeeded().is_some());
    let (needs, open) = match rule.needs {
        Needs::Probe | Needs::SignIn | Needs::Ingest => (Role::Viewer, true),
        // Whoever is signed in is looked at below.
        Needs::Act => return acting(rule, parts, body).await,
        Needs::Metrics => (Role::Viewer, access.metrics_are_open()),
        Needs::Report if tells_an_end => (Role::Operator, false),
        Needs::Page | Needs::Read | Needs::Report => (Role::Viewer, access.is_open()),
        Needs::Approve => (Role::Approver, false),
        Needs::Operate => (Role::Operator, false),
    };
    let changes = match rule.needs {
        Needs::Approve | Needs::Operate | Needs::Act => true,
        Needs::Report => tells_an_end,
        Needs::Probe | Needs::SignIn | Needs::Ingest | Needs::Metrics | Needs::Page | Needs::Read => false,
    };
    let header = parts.headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).map(str::to_owned);
    let visitor = match rule.needs {
        Needs::Page | Needs::SignIn => Some(visiting(access, &mut parts).await),
        _ => None,
    };
    if open {
        let is_probe = rule.needs == Needs::Probe;
        let sight = if is_probe { Sight::of_probe(access, header.as_deref()).await } else { Sight(None) };
        parts.extensions.insert(sight);
        return Ok(Admitted { request: Request::from_parts(parts, body), changes });
    }
    let (header, model) = match &call {
        Some(call) => {
            let sent = header.or_else(|| call.token().map(|token| format!("Bearer {token}")));
            (sent, Some(call.model().to_owned()))
        }
        None => (header, model_of(&mut parts, &rule.app).await?),
    };
    let caller = match (header, visitor.and_then(|visitor| visitor.caller)) {
        (None, Some(caller)) => caller,
        (header, _) => access.recognise(header.as_deref(), needs).await?,
    };
    match (&model, rule.needs) {
        (Some(model), _) => caller.may(needs, Some(model))?,
        // Lists are cut to what the caller may see.
        (None, Needs::Page | Needs::Read) => {}
        // Figures of every model.
        (None, _) => caller.may(needs, None)?,
    }
    parts.extensions.insert(Sight(Some(caller.clone())));
    parts.extensions.insert(caller);
    Ok(Admitted { request: Request::from_parts(parts, body), changes })
}

/// Whoever is signed in, handed on with the request.
async fn visiting(access: &Access, parts: &mut Parts) -> Visitor {
    let all: Vec<&str> = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let visitor = access.visitor(&all.join("; "), path, Instant::now()).await;
    parts.extensions.insert(visitor.clone());
    visitor
}

/// A person who is signed in changes something by a page: with the role that the route of the API asks for.
async fn acting(rule: &Rule, mut parts: Parts, body: Body) -> Result<Admitted, Problem> {
    let visitor = visiting(&rule.app.access, &mut parts).await;
    let action = named(&mut parts, &rule.app, "action").await?.unwrap_or_default();
    let act =
        Act::read(&action).ok_or_else(|| Problem::not_found(format!("{action:?} is nothing that can be done here")))?;
    let model = model_of(&mut parts, &rule.app).await?.unwrap_or_default();
    visitor.may(act, &model)?;
    Ok(Admitted { request: Request::from_parts(parts, body), changes: true })
}

/// The model that the path names.
async fn model_of(parts: &mut Parts, app: &Shared) -> Result<Option<String>, Problem> {
    named(parts, app, "model").await
}

/// A part of the path.
async fn named(parts: &mut Parts, app: &Shared, part: &str) -> Result<Option<String>, Problem> {
    let names = RawPathParams::from_request_parts(parts, app).await;
    let names = names.map_err(|e| Problem::bad_request(e.body_text()))?;
    Ok(names.iter().find(|(name, _)| *name == part).map(|(_, value)| value.to_owned()))
}
