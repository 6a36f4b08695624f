//! Problems of the daemon as a whole: what is not read, refused, not delivered, or fails and is tried again.

use super::types::{Problem, Severity};
use crate::view::View;
use crate::view::cluster::{ClusterView, NotCurrent};
use crate::view::failing::Part;
use crate::view::readiness::{Latch, NotReady};

/// What is wrong with the daemon as a whole; `undelivered` are the things that wait, by sink.
#[must_use]
pub fn of_daemon(view: &View, undelivered: &[(String, u64)]) -> Vec<Problem> {
    let mut found: Vec<Problem> = view
        .readiness
        .by_name()
        .iter()
        .map(|(what, why)| {
            Problem::of_daemon(Severity::Halted, format!("not ready: {what}: {why}"), "see the daemon's log")
        })
        .collect();
    // A process that does not own the ledger delivers nothing: the owner tells of that.
    let delivers = view.cluster.as_ref().is_none_or(ClusterView::owns);
    let does_nothing = view.cluster.as_ref().is_some_and(|cluster| !cluster.owns() && !cluster.counts());
    if !view.started && found.is_empty() && !does_nothing {
        found.push(Problem::of_daemon(
            Severity::Halted,
            "not ready: it is starting".to_owned(),
            "wait, or see the daemon's log",
        ));
    }
    for why in &view.doubts.why {
        let next = format!(
            "restore it from a backup while driftgate is stopped, or start it once with --accept-new-registry {}",
            view.doubts.id
        );
        found.push(Problem::of_daemon(Severity::Production, why.clone(), &next));
    }
    if let Some(why) = &view.fallback {
        let next = "check the disk of the state folder; driftgate state verify names every defect";
        found.push(Problem::of_daemon(Severity::Warning, why.clone(), next));
    }
    found.extend(inputs(view));
    found.extend(halves(view));
    found.extend(outlets(view));
    found.extend(failing(view));
    found.extend(behind(view));
    found.extend(ahead(view));
    found.extend(sinks(view, if delivers { undelivered } else { &[] }));
    if view.started && view.models.is_empty() {
        let next = "name a policy in the configuration under policies";
        found.push(Problem::of_daemon(
            Severity::Halted,
            "no models: the configuration names no policy".to_owned(),
            next,
        ));
    }
    found.sort_by_key(|p| p.severity);
    found
}

/// Sinks for which messages wait, or that do not answer.
fn sinks(view: &View, undelivered: &[(String, u64)]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (sink, count) in undelivered.iter().filter(|(_, count)| *count > 0) {
        let why = view.failing.get(&Part::Sink(sink.clone())).map_or("it does not take them", String::as_str);
        let problem = format!("{count} messages wait for {sink}: {why}");
        found.push(Problem::of_daemon(Severity::Refused, problem, "see the daemon's log"));
    }
    let waits = |sink: &String| undelivered.iter().any(|(other, count)| other == sink && *count > 0);
    for (part, why) in &view.failing {
        if let Part::Sink(sink) = part
            && !waits(sink)
        {
            found.push(Problem::of_daemon(
                Severity::Refused,
                format!("{sink} does not answer: {why}"),
                "see the daemon's log",
            ));
        }
    }
    found
}

/// What is wrong with the cluster, as one of its processes sees it.
#[must_use]
pub fn of_cluster(cluster: &ClusterView, now_ms: i64) -> Option<Problem> {
    let names = |name: &String| cluster.members.iter().filter(|member| member.instance == *name).count();
    let Some(why) = cluster
        .units
        .iter()
        .map(|unit| unit.models.first().map(String::as_str))
        .chain([None])
        .find_map(|model| cluster.not_current(model, now_ms))
    else {
        let twice = cluster.members.iter().map(|member| &member.instance).find(|name| names(name) > 1)?;
        return Some(Problem::of_daemon(
            Severity::Unknown,
            format!(
                "the group has two processes with the cluster.instance {twice:?}, or one of them died less than {} s ago: the one that takes over \
                 keeps the other from writing",
                cluster.session.as_secs()
            ),
            "give each process a cluster.instance of its own",
        ));
    };
    let severity = if matches!(why, NotCurrent::NoOwner | NotCurrent::NotCounted { .. }) {
        Severity::Halted
    } else {
        Severity::Unknown
    };
    Some(Problem::of_daemon(severity, why.to_string(), "driftgate cluster status shows every process and its copy"))
}

