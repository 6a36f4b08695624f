//! What is wrong, the worst first: everything that is halted, blocked, refused, undelivered, unknown, stale or late, over all
//! models, each in a sentence with what to do about it. Values in, sentences out: who collects the facts is elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ledger::{self, UNCONFIRMED};
use crate::view::failing::Part;
use crate::view::readiness::{Latch, Reason};
use crate::view::{ModelView, VersionView, View};
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::{Status, Verdict};
use driftgate_core::policy::{Enforce, Policy};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::{PendingRollback, StageMove, VersionRecord};
use driftgate_core::rollout::{Phase, State};

/// How bad it is; the first is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is not read, counted or served at all.
    Halted,
    /// What serves production fails, or does not serve as the registry says.
    Production,
    /// Input is refused, or results do not leave.
    Refused,
    /// Something waits for a person.
    Waiting,
    /// Nothing can be said of what serves production.
    Unknown,
    /// A version that does not serve production is blocked, or nothing can be said of it.
    Candidate,
    /// A limit is nearly reached, or it is breached and nothing follows from that.
    Warning,
    /// Some events were left out of the counts.
    Partial,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    pub severity: Severity,
    pub model: Option<String>,
    pub version: Option<String>,
    pub problem: String,
    /// What an operator does next.
    pub next: Option<String>,
}

/// What the registry says of a model.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    pub records: Vec<VersionRecord>,
    /// Since when and why automatic actions stand still.
    pub frozen: Option<String>,
    /// The last rollout, under way or ended.
    pub rollout: Option<State>,
    pub pending: Option<PendingRollback>,
    /// What the registry elsewhere (MLflow) lost: versions, and pointers that were taken away.
    pub lost: Vec<ledger::Problem>,
    /// The last move of the pointer prod.
    pub last_prod_move: Option<StageMove>,
}

/// What is wrong with the daemon as a whole; `undelivered` are the things that wait, by sink.
#[must_use]
pub fn of_daemon(view: &View, undelivered: &[(String, u64)]) -> Vec<Problem> {
    let plain = |severity, problem, next: &str| Problem {
        severity,
        model: None,
        version: None,
        problem,
        next: Some(next.to_owned()),
    };
    let mut found: Vec<Problem> = view
        .readiness
        .by_name()
        .iter()
        .map(|(what, why)| plain(Severity::Halted, format!("not ready: {what}: {why}"), "see the daemon's log"))
        .collect();
    if !view.started && found.is_empty() {
        found.push(plain(Severity::Halted, "not ready: it is starting".to_owned(), "wait, or see the daemon's log"));
    }
    for why in &view.doubts.why {
        let next = format!(
            "restore it from a backup while driftgate is stopped, or start it once with --accept-new-registry {}",
            view.doubts.id
        );
        found.push(plain(Severity::Production, why.clone(), &next));
    }
    found.extend(inputs(view));
    found.extend(outlets(view));
    found.extend(failing(view));
    found.extend(behind(view));
    found.extend(ahead(view));
    for (sink, count) in undelivered.iter().filter(|(_, count)| *count > 0) {
        let why = view.failing.get(&Part::Sink(sink.clone())).map_or("it does not take them", String::as_str);
        let problem = format!("{count} messages wait for {sink}: {why}");
        found.push(plain(Severity::Refused, problem, "see the daemon's log"));
    }
    let waits = |sink: &String| undelivered.iter().any(|(other, count)| other == sink && *count > 0);
    for (part, why) in &view.failing {
        if let Part::Sink(sink) = part
            && !waits(sink)
        {
            found.push(plain(Severity::Refused, format!("{sink} does not answer: {why}"), "see the daemon's log"));
        }
    }
    if view.started && view.models.is_empty() {
        let next = "name a policy in the configuration under policies";
        found.push(plain(Severity::Halted, "no models: the configuration names no policy".to_owned(), next));
    }
    found.sort_by_key(|p| p.severity);
    found
}

