//! What a configuration and its policies lack together.

use crate::config::{ClusterConfig, Config, Reading, SourceConfig};
use crate::http::server::tls::Certificates;
use crate::http_client::is_loopback;
use driftgate_core::event::EventKind;
use driftgate_core::policy::Policy;
use driftgate_core::policy::lint::Lint;

fn serves(source: &SourceConfig, model: &str) -> bool {
    source.models.is_empty() || source.models.iter().any(|m| m == model)
}

/// Sources of models that no policy is for.
pub fn unknown_models(config: &Config, policies: &[&Policy]) -> Vec<Lint> {
    let mut found = Vec::new();
    for (at, source) in config.sources.iter().enumerate().filter(|(_, source)| source.requests.is_none()) {
        let named = source.models.iter().map(|m| ("models", m)).chain(source.model.iter().map(|m| ("model", m)));
        for (key, model) in named.filter(|(_, m)| !policies.iter().any(|p| p.model == **m)) {
            let known: Vec<&str> = policies.iter().map(|p| p.model.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            found.push(Lint {
                path: format!("sources[{at}].{key}"),
                message: format!("no policy is for {model:?}; the models are {known}"),
            });
        }
    }
    found
}

/// Advice on a valid configuration. `tokens` says whether there are any, or why they cannot be read.
pub fn lint(config: &Config, policies: &[&Policy], tokens: Result<bool, String>) -> Vec<Lint> {
    let mut found = Vec::new();
    inputs(config, &mut found);
    for policy in policies.iter().filter(|_| config.kafka.is_some()) {
        missing_sources(config, policy, &mut found);
    }
    access(config, tokens, &mut found);
    if let Some(cluster) = &config.cluster {
        among_several(config, cluster, &mut found);
    }
    found
}

/// Advice on a process of a cluster.
fn among_several(config: &Config, cluster: &ClusterConfig, found: &mut Vec<Lint>) {
    let url = reqwest::Url::parse(&cluster.advertise).ok();
    let listens = config.http.outermost();
    if listens.ip().to_canonical().is_loopback() && url.as_ref().is_some_and(|url| !is_loopback(url)) {
        let advertise = &cluster.advertise;
        let message = format!(
            "{advertise} leads to other machines, and HTTP listens on {listens} alone: let http.listen be 0.0.0.0:9464"
        );
        say(found, "cluster.advertise", message);
    }
    if url.is_some_and(|url| url.scheme() == "https") && config.http.tls.is_none() {
        let message = "it is https, and there is no http.tls: right only behind a proxy of each process's own";
        say(found, "cluster.advertise", message);
    }
    if let Err(error) = std::fs::File::open(&cluster.audit_key) {
        let path = cluster.audit_key.display();
        say(found, "cluster.audit_key", format!("{path} cannot be read: {error}; on this machine, at least"));
    }
}

fn say(found: &mut Vec<Lint>, path: &str, message: impl Into<String>) {
    found.push(Lint { path: path.to_owned(), message: message.into() });
}

/// Advice on what the daemon reads, and on where it keeps its registry.
fn inputs(config: &Config, found: &mut Vec<Lint>) {
    if config.policies.is_empty() {
        say(found, "policies", "there are none: the daemon would watch nothing; name policy files");
    }
    if config.registry.path == config.registry_before() {
        let message = "it lies in the state folder, which is moved away to count anew: name a folder of its own, like registry/registry.db; the next start \
                       moves it there";
        say(found, "registry.embedded.path", message);
    }
    match &config.kafka {
        None => say(found, "kafka", "there is none: the daemon would read nothing; name the brokers"),
        Some(kafka) => {
            if let Err(error) = kafka.client_properties() {
                say(found, "kafka.property_files", format!("{error}; on this machine, at least"));
            }
        }
    }
}

/// Sources that a policy's rules need and the configuration does not have.
fn missing_sources(config: &Config, policy: &Policy, found: &mut Vec<Lint>) {
    let model = &policy.model;
    let reads = |kind| config.sources.iter().any(|s| s.kind == kind && serves(s, model));
    if !reads(EventKind::Predictions) {
        say(
            found,
            "sources",
            format!(
                "no source of predictions is for {model:?}: no version of it would be seen; add {{topic: …, kind: predictions}}"
            ),
        );
    }
    if policy.rules().any(|r| r.kind.reads_labels()) && !reads(EventKind::Labels) {
        say(
            found,
            "sources",
            format!(
                "{model:?} has rules that need labels, and no source of labels is for it: they would never be judged; add {{topic: …, kind: labels}}"
            ),
        );
    }
    if !policy.measured.is_empty() && !reads(EventKind::Measurements) {
        say(
            found,
            "sources",
            format!(
                "{model:?} has measured rules, and no source of measurements is for it: their groups would never be judged; add {{topic: …, kind: measurements}}"
            ),
        );
    }
}

/// Advice on who can read and change over HTTP.
fn access(config: &Config, tokens: Result<bool, String>, found: &mut Vec<Lint>) {
    let listen = config.http.outermost();
    if config.http.reading() == Reading::Token && tokens == Ok(false) && config.http.oidc.is_none() {
        say(
            found,
            "http.tokens_file",
            format!(
                "reading needs a token at {listen}, and there are none: nobody can read or change anything; name a file of tokens"
            ),
        );
    }
    if config.http.reading() == Reading::Open && !listen.ip().to_canonical().is_loopback() {
        say(
            found,
            "http.read",
            format!("{listen} is open to other machines: everybody who reaches it can read; write token"),
        );
    }
    if let Some(tls) = &config.http.tls {
        if !config.http.listen.ip().is_loopback() {
            let message = "it is open to other machines without TLS beside http.tls: let it listen on 127.0.0.1";
            say(found, "http.listen", message);
        }
        if let Err(error) = Certificates::load(tls) {
            say(found, "http.tls", format!("{error}; on this machine, at least"));
        }
    }
    if let Err(error) = tokens {
        say(found, "http.tokens_file", error);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a]}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 1d}