/// What is wrong with what is read, by topic.
fn inputs(view: &View) -> Vec<Problem> {
    let mut all = Vec::new();
    for (topic, input) in &view.inputs {
        for what in input.left_out(topic) {
            all.push(Problem::of_daemon(Severity::Partial, what, "GET /api/v1/inputs has an example of each reason"));
        }
        // What makes the daemon not ready is told already.
        let told = view.readiness.reason(&Latch::Input { topic: topic.clone() });
        let is_told = |why: &String| matches!(told, Some(NotReady::InputUnreadable { summary, .. }) if summary == why);
        let Some(problem) = input.problem(topic).filter(|why| !is_told(why)) else { continue };
        let severity = if input.unreadable(topic).is_some() { Severity::Refused } else { Severity::Partial };
        all.push(Problem::of_daemon(severity, problem, "read the dead letters: they name the origin and the reason"));
    }
    for sentence in view.remarks.values().flat_map(|of_topic| &of_topic.sentences) {
        all.push(Problem::of_daemon(
            Severity::Refused,
            sentence,
            "compare the events with the source's configuration and the policy",
        ));
    }
    all
}

/// A part that fails: how bad it is, the sentence, and the next step; none of a sink.
// Long: an entry for each part.
fn of_part(part: &Part, why: &str) -> Option<Problem> {
    let (severity, problem, next) = match part {
        Part::Daemon => (
            Severity::Unknown,
            format!("{why}: what the daemon reads, rejects and cannot write is not known"),
            "ask the daemon: driftgate status --server URL",
        ),
        Part::Reading => (
            Severity::Halted,
            format!("nothing is read until results are delivered: {why}"),
            "see the daemon's log: it says what does not take them",
        ),
        Part::Registry => (
            Severity::Halted,
            format!("what was judged does not get into the registry, and nothing follows from it: {why}"),
            "see that nothing else holds the registry's file, and that its disk has room",
        ),
        Part::Policies => (
            Severity::Waiting,
            format!("the policies were not taken over: {why}"),
            "driftgate check --config FILE, then SIGHUP or a restart",
        ),
        Part::Tokens => (
            Severity::Waiting,
            format!("the tokens were not taken over, and those read before hold: {why}"),
            "correct http.tokens_file, then SIGHUP",
        ),
        Part::Issuer => (
            Severity::Waiting,
            format!("the issuer of tokens does not give its keys, and those from before hold: {why}"),
            "see that the daemon reaches http.oidc.issuer",
        ),
        Part::DeadLetters => (
            Severity::Refused,
            format!("dead letters are not kept: {why}"),
            "see publish.dead_letters in the configuration: the topic, or the disk of the path",
        ),
        Part::Schemas => (
            Severity::Halted,
            format!("messages are not read, since their schemas cannot be fetched: {why}"),
            "see that the daemon reaches schema_registry.url, and may read there",
        ),
        Part::History => (
            Severity::Refused,
            format!("results over time are not kept: {why}"),
            "see that the disk of history.path has room and can be written: what waits is written then",
        ),
        Part::HistoryDays => (
            Severity::Warning,
            format!("days of the history that are over are not put in order: {why}"),
            "see history.path and history.store in the configuration; the days stay, and it is tried again",
        ),
        Part::Tls => (
            Severity::Waiting,
            format!("https: {why}"),
            "put a certificate and its key where http.tls names them: they are read when they change, and on SIGHUP",
        ),
        Part::Ingest(topic) => (
            Severity::Refused,
            format!("events over HTTP for {topic} are refused: {why}"),
            "see that the brokers answer and the topic exists; senders have to send again what was not answered with 202",
        ),
        Part::Router(_) => (
            Severity::Halted,
            format!("the traffic does not follow a rollout: {why}"),
            "it is tried again every few seconds; until then the traffic stays as it is, also where it should go back",
        ),
        Part::Query(metric) => {
            (Severity::Unknown, format!("{metric} is not measured: {why}"), "see prometheus in the configuration")
        }
        Part::Labels(model) => (
            Severity::Unknown,
            format!("{model}: labels are silent, and what reads them is judged without: {why}"),
            "see where labels stay; labels.silent_after in the policy says how long they are waited for",
        ),
        Part::LabelsApart(model) => (
            Severity::Partial,
            format!("{model}: {why}"),
            "see the producers' keys, partitioners and numbers of partitions",
        ),
        Part::Group => (
            Severity::Halted,
            format!("this process takes nothing over in its cluster: the group of the brokers: {why}"),
            "see that every process runs and reaches the brokers; what is counted already goes on, and a process that the group does not take in ends after a minute and a half, to be started again",
        ),
        Part::Slot(name) => (
            Severity::Halted,
            format!("nothing is done here for {name}, which is this process's: {why}"),
            "see that the brokers answer in time; after ten failures one soon after the other the process ends, and is to be started again",
        ),
        Part::Sink(_) => return None,
    };
    Some(Problem::of_daemon(severity, problem, next))
}

