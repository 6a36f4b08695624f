//! Where the objects of each kind are, and where they have their weights.

use serde_json::{Value, json};

use super::division::{Division, Pair, Weight};
use super::error::RouterError;
use super::mirror::{self, Mirror};
use driftgate_core::policy::Router;
use driftgate_core::policy::traffic::{Backends, ObjectName, in_names};
use driftgate_core::rollout::State;

/// An object that divides traffic, and the backends of a rollout in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `HTTPRoute ml/fraud`.
    pub router: String,
    /// Of the API server.
    pub path: String,
    divides: Divides,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Divides {
    GatewayApi { rule: Option<String>, backends: Backends },
    Istio { route: Option<String>, host: Option<String>, backends: Backends },
    Knative,
    Canary { predictor: String },
    Seldon { backends: Backends },
}

impl Target {
    /// The object of a router for a rollout; `None`: the router is no object of Kubernetes.
    ///
    /// # Errors
    /// Names that need a champion where there is none.
    pub fn of(router: &Router, state: &State) -> Result<Option<Self>, RouterError> {
        let named = |name: &str| named(name, &router.name(), state);
        let backends = |of: &Backends| backends(of, &router.name(), state);
        let (object, kind, divides) = match router {
            Router::GatewayApi { object, is_grpc, rule, backends: of } => {
                let kind = if *is_grpc { "grpcroutes" } else { "httproutes" };
                let divides = Divides::GatewayApi { rule: rule.clone(), backends: backends(of)? };
                (object, ("gateway.networking.k8s.io/v1", kind), divides)
            }
            Router::Istio { object, route, host, backends: of } => {
                let divides = Divides::Istio { route: route.clone(), host: host.clone(), backends: backends(of)? };
                (object, ("networking.istio.io/v1", "virtualservices"), divides)
            }
            Router::Kserve { object, predictor } => {
                let divides = match predictor {
                    Some(predictor) => Divides::Canary { predictor: named(predictor)? },
                    None => Divides::Knative,
                };
                (object, ("serving.kserve.io/v1beta1", "inferenceservices"), divides)
            }
            Router::Seldon { object, backends: of } => {
                let divides = Divides::Seldon { backends: backends(of)? };
                (object, ("mlops.seldon.io/v1alpha1", "experiments"), divides)
            }
            Router::SageMaker { .. } | Router::Webhook { .. } => return Ok(None),
        };
        let (ObjectName { namespace, name }, (version, plural)) = (object, kind);
        let path = format!("/apis/{version}/namespaces/{namespace}/{plural}/{}", named(name)?);
        Ok(Some(Self { router: router.name(), path, divides }))
    }

    /// How such objects mirror traffic; `None`: they do not.
    #[must_use]
    pub fn mirror(&self) -> Option<Mirror> {
        match self.divides {
            Divides::GatewayApi { .. } => Some(Mirror::GatewayApi),
            Divides::Istio { .. } => Some(Mirror::Istio),
            Divides::Seldon { .. } => Some(Mirror::Seldon),
            Divides::Knative | Divides::Canary { .. } => None,
        }
    }

    /// How the object, as the API server gives it, divides its traffic.
    ///
    /// # Errors
    /// An object without the backends, or with others beside them.
    pub fn division(&self, object: &Value) -> Result<Division, RouterError> {
        let pairs = match &self.divides {
            Divides::GatewayApi { rule, backends } => in_lists(
                object,
                ("/spec/rules", "backendRefs"),
                rule.as_deref(),
                backends,
                1.0,
                &|backend| backend.get("name").and_then(Value::as_str).map(str::to_owned),
                &["/name"],
            ),
            Divides::Istio { route, host, backends } => {
                let place = |field: &str, backend: &Value| {
                    backend.pointer(&format!("/destination/{field}")).and_then(Value::as_str).map(str::to_owned)
                };
                let named = |backend: &Value| match host {
                    None => place("host", backend),
                    Some(host) if place("host", backend).as_ref() == Some(host) => place("subset", backend),
                    Some(_) => None,
                };
                in_lists(object, ("/spec/http", "route"), route.as_deref(), backends, 0.0, &named, &["/destination"])
            }
            Divides::Knative => Ok(vec![knative(object)]),
            Divides::Canary { predictor } => canary(object, predictor),
            Divides::Seldon { backends } => seldon(object, backends).map(|pair| vec![pair]),
        };
        let pairs = pairs.map_err(|found| RouterError::Unlike { router: self.router.clone(), found })?;
        Ok(Division { pairs })
    }
}