checks:
  fair:
    window: {size: 7d, slide: 1d}
    rules: [{tpr_gap: {by: s, lt: 0.2}}]
";

    fn advice(config: &str, tokens: Result<bool, String>) -> Vec<(String, String)> {
        let config = crate::config::parse(config, Path::new("c.yaml")).unwrap();
        let policy = driftgate_core::policy::parse(POLICY, Path::new("p.yaml")).unwrap();
        lint(&config, &[&policy], tokens).into_iter().map(|l| (l.path, l.message)).collect()
    }

    #[test]
    fn sources_that_are_missing_are_named() {
        let config =
            |sources: &str| format!("policies: [p.yaml]\nkafka: {{brokers: \"k:9092\"}}\nsources: [{sources}]\n");
        let both = "{topic: p, kind: predictions, models: [m]}, {topic: l, kind: labels}";
        assert_eq!(advice(&config(both), Ok(false)), []);
        let found = advice(&config("{topic: p, kind: predictions, models: [x]}"), Ok(false));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].1.starts_with("no source of predictions") && found[1].1.contains("need labels"), "{found:?}");
        let measured = POLICY.replace("rules: [", "rules: [{measured: {of: cost, lt: 1}}, ");
        let policy = driftgate_core::policy::parse(&measured, Path::new("p.yaml")).unwrap();
        let lint = |sources: &str| {
            let config = crate::config::parse(&config(sources), Path::new("c.yaml")).unwrap();
            lint(&config, &[&policy], Ok(false)).into_iter().map(|l| l.message).collect::<Vec<_>>()
        };
        let found = lint(both);
        assert!(found.len() == 1 && found[0].contains("no source of measurements is for it"), "{found:?}");
        assert_eq!(lint(&format!("{both}, {{topic: q, kind: measurements}}")), Vec::<String>::new());
        let found = advice("policies: [p.yaml]\n", Ok(false));
        assert!(found.len() == 1 && found[0].0 == "kafka", "{found:?}");
    }

    #[test]
    fn a_process_of_a_cluster_is_reached_by_the_others_and_has_their_key() {
        let key = tempfile::NamedTempFile::new().unwrap();
        let config = |advertise: &str, key: &Path, http: &str| {
            format!(
                "policies: [p.yaml]\nkafka: {{brokers: \"k:9092\"}}\nsources: [{{topic: p, kind: predictions}}, {{topic: l, kind: labels}}]\n\
                 cluster: {{instance: a, advertise: \"{advertise}\", audit_key: {}}}\nhttp: {http}\n",
                key.display()
            )
        };
        let open = "{listen: \"0.0.0.0:9464\"}";
        assert_eq!(advice(&config("http://10.0.0.1:9464", key.path(), open), Ok(true)), []);
        assert_eq!(advice(&config("http://127.0.0.1:9464", key.path(), "{}"), Ok(true)), []);
        let found = advice(&config("https://10.0.0.1:9464", Path::new("/nowhere.pem"), "{}"), Ok(true));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["cluster.advertise", "cluster.advertise", "cluster.audit_key"], "{found:?}");
        assert!(
            found[0].1.contains("listens on 127.0.0.1:9464 alone")
                && found[2].1.starts_with("/nowhere.pem cannot be read")
        );
    }

    #[test]
    fn an_open_door_is_named() {
        let config = "policies: [p.yaml]\nkafka: {brokers: \"k:9092\"}\nsources: [{topic: p, kind: predictions}, {topic: l, kind: labels}]\nhttp: {listen: \"0.0.0.0:9464\"}\n";
        let found = advice(config, Ok(false));
        assert!(
            found.len() == 1 && found[0].0 == "http.tokens_file" && found[0].1.contains("nobody can read or change"),
            "{found:?}"
        );
        assert_eq!(advice(config, Ok(true)), []);
        let found = advice(&config.replace("9464\"", "9464\", read: open"), Ok(true));
        assert!(found.len() == 1 && found[0].1.contains("0.0.0.0:9464 is open"), "{found:?}");
        assert_eq!(advice(config, Err("the tokens file".into()))[0].1, "the tokens file");
        let tls = "9464\", tls: {listen: \"0.0.0.0:9465\", certificate: nowhere.pem, key: nowhere.key}";
        let found = advice(&config.replace("9464\"", tls), Ok(true));
        assert_eq!(found.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["http.listen", "http.tls"]);
        assert!(found[1].1.starts_with("the certificate file nowhere.pem cannot be read"), "{found:?}");
    }
}