/// What fails and is tried again, but for what is told elsewhere: sinks.
fn failing(view: &View) -> Vec<Problem> {
    let mut all: Vec<Problem> = view.failing.iter().filter_map(|(part, why)| of_part(part, why)).collect();
    if view.dead_letters_lost > 0 && !view.failing.contains_key(&Part::DeadLetters) {
        let problem = format!("{} dead letters could not be kept since the start", view.dead_letters_lost);
        all.push(Problem::of_daemon(Severity::Partial, problem, "GET /api/v1/inputs has an example of each reason"));
    }
    all
}

/// Partitions that are not read as fast as they are written; what is said to be unreadable is told already.
fn behind(view: &View) -> Vec<Problem> {
    let is_told = |topic: &str, partition: i32| {
        view.readiness.holds(&Latch::Kafka)
            || view.readiness.holds(&Latch::Reading { topic: topic.to_owned(), partition })
            || view.replaced.contains_key(topic)
    };
    let mut all = Vec::new();
    for ((topic, partition), behind) in view.behind.iter().filter(|((t, p), _)| !is_told(t, *p)) {
        let Some(source) = view.sources.get(&(topic.clone(), *partition)) else { continue };
        let lag = source.lag().unwrap_or(0);
        let (severity, problem, next) = if let Some(stood) = behind.stuck() {
            let why = match source.held_by_transaction {
                0 if source.paused => ", since others are behind it in event time",
                0 => "",
                _ => ": a transaction is open before them",
            };
            let what =
                format!("{lag} messages wait in {topic}/{partition}, and none was read for {} s{why}", stood.as_secs());
            (
                Severity::Halted,
                what,
                "is a transaction open there, a baseline not loaded, or another partition behind? see the daemon's log",
            )
        } else if let Some((more, span)) = behind.grows() {
            let what = format!("{lag} messages wait in {topic}/{partition}, {more} more than {} s ago", span.as_secs());
            (Severity::Unknown, what, "more is written than read: give it more cores (--threads)")
        } else {
            continue;
        };
        all.push(Problem::of_daemon(severity, problem, next));
    }
    all
}

/// Topics of which many requests or responses never met their other half: one in a hundred, or any that had no room to wait.
fn halves(view: &View) -> impl Iterator<Item = Problem> {
    view.halves.iter().filter_map(|(topic, counts)| {
        let alone = counts.requests + counts.responses + counts.dropped;
        if alone == 0 || (counts.dropped == 0 && alone * 100 < counts.joined) {
            return None;
        }
        let problem = format!(
            "{alone} requests and responses of {topic:?} never met their other half and count nowhere: {} requests without a response, {} \
             responses without a request, {} dropped as too many waited; {} met",
            counts.requests, counts.responses, counts.dropped, counts.joined
        );
        let next = "see that the logger's mode is `all` and that both halves go to this topic, or the responses to that of `responses`; `wait` says how long they wait";
        Some(Problem::of_daemon(Severity::Partial, problem, next))
    })
}

/// Partitions whose last events are ahead of their pace, with none after them that would confirm or contradict their times.
fn ahead(view: &View) -> impl Iterator<Item = Problem> {
    let waiting = view.sources.iter().filter(|(_, source)| source.idle && source.ahead > 0);
    waiting.map(|((topic, partition), source)| {
        let problem = format!(
            "the last events of {topic}/{partition} ({}) are ahead of its pace: its windows wait for others to confirm their times",
            source.ahead
        );
        let next = "they close with the next events; see `future` of the source in the configuration";
        Problem::of_daemon(Severity::Partial, problem, next)
    })
}

/// What others were told in vain.
fn outlets(view: &View) -> Vec<Problem> {
    let dropped = view.undeliverable.iter().filter(|(_, n)| **n > 0).map(|(sink, n)| {
        let problem = format!("{n} messages can never be delivered to {sink} and were dropped");
        Problem::of_daemon(Severity::Refused, problem, "see the daemon's log: it names each of them")
    });
    let unregistered = view.unregistered.iter().filter(|(_, n)| **n > 0).map(|(model, n)| Problem {
        severity: Severity::Candidate,
        model: Some(model.clone()),
        version: None,
        problem: format!(
            "{n} versions with stages or blocks here are not registered in the external registry, which is not told of them"
        ),
        next: Some("register them there: it is told then".to_owned()),
    });
    dropped.chain(unregistered).collect()
}
