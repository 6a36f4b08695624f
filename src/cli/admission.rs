//! `driftgate admission`: a validating webhook of Kubernetes, which refuses objects whose labelled model version the gate does not pass.

mod review;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::logging;
use crate::http::server::connections::{Bounds, Connections};
use crate::http::server::tls::{Certificates, TlsConfig};
use crate::http::server::{Hosts, Port, serve};
use crate::telemetry::events::admission::{AdmissionListens, Admitted, Refused};
use crate::view::Shared;
use driftgate_core::gate::{Answer, GateVerdict};
use review::{Asked, Decision, Review, Subject};

/// The API server sends no object that is larger than etcd takes.
const BODY_BYTES: usize = 4 << 20;
/// The stage of a candidate that has a share of the traffic.
const CANARY: &str = "canary";

/// Refuses Kubernetes objects whose labelled model version the gate does not pass
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The labels or annotations driftgate.io/model, driftgate.io/version and driftgate.io/stage of an object, or of its pod template, name the version and the stage that it serves. An object that does not change them, and a version that stands in its stage or in a rollout, pass. Where the daemon cannot be asked, the object is refused.\n\nExample:\n  driftgate admission --listen 0.0.0.0:8443 --certificate tls.crt --key tls.key --server https://driftgate.ml:9464 --token-file token"
)]
pub struct Args {
    /// Address that the API server calls
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Certificate (PEM) of the webhook, which is read again when it changes
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Stage of objects that name none
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    stage: String,
    /// Refuses objects that name no model
    #[arg(long)]
    deny_unlabelled: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What every request needs.
struct Door {
    client: Client,
    stage: String,
    deny_unlabelled: bool,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    logging::start(None);
    let client = Client::new(&args.server)?;
    let files = TlsConfig {
        listen: args.listen,
        certificate: args.certificate.clone(),
        key: args.key.clone(),
        client_ca: None,
    };
    let certificates = Arc::new(Certificates::load(&files)?);
    let Args { stage, deny_unlabelled, .. } = args;
    let door = Arc::new(Door { client, stage: stage.clone(), deny_unlabelled: *deny_unlabelled });
    let router = axum::Router::new()
        .route("/validate", post(validate))
        .route("/live", get(|| async { "live" }))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Arc::clone(&door));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}: change --listen", args.listen))?;
        AdmissionListens { address: listener.local_addr()?, server: &args.server.server }.emit();
        tokio::spawn(Arc::clone(&certificates).watch(Shared::default()));
        let port = Port { listener, hosts: Hosts::default(), tls: Some(certificates) };
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let ends = async move {
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        };
        serve(vec![port], router, Arc::new(Connections::new(Bounds::of(256))), ends).await?;
        Ok::<_, Failure>(exit::PASS)
    })
}

/// POST /validate: an `AdmissionReview`.
async fn validate(
    State(door): State<Arc<Door>>,
    Json(given): Json<Value>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let review = Review::read(&given, &door.stage).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let answered = spawn_blocking(move || {
        let decision = decide(&door, &review);
        match &decision {
            Decision::Allow => Admitted { object: &review.object }.emit(),
            Decision::Deny(why) => Refused { object: &review.object, why }.emit(),
        }
        review.answer(&decision)
    });
    answered.await.map(Json).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

fn decide(door: &Door, review: &Review) -> Decision {
    match &review.asked {
        Asked::Unlabelled if door.deny_unlabelled => {
            Decision::Deny("it names no model: write the labels driftgate.io/model and driftgate.io/version".to_owned())
        }
        Asked::Unlabelled | Asked::Unchanged => Decision::Allow,
        Asked::Unclear(why) => Decision::Deny(why.clone()),
        Asked::Version(subject) => {
            judged(&door.client, subject).unwrap_or_else(|failure| Decision::Deny(format!("{:#}", failure.error)))
        }
    }
}

/// What the daemon says of a version.
fn judged(client: &Client, Subject { model, version, stage }: &Subject) -> Result<Decision, Failure> {
    let record: Value = client.get(&["api", "v1", "models", model, "versions", version], &[])?;
    let stages = record.get("stages").and_then(Value::as_array);
    let stages = stages.into_iter().flatten().filter_map(Value::as_str);
    if stages.into_iter().any(|standing| standing == stage || standing == CANARY) {
        return Ok(Decision::Allow);
    }
    let answer: Answer = client.get(&["api", "v1", "gate", model, version], &[("to", stage)])?;
    Ok(match answer.verdict {
        GateVerdict::Pass => Decision::Allow,
        verdict => Decision::Deny(format!(
            "version {version} of {model} may not be promoted to {stage} ({}): {}",
            verdict.name(),
            answer.reasons.join("; ")
        )),
    })
}