/// A name in which versions stand for a rollout's.
///
/// # Errors
/// A name that needs a champion where there is none.
pub fn named(name: &str, router: &str, state: &State) -> Result<String, RouterError> {
    in_names(name, &state.candidate, state.champion.as_deref())
        .ok_or_else(|| RouterError::NoChampion { router: router.to_owned() })
}

/// The same of both backends.
///
/// # Errors
/// As `named`.
pub fn backends(of: &Backends, router: &str, state: &State) -> Result<Backends, RouterError> {
    Ok(Backends { stable: named(&of.stable, router, state)?, canary: named(&of.canary, router, state)? })
}

/// How an endpoint of `SageMaker`, as it is described, divides its traffic: by the weights that it has or is coming to.
///
/// # Errors
/// An endpoint without the variants, or with others beside them.
pub fn variants(router: &str, endpoint: &Value, backends: &Backends) -> Result<Division, RouterError> {
    let of = |key: &str, variant: &Value| variant.get(key).cloned();
    let list = endpoint.get("ProductionVariants").and_then(Value::as_array);
    let list: Vec<Value> = list
        .into_iter()
        .flatten()
        .map(|v| json!({"name": of("VariantName", v), "weight": of("DesiredWeight", v).or_else(|| of("CurrentWeight", v))}))
        .collect();
    let name = |variant: &Value| variant.get("name").and_then(Value::as_str).map(str::to_owned);
    let unlike = |found| RouterError::Unlike { router: router.to_owned(), found };
    match pair("/ProductionVariants", &list, backends, 0.0, &name, &[]).map_err(unlike)? {
        Some(pair) => Ok(Division { pairs: vec![pair] }),
        None => Err(unlike(lacks(backends, &[("the endpoint".to_owned(), names(&list, &name))]))),
    }
}

type Named<'a> = &'a dyn Fn(&Value) -> Option<String>;

/// The pairs of every rule of a list that has both backends, or of the rule with a name.
fn in_lists(
    object: &Value,
    (rules, refs): (&str, &str),
    wanted: Option<&str>,
    backends: &Backends,
    otherwise: f64,
    named: Named<'_>,
    beside: &[&str],
) -> Result<Vec<Pair>, String> {
    let list = object.pointer(rules).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut pairs = Vec::new();
    let mut seen = Vec::new();
    for (at, rule) in list.iter().enumerate() {
        let name = rule.get("name").and_then(Value::as_str);
        if wanted.is_some() && name != wanted {
            continue;
        }
        let of_rule = rule.get(refs).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        pairs.extend(pair(&format!("{rules}/{at}/{refs}"), of_rule, backends, otherwise, named, beside)?);
        seen.push((name.map_or_else(|| format!("rule {at}"), |name| format!("rule {name:?}")), names(of_rule, named)));
    }
    if let (true, Some(wanted)) = (seen.is_empty(), wanted) {
        return Err(format!("it has no rule {wanted:?}: correct `rule` of the policy's `traffic`"));
    }
    if pairs.is_empty() { Err(lacks(backends, &seen)) } else { Ok(pairs) }
}