/// What is wrong with what is read, by topic.
fn inputs(view: &View) -> Vec<Problem> {
    let plain = |severity, problem: &str, next: &str| Problem {
        severity,
        model: None,
        version: None,
        problem: problem.to_owned(),
        next: Some(next.to_owned()),
    };
    let mut all = Vec::new();
    for (topic, input) in &view.inputs {
        for what in input.left_out(topic) {
            all.push(plain(Severity::Partial, &what, "GET /api/v1/inputs has an example of each reason"));
        }
        // What makes the daemon not ready is told already.
        let told = view.readiness.reason(&Latch::Input { topic: topic.clone() });
        let is_told = |why: &String| matches!(told, Some(Reason::InputUnreadable { summary, .. }) if summary == why);
        let Some(problem) = input.problem(topic).filter(|why| !is_told(why)) else { continue };
        let severity = if input.unreadable(topic).is_some() { Severity::Refused } else { Severity::Partial };
        all.push(plain(severity, &problem, "read the dead letters: they name the origin and the reason"));
    }
    for sentence in view.remarks.values().flat_map(|of_topic| &of_topic.sentences) {
        all.push(plain(
            Severity::Refused,
            sentence,
            "compare the events with the source's configuration and the policy",
        ));
    }
    all
}

/// What fails and is tried again, but for what is told elsewhere: sinks.
fn failing(view: &View) -> Vec<Problem> {
    let tell = |(part, why): (&Part, &String)| {
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
            Part::Tls => (
                Severity::Waiting,
                format!("https: {why}"),
                "put a certificate and its key where http.tls names them: they are read when they change, and on SIGHUP",
            ),
            Part::Query(metric) => {
                (Severity::Unknown, format!("{metric} is not measured: {why}"), "see prometheus in the configuration")
            }
            Part::Labels(model) => (
                Severity::Unknown,
                format!("{model}: labels are silent, and what reads them is judged without: {why}"),
                "see where labels stay; labels.silent_after in the policy says how long they are waited for",
            ),
            Part::Sink(_) => return None,
        };
        Some(Problem { severity, model: None, version: None, problem, next: Some(next.to_owned()) })
    };
    let mut all: Vec<Problem> = view.failing.iter().filter_map(tell).collect();
    if view.dead_letters_lost > 0 && !view.failing.contains_key(&Part::DeadLetters) {
        all.push(Problem {
            severity: Severity::Partial,
            model: None,
            version: None,
            problem: format!("{} dead letters could not be kept since the start", view.dead_letters_lost),
            next: Some("GET /api/v1/inputs has an example of each reason".to_owned()),
        });
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
        all.push(Problem { severity, model: None, version: None, problem, next: Some(next.to_owned()) });
    }
    all
}

/// Partitions whose last events are ahead of their pace, with none after them that would confirm or contradict their times.
fn ahead(view: &View) -> impl Iterator<Item = Problem> {
    let waiting = view.sources.iter().filter(|(_, source)| source.idle && source.ahead > 0);
    waiting.map(|((topic, partition), source)| Problem {
        severity: Severity::Partial,
        model: None,
        version: None,
        problem: format!(
            "the last events of {topic}/{partition} ({}) are ahead of its pace: its windows wait for others to confirm their times",
            source.ahead
        ),
        next: Some("they close with the next events; see `future` of the source in the configuration".to_owned()),
    })
}

/// What others were told in vain.
fn outlets(view: &View) -> Vec<Problem> {
    let dropped = view.undeliverable.iter().filter(|(_, n)| **n > 0).map(|(sink, n)| Problem {
        severity: Severity::Refused,
        model: None,
        version: None,
        problem: format!("{n} messages can never be delivered to {sink} and were dropped"),
        next: Some("see the daemon's log: it names each of them".to_owned()),
    });
    let unregistered = view.unregistered.iter().filter(|(_, n)| **n > 0).map(|(model, n)| Problem {
        severity: Severity::Candidate,
        model: Some(model.clone()),
        version: None,
        problem: format!(
            "{n} versions with stages or blocks here are not registered in MLflow, which is not told of them"
        ),
        next: Some("register them in MLflow: it is told then".to_owned()),
    });
    dropped.chain(unregistered).collect()
}

