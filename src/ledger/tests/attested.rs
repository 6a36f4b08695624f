//! Attestations that are queued: of versions whose artifact lies in an OCI registry, with the digest that is known.

use serde_json::Value;

use super::*;

#[test]
fn a_block_of_an_artifact_in_a_registry_is_queued_with_its_digest_and_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::open(&folder.path().join("registry.db")).unwrap().telling(vec![Sink::Oci]);
    let hex = "ab".repeat(32);
    let versions = [
        ("1", "oci://ghcr.io/acme/m:1".to_owned(), Some(hex.clone())),
        ("2", format!("oci://ghcr.io/acme/m@sha256:{hex}"), None),
        ("3", "oci://ghcr.io/acme/m:3".to_owned(), None),
        ("4", "s3://models/m/4".to_owned(), Some(hex.clone())),
    ];
    for (version, artifact, artifact_sha256) in versions {
        let new = Registration { artifact: Some(artifact), artifact_sha256, ..plain(version) };
        registry.register(&new, "ci", 1).unwrap();
        registry.apply(&signal(Action::Block, version, "drift", 1), 2).unwrap();
    }
    let queued = registry.outgoing(Sink::Oci, 10).unwrap();
    let told: Vec<(String, Value)> = queued
        .iter()
        .map(|next| {
            let body: Value = serde_json::from_str(&next.body).unwrap();
            (body["version"].as_str().unwrap().to_owned(), body["statement"]["subject"][0]["digest"]["sha256"].clone())
        })
        .collect();
    let known = Value::from(hex);
    assert_eq!(told, [("1".into(), known.clone()), ("2".into(), known), ("3".into(), Value::Null)]);
    assert_eq!(queued[0].key, "oci://ghcr.io/acme/m:1");
    assert!(registry.attest("{}").is_some(), "it is signed when it is attached");
}
