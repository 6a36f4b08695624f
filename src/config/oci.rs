//! `oci:`: registries of OCI artifacts.

use super::key::{Key, default, names, optional};
use super::reader::{ConfigReader, given};
use super::sinks::OWN_TLS;
use super::types::OciConfig;
use crate::oci::{Location, Registries};
use driftgate_core::fact::attestation::SCHEME;
use driftgate_core::yaml::Item;

pub const OCI: [Key; 4] = [
    default(
        "attestations",
        "`true` or `false`",
        "false",
        "Whether each promotion, block, rollback and failed rollout of a version is attested beside its artifact, signed with the key of the audit log. It is \
         for versions that are registered with an `oci://` artifact, and needs the right to push there.",
    ),
    optional(
        "auth_file",
        "path",
        "Logins, in the form of Docker's `config.json`, as Kubernetes mounts a secret of type `kubernetes.io/dockerconfigjson`. Without it: where Docker and \
         Podman keep them.",
    ),
    default(
        "plain_http",
        "list of `host:port`",
        "[]",
        "Registries that speak no TLS. Those of this machine (`localhost`, `127.0.0.1`) need not be named.",
    ),
    OWN_TLS,
];

impl ConfigReader<'_> {
    /// What the section says; the usual without one.
    pub(super) fn oci(&self, item: Option<&Item>) -> Option<OciConfig> {
        let Some(item) = item else {
            let registries = Registries { ca_file: self.ca_file.clone(), ..Registries::default() };
            return Some(OciConfig { attestations: false, registries });
        };
        let map = item.map(const { &names(&OCI) })?;
        let attestations = map.get("attestations").map_or(Some(false), |item| item.boolean());
        let auth_file = map.get("auth_file").map(|item| self.path(&item));
        let plain_http = map.get("plain_http").map_or_else(|| Some(Vec::new()), |item| hosts(&item));
        let ca_file = self.authorities(map.get("tls").as_ref());
        let registries = Registries { auth_file: given(auth_file)?, plain_http: plain_http?, ca_file: ca_file? };
        Some(OciConfig { attestations: attestations?, registries })
    }
}

/// Registries, as locations name them.
fn hosts(item: &Item) -> Option<Vec<String>> {
    let hosts = item.list("registries, like [\"registry.models.svc:5000\"]")?.into_iter().map(|item| {
        let host = item.name("a registry")?;
        let named = format!("{SCHEME}{host}/model").parse::<Location>();
        if named.is_ok_and(|location| location.registry() == host) {
            return Some(host.to_owned());
        }
        item.fail(format!("expected a registry's host, read {host:?}: write it without http:// and path, like registry.models.svc:5000"))
    });
    hosts.collect::<Vec<_>>().into_iter().collect()
}