/// What is wrong with a model; `now_ms` is the clock that freshness is measured by.
#[must_use]
pub fn of_model(model: &str, seen: &ModelView, facts: &ModelFacts, now_ms: i64) -> Vec<Problem> {
    let found = Found { model, seen, facts, now_ms };
    let mut all = found.pointers();
    all.extend(found.waiting());
    let mut names: Vec<&str> = facts.records.iter().map(|r| r.version.as_str()).collect();
    names.extend(seen.versions.keys().map(String::as_str).filter(|v| !names.contains(v)).collect::<Vec<_>>());
    for name in &names {
        all.extend(found.version(name));
    }
    if names.is_empty() {
        let next = format!("driftgate register {} VERSION, or check that events name the model", quoted(model));
        all.push(found.problem(
            Severity::Unknown,
            None,
            "no versions: none is registered, and no event names one",
            next,
        ));
    }
    all.extend(found.left_out());
    all.sort_by_key(|p| p.severity);
    all
}

struct Found<'a> {
    model: &'a str,
    seen: &'a ModelView,
    facts: &'a ModelFacts,
    now_ms: i64,
}

impl Found<'_> {
    fn problem(&self, severity: Severity, version: Option<&str>, problem: impl Into<String>, next: String) -> Problem {
        Problem {
            severity,
            model: Some(self.model.to_owned()),
            version: version.map(str::to_owned),
            problem: problem.into(),
            next: Some(next),
        }
    }

    fn explain(&self, version: &str, why: &str) -> String {
        format!("driftgate explain {} {}   # {why}", quoted(self.model), quoted(version))
    }

    /// Prod's pointer and who serves.
    fn pointers(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        if let Some(PendingRollback { from, to, since, .. }) = &self.facts.pending {
            let what = format!("rolled back from {from} to {to} at {since}, and {to} was not seen serving since");
            let next = format!("make sure that {to} serves instead of {from}: the traffic does not show it yet");
            all.push(self.problem(Severity::Production, Some(to), what, next));
        }
        all.extend(self.facts.lost.iter().filter(|lost| self.concerns(lost)).map(|lost| self.lost(lost)));
        let prod_is_lost = self.facts.lost.iter().any(|lost| lost.stage.as_deref() == Some(PROD));
        let in_prod = |v: &VersionRecord| v.stages.iter().any(|s| s == PROD);
        if prod_is_lost || self.facts.records.iter().any(in_prod) {
            return all;
        }
        let register =
            |version: &str| format!("driftgate register {} {} --stage {PROD}", quoted(self.model), quoted(version));
        if let Some(StageMove { from: Some(from), to: None, at, actor, reason, .. }) = &self.facts.last_prod_move {
            let what = format!("{PROD} points to no version since {}: {actor} took it from {from}: {reason}", utc(*at));
            all.push(self.problem(Severity::Production, Some(from), what, register(from)));
        } else if let Some(version) = self.serving() {
            let what =
                format!("events say that version {version} serves {PROD}, and the registry has no version there");
            all.push(self.problem(Severity::Production, Some(version), what, register(version)));
        }
        all
    }

    /// MLflow has aliases for other ends, too: those that nobody named here are a problem where the policy names them.
    fn concerns(&self, lost: &ledger::Problem) -> bool {
        let stage = lost.stage.as_deref().unwrap_or(PROD);
        let transitions = &self.seen.policy.transitions;
        lost.kind != UNCONFIRMED || stage == PROD || transitions.iter().any(|t| t.from == stage || t.to == stage)
    }

    fn lost(&self, lost: &ledger::Problem) -> Problem {
        let ledger::Problem { kind, version, stage, since, detail, .. } = lost;
        let stands_in_prod = |version: &String| {
            self.facts.records.iter().any(|r| r.version == *version && r.stages.iter().any(|s| s == PROD))
        };
        let is_prod =
            stage.as_deref() == Some(PROD) || (stage.is_none() && version.as_ref().is_some_and(stands_in_prod));
        let severity = if is_prod { Severity::Production } else { Severity::Candidate };
        let next = match (stage, version) {
            (Some(_), Some(_)) if *kind != UNCONFIRMED => {
                "put the alias back in MLflow, or promote a version by its gate".to_owned()
            }
            (Some(stage), Some(version)) => {
                format!("driftgate register {} {} --stage {}", quoted(self.model), quoted(version), quoted(stage))
            }
            _ => "register the version in MLflow again, or promote another".to_owned(),
        };
        self.problem(severity, version.as_deref(), format!("{kind} since {since}: {detail}"), next)
    }

    /// The version that the latest windows show in prod.
    fn serving(&self) -> Option<&str> {
        let latest = self.seen.versions.iter().flat_map(|(name, v)| v.latest().map(move |verdict| (name, verdict)));
        let in_prod = latest.filter(|(_, verdict)| verdict.stage.as_deref() == Some(PROD));
        in_prod.max_by_key(|(_, verdict)| verdict.window.end).map(|(name, _)| name.as_str())
    }

    /// What stands still until a person does something.
    fn waiting(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        if let Some(frozen) = &self.facts.frozen {
            let next = format!(
                "driftgate resume {}   # once the cause is known: nothing moves by itself until then",
                quoted(self.model)
            );
            all.push(self.problem(Severity::Waiting, None, format!("frozen {frozen}"), next));
        }
        let Some(state) = self.facts.rollout.as_ref().filter(|state| !state.phase.is_over()) else { return all };
        let act = |action: &str, why: &str| format!("driftgate rollout {action} {}   # {why}", quoted(self.model));
        let version = Some(state.candidate.as_str());
        if let Some(why) = &state.paused {
            let what = format!("the rollout of {} is paused: {why}", state.candidate);
            let next = act("resume", "or abort, once it is clear why it stands still");
            all.push(self.problem(Severity::Waiting, version, what, next));
        } else if state.phase == Phase::WaitingPromotion && !state.confirmed {
            let what = format!("the rollout of {} waits: {}", state.candidate, state.why);
            all.push(self.problem(
                Severity::Waiting,
                version,
                what,
                act("promote", "it waits for a person, or for the gate"),
            ));
        }
        all
    }

    fn version(&self, name: &str) -> Vec<Problem> {
        let record = self.facts.records.iter().find(|r| r.version == name);
        let stages = record.map_or(&[][..], |r| &r.stages);
        let seen = self.seen.versions.get(name);
        let in_prod = stages.iter().any(|s| s == PROD);
        let title = match stages {
            [] => format!("version {name}"),
            _ => format!("version {name} ({})", stages.join(", ")),
        };
        let mut all = Vec::new();
        let blocking = blocking(&self.seen.policy, record, seen);
        if let Some((first, more)) = blocking.split_first() {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let severity = if in_prod { Severity::Production } else { Severity::Candidate };
            let next = self
                .explain(name, if in_prod { "what is wrong with the version in prod" } else { "why it is blocked" });
            all.push(self.problem(severity, Some(name), format!("{title} is blocked: {first}{more}"), next));
        }
        let gone = |group: &str| self.seen.policy.groups.iter().all(|g| g.name != group);
        for block in record.into_iter().flat_map(|r| &r.blocks).filter(|b| gone(&b.group)) {
            let (group, since) = (&block.group, &block.since);
            let what = format!(
                "{title} is blocked since {since} by {group:?}, a group that the policy does not have: no window will clear it"
            );
            let next = format!(
                "driftgate unblock {} {} --group {} --reason REASON",
                quoted(self.model),
                quoted(name),
                quoted(group)
            );
            all.push(self.problem(Severity::Waiting, Some(name), what, next));
        }
        if let Some(Err(why)) = seen.and_then(|s| s.baseline.as_ref()) {
            let severity = if in_prod { Severity::Unknown } else { Severity::Candidate };
            let next = "correct where its snapshot lies: it is tried again".to_owned();
            all.push(self.problem(severity, Some(name), format!("{title} has no baseline: {why}"), next));
        }
        if let Some(why) = seen.and_then(|s| s.snapshot.as_ref()) {
            let what = format!("the snapshot of {title} cannot be read, its counts go on: {why}");
            let next = "correct where its snapshot lies: it is tried again".to_owned();
            all.push(self.problem(Severity::Partial, Some(name), what, next));
        }
        // Where no pointer says which version serves, any may.
        let may_serve = in_prod || !self.facts.records.iter().any(|r| !r.stages.is_empty());
        let is_judgeable = seen.is_some_and(|s| !matches!(s.baseline, Some(Err(_))));
        if (!stages.is_empty() || (may_serve && is_judgeable)) && blocking.is_empty() {
            let severity = if may_serve { Severity::Unknown } else { Severity::Candidate };
            if let Some(why) = self.unsure(seen) {
                let next = self.explain(name, "why nothing can be said of it");
                all.push(self.problem(severity, Some(name), format!("{title}: {why}"), next));
            }
        }
        if let Some(warning) = seen.and_then(|seen| self.warned(seen)) {
            let next = self.explain(name, "what its limits are and how it came there");
            all.push(self.problem(Severity::Warning, Some(name), format!("{title} {warning}"), next));
        }
        all
    }

    /// What the latest windows show beside what blocks: warnings, breaches of groups that only warn, and muted ones.
    fn warned(&self, seen: &VersionView) -> Option<String> {
        let mut first: Option<String> = None;
        let mut more = 0;
        for group in self.seen.policy.groups.iter().filter(|g| g.enforce != Enforce::Observe) {
            let Some(latest) = seen.latest().find(|v| v.group == group.name) else { continue };
            for result in &latest.results {
                let what = match (result.muted, result.status, result.decides()) {
                    (true, Status::Block, _) => "is muted and breaks a limit",
                    (false, Status::Warn, _) | (false, _, Status::Warn) => "warns",
                    (false, Status::Block, _) if group.enforce == Enforce::Warn => "breaks a limit that only warns",
                    _ => continue,
                };
                match &first {
                    None => first = Some(format!("{what}: {}", result.sentence())),
                    Some(_) => more += 1,
                }
            }
        }
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        first.map(|first| first + &more)
    }

    /// Why the enforced groups say nothing of a version now.
    fn unsure(&self, seen: Option<&VersionView>) -> Option<String> {
        let enforced = self.seen.policy.groups.iter().filter(|g| g.enforce == Enforce::Block);
        let mut why: Vec<(Status, String)> = Vec::new();
        for group in enforced {
            let latest = seen.and_then(|s| s.latest().find(|v| v.group == group.name));
            let Some(latest) = latest else {
                why.push((Status::Warn, format!("group {} has not judged it yet", group.name)));
                continue;
            };
            let end = utc(latest.window.end);
            if self.now_ms.saturating_sub(latest.window.end) > group.stale_after {
                why.push((Status::Block, format!("group {} is stale: its last window ended {end}", group.name)));
            } else if !latest.window.complete {
                let reason =
                    latest.results.iter().find_map(|r| r.reason.as_deref()).unwrap_or("counts began within it");
                why.push((
                    Status::Insufficient,
                    format!("group {}: its last window is incomplete: {reason}", group.name),
                ));
            } else if latest.decides() == Status::Insufficient {
                let reason = first_reason(latest, Status::Insufficient);
                why.push((Status::Insufficient, format!("group {} has too little data: {reason}", group.name)));
            }
        }
        why.into_iter().max_by_key(|(status, _)| *status).map(|(_, why)| why)
    }

    /// Events that the model's counts lack.
    fn left_out(&self) -> Vec<Problem> {
        let c = &self.seen.counters;
        let lateness = "raise lateness in the policy, or find out why they come late".to_owned();
        let labels = c.joined.saturating_add(c.unmatched);
        let share_of = |part: u64, percent: u64, all: u64| {
            if part.saturating_mul(100) > all.saturating_mul(percent) { part } else { 0 }
        };
        [
            (c.after_close, format!("{} events came after their window was judged", c.after_close), lateness.clone()),
            (
                c.ahead,
                format!(
                    "{} events were ahead of their partition's pace, and the events after them contradict their times",
                    c.ahead
                ),
                "see the clocks of those who write them; the daemon's log has examples".to_owned(),
            ),
            (c.late, format!("{} times an event was later than lateness allows", c.late), lateness),
            (
                c.given_up,
                format!(
                    "{} predictions or labels were given up waiting for each other, since they took too much memory",
                    c.given_up
                ),
                "find out why labels are late, shorten the horizon, or raise limits.join_bytes".to_owned(),
            ),
            (
                self.seen.refused.names,
                format!(
                    "events name {} new versions beyond limits.new_versions an hour, and {} events of them count for no version",
                    self.seen.refused.names, self.seen.refused.events
                ),
                "register the versions that are; does something else than a version stand where events name it?".to_owned(),
            ),
            (
                share_of(c.unmatched, 5, labels),
                format!("{} of {labels} labels found no prediction", c.unmatched),
                "compare the ids and times of labels and predictions".to_owned(),
            ),
            (
                share_of(c.unsegmented, 1, c.predictions),
                format!("{} times a prediction had no value of a segment and was left out of it", c.unsegmented),
                "compare the events with the policy's segments".to_owned(),
            ),
            (
                c.invalid_values,
                format!("{} values were invalid: of a wrong type or out of range", c.invalid_values),
                "compare the events with the policy's features; missing_rate and invalid_rate name them".to_owned(),
            ),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(_, what, next)| self.problem(Severity::Partial, None, what, next))
        .collect()
    }
}

