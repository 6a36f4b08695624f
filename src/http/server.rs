//! The server loop: every connection has a bound on its time in each phase, and all together on their number, so that nobody
//! holds up others by being slow, silent or many. Requests under a foreign name are refused, and answers carry what keeps
//! browsers from misreading them.

mod connection;
pub mod connections;
mod expiry;
mod hosts;
pub mod tls;
mod watched;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::problem::Problem;
use connection::{BODY, Connection, HANDLING, Phase};
use connections::{Connections, Taken};
pub use hosts::Hosts;
use tls::Certificates;
use watched::{AnswerBody, RequestBody, Watched};

use crate::telemetry::events::http::{ForeignHost, NoHandshake};

/// A head is at most this long.
const HEAD_BYTES: usize = 32 * 1024;
/// What is buffered of a connection; a head must fit.
const BUFFERED_BYTES: usize = 64 * 1024;
const HEADERS: usize = 100;

/// A port with what it asks of those who come there.
pub struct Port {
    pub listener: TcpListener,
    pub hosts: Hosts,
    pub tls: Option<Arc<Certificates>>,
}

/// Answers on every port until `shutdown` completes, then finishes the requests that are under way.
///
/// # Errors
/// A port without an address.
pub async fn serve(
    ports: Vec<Port>,
    router: Router,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut loops = Vec::new();
    for port in ports {
        let door = Door { hosts: port.hosts, router: router.clone(), connections: Arc::clone(&connections) };
        let door = Arc::new(door);
        loops.push(tokio::spawn(accept(port.listener, port.tls, door, stopped.clone())));
    }
    drop(stopped);
    shutdown.await;
    let _ = stop.send(true);
    for accepting in loops {
        let _ = accepting.await;
    }
    // Each connection holds a receiver.
    stop.closed().await;
    Ok(())
}

/// What the connections of a port share.
struct Door {
    hosts: Hosts,
    router: Router,
    connections: Arc<Connections>,
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Certificates>>,
    door: Arc<Door>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = Duration::ZERO;
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = async { door.connections.room().await; listener.accept().await } => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = Duration::ZERO;
                let phase = if tls.is_some() { Phase::Handshake } else { Phase::Head };
                if let Some(taken) = door.connections.take(peer.ip(), phase).await {
                    tokio::spawn(one(stream, peer, taken, tls.clone(), Arc::clone(&door), stop.clone()));
                }
            }
            // The other side went away before.
            Err(e) if is_theirs(&e) => {}
            Err(e) => {
                door.connections.not_accepted(&e);
                // Descriptors may have run out.
                door.connections.end_one();
                pause = (pause * 2).clamp(Duration::from_millis(20), Duration::from_secs(1));
                tokio::select! { _ = stop.changed() => return, () = tokio::time::sleep(pause) => {} }
            }
        }
    }
}

fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection from its first byte to its last.
async fn one(
    stream: TcpStream,
    peer: SocketAddr,
    taken: Taken,
    tls: Option<Arc<Certificates>>,
    door: Arc<Door>,
    stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let caller = Caller { at: stream.local_addr().map_or(peer.ip(), |a| a.ip()), is_let_in: true };
    let Some(certificates) = tls else {
        return drive(stream, caller, &taken, door, stop).await;
    };
    let connection = &taken.connection;
    let shaken = tokio::select! {
        shaken = TlsAcceptor::from(certificates.current()).accept(stream) => shaken,
        phase = connection.overdue() => return door.connections.is_late(connection, phase),
        () = connection.closed.notified() => return,
    };
    match shaken {
        Ok(stream) => {
            let is_known = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
            let caller = Caller { is_let_in: is_known || !certificates.asks_clients(), ..caller };
            connection.enter(Phase::Head);
            drive(stream, caller, &taken, door, stop).await;
        }
        Err(error) => {
            NoHandshake { peer, error: &error, counter: &door.connections.counts.handshakes }.emit();
        }
    }
}

/// Who asks.
#[derive(Clone, Copy)]
struct Caller {
    /// The address of ours that was asked.
    at: IpAddr,
    /// Whether a certificate that is asked for was shown.
    is_let_in: bool,
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    io: S,
    caller: Caller,
    taken: &Taken,
    door: Arc<Door>,
    mut stop: watch::Receiver<bool>,
) {
    let connection = &taken.connection;
    let connections = Arc::clone(&door.connections);
    let of_requests = Arc::clone(connection);
    let service = service_fn(move |request| {
        let (door, connection) = (Arc::clone(&door), Arc::clone(&of_requests));
        async move { Ok::<_, Infallible>(answer(&door, caller, connection, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // The phases are shorter: this is what holds if they were wrong.
        .header_read_timeout(Duration::from_secs(75))
        .max_headers(HEADERS)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(BUFFERED_BYTES);
    let io = TokioIo::new(Watched { io, connection: Arc::clone(connection) });
    let mut served = pin!(http.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // How a connection ends is nobody's concern.
            _ = served.as_mut() => return,
            () = connection.closed.notified() => return,
            phase = connection.overdue() => return connections.is_late(connection, phase),
            _ = stop.changed(), if !is_stopping => {
                is_stopping = true;
                if matches!(connection.phase(), Phase::Head | Phase::Idle) {
                    return;
                }
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What probes ask.
const PROBES: [&str; 2] = ["/live", "/ready"];

async fn answer(
    door: &Door,
    caller: Caller,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    connection.begin_request();
    let mut response = if let Some((status, why)) = door.hosts.refusal(&request, caller.at) {
        ForeignHost { counter: &door.connections.counts.hosts }.emit();
        Problem::new(status, why).into_response()
    } else if caller.is_let_in || PROBES.contains(&request.uri().path()) {
        handled(door, &connection, request).await
    } else {
        Problem::forbidden("this needs a client certificate: show one that an authority of http.tls.client_ca signed")
            .into_response()
    };
    harden(response.headers_mut());
    connection.enter(Phase::Answer);
    response.map(|body| AnswerBody { body, connection })
}

/// The answer of a route, if there is one in time.
async fn handled(door: &Door, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(connection))));
    let answered = tokio::time::timeout(HANDLING, door.router.clone().oneshot(request)).await;
    if connection.is_body_late() {
        door.connections.is_late(connection, Phase::Body);
        let why = format!("the body did not come within {} s", BODY.as_secs());
        return closing(Problem::new(StatusCode::REQUEST_TIMEOUT, why));
    }
    match answered {
        Ok(Ok(response)) => response,
        Err(_) => {
            door.connections.is_late(connection, Phase::Handling);
            let why = format!(
                "no answer within {} s; what was asked for may still be done: see the status, and ask again",
                HANDLING.as_secs()
            );
            closing(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}

fn closing(problem: Problem) -> Response<Body> {
    let mut response = problem.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Keeps browsers from guessing types, keeping answers, and showing them to other pages.
fn harden(headers: &mut HeaderMap) {
    let resource_policy = HeaderName::from_static("cross-origin-resource-policy");
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (resource_policy, "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
