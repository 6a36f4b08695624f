//! The ports that the daemon listens on: HTTP, and TLS where it is configured. Both have the same routes and bounds.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::descriptors;
use crate::config::HttpConfig;
use crate::http::Traffic;
use crate::http::server::connections::{Bounds, Connections};
use crate::http::server::tls::Certificates;
use crate::http::server::{Hosts, Port};
use crate::http::slots::Slots;
use crate::telemetry::events::lifecycle::Listening;
use crate::view::Shared;

/// Binds every port; with so many descriptors, if that is known.
///
/// # Errors
/// An address that is taken, and a certificate that cannot be used.
pub fn open(
    config: &HttpConfig,
    descriptors: Option<u64>,
    runtime: &Runtime,
    view: &Shared,
) -> anyhow::Result<(Vec<Port>, Traffic)> {
    let bounds = Bounds::of(descriptors::connections(config.connections, descriptors));
    let certificates = config.tls.as_ref().map(Certificates::load).transpose().context("http.tls")?.map(Arc::new);
    let mut ports = vec![port(config, config.listen, "http.listen", None, runtime)?];
    if let (Some(tls), Some(certificates)) = (&config.tls, &certificates) {
        ports.push(port(config, tls.listen, "http.tls.listen", Some(Arc::clone(certificates)), runtime)?);
        runtime.spawn(Arc::clone(certificates).watch(view.clone()));
    }
    for port in &ports {
        let (address, connections) = (port.listener.local_addr()?, bounds.all);
        Listening { address, is_tls: port.tls.is_some(), connections, descriptors }.emit();
    }
    let connections = Arc::new(Connections::new(bounds));
    Ok((ports, Traffic { connections, slots: Arc::new(Slots::of(bounds.all)), certificates }))
}

fn port(
    config: &HttpConfig,
    at: SocketAddr,
    key: &str,
    tls: Option<Arc<Certificates>>,
    runtime: &Runtime,
) -> anyhow::Result<Port> {
    let listener = runtime
        .block_on(TcpListener::bind(at))
        .with_context(|| format!("cannot listen on {at}: another process may use the address; change {key}"))?;
    let hosts = Hosts::of(&config.hosts, listener.local_addr()?.ip());
    Ok(Port { listener, hosts, tls })
}