/// Sentences that say why a version is blocked: active blocks, and verdicts of enforced groups.
fn blocking(policy: &Policy, record: Option<&VersionRecord>, seen: Option<&VersionView>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for block in record.into_iter().flat_map(|r| &r.blocks) {
        told.push(&block.group);
        let first = block.reasons.first().cloned().unwrap_or_else(|| format!("group {}", block.group));
        all.push(format!("{first} (since {})", block.since));
    }
    for (group, reasons) in
        seen.into_iter().flat_map(|s| &s.blocks).filter(|(group, _)| !told.contains(&group.as_str()))
    {
        all.push(reasons.first().cloned().unwrap_or_else(|| format!("group {group}")));
    }
    let enforced = |name: &str| policy.groups.iter().any(|g| g.name == name && g.enforce == Enforce::Block);
    let raised = |name: &str| seen.is_some_and(|s| s.blocks.contains_key(name)) || told.contains(&name);
    for verdict in seen.into_iter().flat_map(VersionView::latest) {
        if verdict.decides() == Status::Block && enforced(&verdict.group) && !raised(&verdict.group) {
            all.push(first_reason(verdict, Status::Block));
        }
    }
    all
}

fn first_reason(verdict: &Verdict, status: Status) -> String {
    let result = verdict.results.iter().find(|r| r.decides() == status);
    result.map_or_else(|| format!("group {}", verdict.group), driftgate_core::judge::verdict::RuleResult::sentence)
}

/// A name as a shell takes it.
#[must_use]
pub fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