/// The weights of both backends in a list of backends; `None`: one of them is not in it.
fn pair(
    path: &str,
    list: &[Value],
    backends: &Backends,
    otherwise: f64,
    named: Named<'_>,
    beside: &[&str],
) -> Result<Option<Pair>, String> {
    let weight = |at: usize, backend: &Value| Weight {
        path: format!("{path}/{at}/weight"),
        found: backend.get("weight").and_then(Value::as_f64),
        otherwise,
        beside: beside
            .iter()
            .filter_map(|field| Some((format!("{path}/{at}{field}"), backend.pointer(field)?.clone())))
            .collect(),
        is_mirrored: false,
    };
    let (mut stable, mut canary, mut others) = (None, None, Vec::new());
    for (at, backend) in list.iter().enumerate() {
        let name = named(backend);
        let weight = weight(at, backend);
        if name.as_deref() == Some(&backends.stable) {
            stable = Some(weight);
        } else if name.as_deref() == Some(&backends.canary) {
            canary = Some(weight);
        } else if weight.found.unwrap_or(otherwise) > 0.0 {
            others.push(name.unwrap_or_else(|| format!("backend {at}")));
        }
    }
    let (Some(stable), Some(canary)) = (stable, canary) else { return Ok(None) };
    if !others.is_empty() {
        return Err(format!(
            "beside {} and {} it gives traffic to {}: percentages hold between two backends; set the weight of the others to 0, or remove them",
            backends.stable,
            backends.canary,
            others.join(", ")
        ));
    }
    Ok(Some(Pair { stable: Some(stable), canary }))
}

fn names(list: &[Value], named: Named<'_>) -> Vec<String> {
    list.iter().map(|backend| named(backend).unwrap_or_else(|| "another".to_owned())).collect()
}

/// What an object has in place of the backends.
fn lacks(backends: &Backends, seen: &[(String, Vec<String>)]) -> String {
    let seen: Vec<String> = seen
        .iter()
        .map(|(of, names)| {
            format!("{of} has {}", if names.is_empty() { "no backends".to_owned() } else { names.join(", ") })
        })
        .collect();
    let seen = if seen.is_empty() { "it has no rules".to_owned() } else { seen.join("; ") };
    format!(
        "no rule has both {} and {}: {seen}; add what lacks, with any weight, or correct the policy's `traffic`",
        backends.stable, backends.canary
    )
}

/// The candidates of an experiment. None of them may be its mirror, too: what is mirrored to is read as the candidate that it becomes when
/// the mirror is taken away.
fn seldon(object: &Value, backends: &Backends) -> Result<Pair, String> {
    let named = |backend: &Value| backend.get("name").and_then(Value::as_str).map(str::to_owned);
    let candidates = object.pointer(mirror::CANDIDATES).and_then(Value::as_array);
    let mut list = candidates.cloned().unwrap_or_default();
    let is_mirrored = object.pointer("/spec/mirror/name").and_then(Value::as_str) == Some(&backends.canary);
    if is_mirrored {
        list.push(mirror::candidate(&backends.canary));
    }
    let found = pair(mirror::CANDIDATES, &list, backends, 0.0, &named, &["/name"])?;
    let lacks = || lacks(backends, &[("spec.candidates".to_owned(), names(&list, &named))]);
    let Pair { stable, canary } = found.ok_or_else(lacks)?;
    Ok(Pair { stable, canary: Weight { is_mirrored, ..canary } })
}

/// The share of the latest revision; without it, that gets everything.
fn knative(object: &Value) -> Pair {
    let path = "/spec/predictor/canaryTrafficPercent";
    let found = object.pointer(path).and_then(Value::as_f64);
    let canary = Weight { path: path.to_owned(), found, otherwise: 100.0, beside: Vec::new(), is_mirrored: false };
    Pair { stable: None, canary }
}

/// The share of a predictor in `spec.canary`, a list that is replaced as a whole by everything but a patch like this one.
fn canary(object: &Value, predictor: &str) -> Result<Vec<Pair>, String> {
    let list = object.pointer("/spec/canary").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |canary: &Value| canary.pointer("/predictor/name").and_then(Value::as_str).map(str::to_owned);
    let at = list.iter().position(|canary| name(canary).as_deref() == Some(predictor));
    let Some((at, canary)) = at.and_then(|at| Some((at, list.get(at)?))) else {
        let names = names(list, &name);
        let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        return Err(format!("spec.canary has no predictor {predictor:?}, but {has}: deploy it there first"));
    };
    let path = format!("/spec/canary/{at}");
    let canary = Weight {
        found: canary.get("trafficPercent").and_then(Value::as_f64),
        otherwise: 0.0,
        beside: vec![(format!("{path}/predictor/name"), Value::String(predictor.to_owned()))],
        path: format!("{path}/trafficPercent"),
        is_mirrored: false,
    };
    Ok(vec![Pair { stable: None, canary }])
}
