//! The API without a daemon: the same routes over the registry and the policies that a configuration names, called within
//! the process. What the stream says is what the registry keeps of it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

use super::exit::Failure;
use crate::clock::now_ms;
use crate::config::Config;
use crate::daemon::{self, sink_threads};
use crate::history::Reader;
use crate::http::auth::{Reading, Roles, Rules, is_issuers};
use crate::http::{Access, App, Tokens, Traffic, router};
use crate::ledger::Embedded;
use crate::sink::ingest::Ingest;
use crate::view::Shared;
use crate::view::cluster::ClusterView;
use crate::view::failing::Part;
use driftgate_core::audit::names::OWN_ACTORS;
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::Pipeline;

/// An answer is never longer.
const MOST_BYTES: usize = 256 << 20;

/// The routes, and who calls them.
pub struct Local {
    router: Router,
    runtime: tokio::runtime::Runtime,
    token: String,
    /// The registry is a copy, which only the owner's changes reach.
    is_of_cluster: bool,
}

impl Local {
    /// Opens the registry of a configuration. The caller acts as the user of the operating system, or by `token` if
    /// the configuration knows it.
    ///
    /// # Errors
    /// A configuration, policy, token or registry that cannot be used.
    pub fn open(path: &Path, token: Option<&str>) -> Result<Self, Failure> {
        Self::open_by(path, token, sink_threads::registry)
    }

    /// The same, waiting no longer than this for other processes.
    ///
    /// # Errors
    /// As `open`; a registry that another process holds is a `RegistryError`.
    pub fn open_within(path: &Path, token: Option<&str>, patience: Duration) -> Result<Self, Failure> {
        Self::open_by(path, token, |config| Ok(sink_threads::registry_within(config, patience)?))
    }

    fn open_by(
        path: &Path,
        token: Option<&str>,
        registry: impl FnOnce(&Config) -> anyhow::Result<Embedded>,
    ) -> Result<Self, Failure> {
        let config = daemon::read_config(path)?;
        let policies = daemon::read_policies(&config)?;
        // No thread reads an artifact on when this process has ended.
        let registry = Arc::new(registry(&config)?.waiting_for_artifacts());
        let view = Shared::default();
        view.write().doubts = daemon::ledger::doubts(&config, &registry)?;
        for policy in policies {
            daemon::show(&Pipeline::new(policy, Setup::default(), 1), registry.as_ref(), &view);
        }
        view.write().started = true;
        view.fails(Part::Daemon, "the registry alone answers");
        // Nobody asks the group here: how old the copy is, and who owns what, is not known.
        view.write().cluster = config.cluster.as_ref().map(|cluster| ClusterView {
            instance: cluster.instance.clone(),
            advertise: cluster.advertise.clone(),
            session: cluster.session,
            ..ClusterView::default()
        });
        let (access, token) = access(&config, token)?;
        let history = config.history.clone().map(Reader::of);
        let (access, traffic) = (Arc::new(access), Traffic::default());
        let router = router(App {
            view,
            registry,
            history,
            access,
            now_ms,
            traffic,
            ingest: Ingest::default(),
            series: config.metrics,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { router, runtime, token, is_of_cluster: config.cluster.is_some() })
    }

    /// Status and body of a request.
    ///
    /// # Errors
    /// A path that is none, or a change to the copy of a cluster's process.
    pub fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        if self.is_of_cluster && method != Method::GET {
            anyhow::bail!(
                "the configuration is of a process of a cluster, whose registry is a copy: send changes to a running process with --server, which names \
                 the owner"
            );
        }
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.unwrap_or_default()))?;
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await?;
            let status = response.status();
            Ok((status, to_bytes(response.into_body(), MOST_BYTES).await?.to_vec()))
        })
    }
}

/// Who has access here, and the token to call with. A user who can open the registry's file can read it.
fn access(config: &Config, given: Option<&str>) -> Result<(Access, String), Failure> {
    if let Some(token) = given {
        let access = Access::load(Rules { reading: Reading::Open, metrics: Reading::Open, ..config.http.rules() })?;
        if let Some(issuer) = access.issuer().filter(|_| is_issuers(token)) {
            issuer.refresh().map_err(|why| anyhow::anyhow!("the issuer of tokens does not give its keys: {why}"))?;
        }
        return Ok((access, token.to_owned()));
    }
    // A user who can write the registry's file needs no token; the actor is the user of the operating system.
    let token = format!("local-{}", std::process::id());
    Ok((Access::open(Tokens::one(&token, Roles::OPERATOR, "*", &actor())), token))
}

/// Who acts where no token says it: the user of the operating system, as far as it is known.
fn actor() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.trim().is_empty()));
    let name = name.map_or_else(|| "cli".to_owned(), |name| name.split_whitespace().collect::<Vec<_>>().join("_"));
    // A daemon's user is a person here: what it does by hand is not what the daemon does by itself.
    if OWN_ACTORS.contains(&name.as_str()) { format!("{name}@host") } else { name }
}
