//! `rollout.traffic`: the routers that make the traffic follow the weights of a rollout, and how their objects are named.

use super::keys;
use crate::yaml::{Item, Map, units};

/// What makes the traffic follow the weights of a rollout. Names are templates: see [`in_names`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Router {
    /// `backendRefs[].weight` of an `HTTPRoute` or a `GRPCRoute` of the Gateway API.
    GatewayApi { object: ObjectName, is_grpc: bool, rule: Option<String>, backends: Backends },
    /// `http[].route[].weight` of an Istio `VirtualService`. With a host the backends are its subsets, without one they are hosts.
    Istio { object: ObjectName, route: Option<String>, host: Option<String>, backends: Backends },
    /// `spec.predictor.canaryTrafficPercent` of a `KServe` `InferenceService`, or with a predictor its `spec.canary[].trafficPercent`.
    Kserve { object: ObjectName, predictor: Option<String> },
    /// The weights of a Seldon Core 2 `Experiment` of models.
    Seldon { object: ObjectName, backends: Backends },
    /// The weights of two production variants of a `SageMaker` endpoint.
    SageMaker { endpoint: String, backends: Backends },
    /// One of the configuration's `routing.webhooks`, by its name, and the text that it is sent.
    Webhook { to: String, body: Option<String> },
}

/// An object of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    pub namespace: String,
    pub name: String,
}

/// What serves the champion, and what serves the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backends {
    pub stable: String,
    pub canary: String,
}

impl Router {
    /// What messages and the registry call it: `HTTPRoute ml/fraud`.
    #[must_use]
    pub fn name(&self) -> String {
        let (kind, ObjectName { namespace, name }) = match self {
            Self::GatewayApi { object, is_grpc: false, .. } => ("HTTPRoute", object),
            Self::GatewayApi { object, is_grpc: true, .. } => ("GRPCRoute", object),
            Self::Istio { object, .. } => ("VirtualService", object),
            Self::Kserve { object, .. } => ("InferenceService", object),
            Self::Seldon { object, .. } => ("Experiment", object),
            Self::SageMaker { endpoint, .. } => return format!("SageMaker endpoint {endpoint}"),
            Self::Webhook { to, .. } => return format!("webhook {to}"),
        };
        format!("{kind} {namespace}/{name}")
    }

    /// Whether it takes whole percents only.
    fn is_whole(&self) -> bool {
        matches!(self, Self::Kserve { .. })
    }
}

/// A name with `{version}` replaced by the candidate and `{champion}` by the version that it replaces; `None` where there is no
/// champion to name.
#[must_use]
pub fn in_names(name: &str, candidate: &str, champion: Option<&str>) -> Option<String> {
    let named = name.replace("{version}", candidate);
    match champion {
        Some(champion) => Some(named.replace("{champion}", champion)),
        None => (!named.contains("{champion}")).then_some(named),
    }
}

/// The routers of a rollout whose steps have these weights.
pub(super) fn traffic(item: &Item, weights: &[f64]) -> Option<Vec<Router>> {
    let mut routers: Vec<Option<Router>> = Vec::new();
    for item in
        item.list("routers, like [{gateway_api: {route: fraud, stable: fraud-{champion}, canary: fraud-{version}}}]")?
    {
        let router = router(&item);
        if let Some(router) = &router {
            let name = router.name();
            if routers.iter().flatten().any(|other| other.name() == name) {
                item.report(format!("{name} is written twice: keep one"));
            }
            if router.is_whole()
                && let Some(weight) = weights.iter().find(|weight| weight.fract() != 0.0)
            {
                item.report(format!("KServe takes whole percents, and a step has weight {weight}: write a whole one"));
            }
        }
        routers.push(router);
    }
    routers.into_iter().collect()
}

fn router(item: &Item) -> Option<Router> {
    let map = item.map(&keys::ROUTER.names())?;
    if map.len() != 1 {
        return item.fail(format!(
            "expected one router, read {}: an entry has one of {}",
            map.len(),
            keys::ROUTER.names().join(", ")
        ));
    }
    let (kind, item) = map.entries().next()?;
    match kind {
        "gateway_api" => {
            let map = item.map(&keys::GATEWAY_API.names())?;
            let is_grpc =
                map.get("kind").map_or(Some(false), |item| item.choice(&[("HTTPRoute", false), ("GRPCRoute", true)]));
            let (object, rule) = (object(&map, "route"), optional(&map, "rule", "a rule's name"));
            Some(Router::GatewayApi { object: object?, is_grpc: is_grpc?, rule: rule?, backends: backends(&map)? })
        }
        "istio" => {
            let map = item.map(&keys::ISTIO.names())?;
            let (object, route) = (object(&map, "virtual_service"), optional(&map, "route", "a route's name"));
            let host = optional(&map, "host", "a host");
            Some(Router::Istio { object: object?, route: route?, host: host?, backends: backends(&map)? })
        }
        "kserve" => {
            let map = item.map(&keys::KSERVE_ROUTER.names())?;
            let object = object(&map, "inference_service");
            Some(Router::Kserve { object: object?, predictor: optional(&map, "predictor", "a predictor's name")? })
        }
        "seldon" => {
            let map = item.map(&keys::SELDON.names())?;
            let object = object(&map, "experiment");
            Some(Router::Seldon { object: object?, backends: backends(&map)? })
        }
        "sagemaker" => {
            let map = item.map(&keys::SAGEMAKER.names())?;
            let endpoint = map.require("endpoint", "fraud").and_then(|item| name(&item));
            Some(Router::SageMaker { endpoint: endpoint?, backends: backends(&map)? })
        }
        "webhook" => {
            let map = item.map(&keys::WEBHOOK_ROUTER.names())?;
            let to = map
                .require("to", "edge")
                .and_then(|item| item.slug("the name of one of the configuration's `routing.webhooks`"));
            let body = map.get("body").map(|item| item.text("a text").map(str::to_owned));
            let body = match body {
                Some(body) => Some(body?),
                None => None,
            };
            Some(Router::Webhook { to: to?.to_owned(), body })
        }
        // What it is was told where the keys were read.
        _ => None,
    }
}

fn optional(map: &Map, key: &str, wanted: &str) -> Option<Option<String>> {
    match map.get(key) {
        Some(item) => item.name(wanted).map(|name| Some(name.to_owned())),
        None => Some(None),
    }
}

/// The object that `key` names.
fn object(map: &Map, key: &str) -> Option<ObjectName> {
    let name = map.require(key, "fraud").and_then(|item| name(&item));
    let namespace = match map.get("namespace") {
        Some(item) => name_without_templates(&item),
        None => Some("default".to_owned()),
    };
    Some(ObjectName { namespace: namespace?, name: name? })
}

fn name_without_templates(item: &Item) -> Option<String> {
    let name = name(item)?;
    if name.contains('{') {
        return item.fail("a namespace has no version in it: write its name");
    }
    Some(name)
}

fn backends(map: &Map) -> Option<Backends> {
    let of = |key, example| map.require(key, example).and_then(|item| name(&item));
    let (stable, canary) = (of("stable", "\"fraud-{champion}\""), of("canary", "\"fraud-{version}\""));
    let (stable, canary) = (stable?, canary?);
    if stable == canary {
        let item = map.get("canary")?;
        return item.fail(format!("`stable` and `canary` are both {}: write two names", units::quote(&canary)));
    }
    Some(Backends { stable, canary })
}

/// A name of Kubernetes, in which `{version}` and `{champion}` stand for versions. It becomes a part of a path.
fn name(item: &Item) -> Option<String> {
    let name = item.name("a name, in which {version} and {champion} may stand for versions")?;
    let plain = name.replace("{version}", "").replace("{champion}", "");
    let is_plain = plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_plain || name.starts_with('.') {
        return item.fail(format!(
            "expected a name of letters, digits, `-`, `.` and `_`, with {{version}} or {{champion}} for versions, read {}",
            units::quote(name)
        ));
    }
    Some(name.to_owned())
}
