//! What stands in MLflow and what shall stand there: versions that are deleted, made anew and registered later, pointers that
//! others move.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::ledger::{Found, FoundVersion, Op};
use driftgate_core::fact::External;
use driftgate_core::gate::{Decided, GateVerdict, GroupVerdict};
use driftgate_core::judge::verdict::Status;
use driftgate_core::promotion::types::Override;

const NOW: i64 = 1_700_000_000_000;

fn policy() -> Policy {
    with_transitions(
        "- {from: dev, to: staging, checks: [drift]}
- {from: staging, to: prod, checks: [drift]}
",
    )
}

/// A context whose stream says that the last window of every version passes; it ended then.
fn in_context<T>(end_ms: i64, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let result = Decided {
        rule: "drift/psi".into(),
        subject: "x".into(),
        decides: Status::Pass,
        sentence: "drift/psi x 0.01 against lt 0.2".into(),
    };
    let latest = vec![GroupVerdict { group: "drift".into(), end_ms, complete: true, results: vec![result] }];
    let (policy, live) =
        (policy(), |_: &str| StreamState { latest: latest.clone(), seen: true, ..StreamState::default() });
    work(&RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW })
}

fn events(registry: &Embedded) -> Vec<String> {
    let records = registry.audit(Some("m"), 1000).unwrap();
    records.iter().map(|r| r["event"].as_str().unwrap().to_owned()).collect()
}

fn found(version: &str, created_ms: i64) -> FoundVersion {
    FoundVersion {
        version: version.into(),
        created_ms: Some(created_ms),
        offline: BTreeMap::from([("auc".to_owned(), 0.9)]),
        ..FoundVersion::default()
    }
}

fn picture(aliases: &[(&str, &str)], versions: &[(&str, i64)]) -> Found {
    let aliases = aliases.iter().map(|(alias, version)| ((*alias).to_owned(), (*version).to_owned())).collect();
    let versions = versions.iter().map(|(version, created)| found(version, *created)).collect();
    Found { exists: true, aliases, versions, ..Found::default() }
}

fn set_alias(alias: &str, version: &str, expected: Option<&str>, created_ms: i64) -> Op {
    Op::SetAlias {
        model: "m".into(),
        alias: alias.into(),
        version: version.into(),
        expected: expected.map(str::to_owned),
        created_ms: Some(created_ms),
    }
}

#[test]
fn what_others_move_elsewhere_is_told_and_what_we_moved_is_to_be_moved_there() {
    let registry = registry();
    let all = [("1", 5), ("2", 6), ("3", 7)];
    let follow = |aliases: &[(&str, &str)], now| registry.follow("m", &picture(aliases, &all), now).unwrap();
    let standing = || registry.standing("m", PROD).unwrap();
    assert_eq!(follow(&[(PROD, "1"), ("latest", "2")], 1), Followed::default(), "seen for the first time");
    assert_eq!(standing(), None, "nobody who may has said so");
    let kinds =
        || registry.problems(Some("m")).unwrap().iter().map(|p| (p.kind, p.stage.clone().unwrap())).collect::<Vec<_>>();
    assert_eq!(kinds(), [(UNCONFIRMED, "latest".to_owned()), (UNCONFIRMED, PROD.to_owned())]);
    assert_eq!(events(&registry).iter().filter(|e| *e == "registry_drift").count(), 0);
    registry.set_stage("m", PROD, "1", "ann", "first", 1).unwrap();
    assert_eq!(follow(&[(PROD, "1")], 1), Followed::default());
    assert_eq!(kinds(), []);
    let drift = |expected: &str, found: Option<&str>| Drift {
        stage: PROD.into(),
        expected: Some(expected.into()),
        found: found.map(str::to_owned),
    };
    // Away and back: ours stays, and what they put there was never in prod.
    assert_eq!(follow(&[(PROD, "2")], 2).drifts, [drift("1", Some("2"))]);
    assert_eq!(follow(&[(PROD, "2")], 2), Followed::default(), "told once, and not fought over");
    assert_eq!((standing().as_deref(), kinds()), (Some("1"), vec![("registry_drift", PROD.to_owned())]));
    assert_eq!(follow(&[(PROD, "1")], 2), Followed::default());
    assert_eq!(kinds(), []);
    assert_eq!(registry.roll_back("m", None, "ann", "drill", true, 2).unwrap(), ("1".to_owned(), None));
    let error = registry.roll_back("m", Some("2"), "ann", "", true, 2).unwrap_err();
    assert!(error.to_string().contains("never was in prod"), "{error}");
    // Moved here, where they stand elsewhere: due there until it is.
    assert_eq!(follow(&[(PROD, "2")], 2).drifts.len(), 1);
    registry.set_stage("m", PROD, "3", "ann", "on", 3).unwrap();
    for now in [4, 5] {
        let followed = follow(&[(PROD, "2")], now);
        assert_eq!((followed.drifts, followed.due.ops), (vec![], vec![set_alias(PROD, "3", Some("2"), 7)]));
    }
    // It got there, and the process died before that was written down.
    assert_eq!(follow(&[(PROD, "3")], 6), Followed::default());
    // Both moved: each stays where it is.
    registry.set_stage("m", PROD, "1", "ann", "back", 7).unwrap();
    assert_eq!(follow(&[(PROD, "2")], 8).drifts, [drift("3", Some("2"))]);
    assert_eq!(follow(&[(PROD, "2")], 8), Followed::default());
    assert_eq!(standing().as_deref(), Some("1"));
    // Taken away: said until ours moves.
    assert_eq!(follow(&[], 9).drifts, [drift("2", None)]);
    assert_eq!(follow(&[], 10), Followed::default(), "once");
    assert_eq!(standing().as_deref(), Some("1"));
    let problem = registry.problems(Some("m")).unwrap().remove(0);
    assert_eq!((problem.stage.as_deref(), problem.version.as_deref()), (Some(PROD), Some("1")));
    assert!(problem.detail.contains("it stands on nothing"), "{problem:?}");
    registry.set_stage("m", PROD, "2", "ann", "again", 11).unwrap();
    assert_eq!(registry.problems(None).unwrap(), []);
    assert_eq!(follow(&[], 12).due.ops, [set_alias(PROD, "2", None, 6)]);
}

#[test]
fn a_stage_that_was_once_given_is_reached_by_its_gate_whatever_becomes_of_it_elsewhere() {
    let registry = registry();
    let all = [("1", 5), ("2", 6), ("3", 7)];
    let follow = |aliases: &[(&str, &str)], versions: &[(&str, i64)]| {
        registry.follow("m", &picture(aliases, versions), NOW + 1).unwrap();
    };
    let give = |version: &str, stage: &str| {
        let new = Registration { stage: Some(stage.into()), ..plain(version) };
        in_context(NOW, |context| registry.register_as(context, &new, &[]).map(|_| ()))
    };
    // What stands there already is nobody's word.
    follow(&[(PROD, "3"), ("staging", "3")], &all);
    give("1", PROD).unwrap();
    for (aliases, versions) in [(&[(PROD, "3")][..], &all[..]), (&[], &all), (&[], &[("1", 50), ("2", 6), ("3", 70)])] {
        follow(aliases, versions);
        for version in ["2", "3"] {
            let error = give(version, PROD).unwrap_err();
            assert!(error.to_string().contains("is reached by a promotion"), "{error}");
        }
    }
    // Its own number is another version's now: it stands for nothing, and is no way back.
    let error = give("1", PROD).unwrap_err();
    assert!(error.to_string().contains("is reached by a promotion"), "{error}");
    assert_eq!(registry.version("m", "1").unwrap().unwrap().stages, Vec::<String>::new());
    let target = registry.dossier(&policy(), "2", NOW).unwrap().rollback_target.unwrap();
    assert!(target.version == "1" && target.caution.is_some(), "{target:?}");
    assert_eq!(unheld(&registry), Vec::<String>::new());
    // Staging is free still, for the first who may.
    give("2", "staging").unwrap();
    assert!(give("3", "staging").is_err());
}

#[test]
fn what_tags_say_is_shown_and_counts_for_nothing_and_who_may_says_it_anew() {
    let registry = registry();
    let tagged = |snapshot: &str, commit: &str| {
        let version = FoundVersion {
            snapshot: Some(snapshot.into()),
            snapshot_sha256: Some("cd".repeat(32)),
            artifact_sha256: Some("cd".repeat(32)),
            code_commit: Some(commit.into()),
            baseline_version: Some("9".into()),
            ..found("1", 5)
        };
        registry.follow("m", &Found { versions: vec![version], ..picture(&[], &[]) }, 1).unwrap();
    };
    tagged("theirs.csv", "git:theirs");
    let record = || registry.version("m", "1").unwrap().unwrap();
    assert_eq!((record().snapshot_in_use(), record().artifact_sha256), (Some("theirs.csv"), None));
    let dossier = || registry.dossier(&policy(), "1", NOW).unwrap();
    assert!(dossier().evidence.is_empty() && dossier().peers.is_empty() && dossier().snapshot_sha256.is_none());
    assert_eq!(dossier().reported.len(), 6, "{:?}", dossier().reported);
    let answer = in_context(NOW, |context| registry.gate(context, "1", PROD).unwrap());
    let lineage = answer.reasons.iter().find(|r| r.contains("lineage")).unwrap();
    assert!(lineage.contains("code_commit, artifact_digest missing"), "{lineage}");
    assert!(
        lineage.contains("reported by the external registry, not confirmed: data_snapshot")
            && lineage.contains("git:theirs")
    );
    // A tag that is edited does not change what a version is counted against.
    tagged("again.csv", "git:again");
    assert_eq!(
        (record().snapshot_in_use(), &dossier().reported["code_commit"]),
        (Some("theirs.csv"), &json!("git:again"))
    );
    assert_eq!(registry.snapshots_replaced("m").unwrap(), Vec::<String>::new());

    let new = Registration { snapshot: Some("ours.csv".into()), artifact_sha256: Some("ab".repeat(32)), ..plain("1") };
    let given = [("code_commit".to_owned(), json!("git:ours"))];
    in_context(NOW, |context| registry.register_as(context, &new, &given).unwrap());
    assert_eq!(record().snapshot_in_use(), Some("ours.csv"));
    assert_eq!(registry.snapshots_replaced("m").unwrap(), ["1"]);
    registry.snapshot_taken("m", "1").unwrap();
    tagged("theirs.csv", "git:theirs");
    assert_eq!((record().snapshot_in_use(), registry.snapshots_replaced("m").unwrap().len()), (Some("ours.csv"), 0));
    assert_eq!(dossier().evidence["code_commit"].value, "git:ours");
    let differing = dossier().differing();
    assert_eq!(differing.len(), 3, "{differing:?}");
    assert!(
        differing[0].contains("snapshot is \"ours.csv\" here, the external registry reports \"theirs.csv\""),
        "{differing:?}"
    );
    let answer = in_context(NOW, |context| registry.gate(context, "1", PROD).unwrap());
    assert!(
        answer.notes.iter().any(|note| note.contains("the external registry reports \"git:theirs\"")),
        "{:?}",
        answer.notes
    );
    let audit = registry.audit(Some("m"), 100).unwrap();
    let last = |event: &str| audit.iter().rfind(|r| r["event"] == event).unwrap()["payload"].clone();
    assert!(last("register")["differing"].to_string().contains("theirs.csv"), "{audit:?}");
    assert_eq!(last("evidence")["reported"], "git:again");
    assert_eq!(unheld(&registry), Vec::<String>::new());
}

#[test]
fn a_version_that_was_deleted_elsewhere_and_made_again_is_another() {
    let registry = registry();
    let follow = |created, aliases: &[(&str, &str)], now| {
        registry.follow("m", &picture(aliases, &[("1", created)]), now).unwrap()
    };
    let created = 1_699_999_000_000;
    follow(created, &[], 1);
    registry.set_stage("m", "staging", "1", "ann", "tested", 1).unwrap();
    follow(created, &[("staging", "1")], 1);
    registry.attach("m", "1", &[("tests".into(), json!("pass"))], "ci", 2).unwrap();
    let over = Override {
        rule: "drift/psi".into(),
        subject: None,
        until_ms: NOW * 2,
        reason: "known".into(),
        actor: "ann".into(),
        at_ms: 2,
    };
    registry.override_rule("m", "1", &over).unwrap();
    registry.record_verdict("m", "1", "drift", NOW, "{}").unwrap();
    registry.apply(&signal(Action::Block, "1", "slo", 1), 2).unwrap();
    let kinds = || registry.dossier(&policy(), "1", NOW).unwrap().evidence.into_keys().collect::<Vec<_>>();
    let gate = |end, to: &str| in_context(end, |context| registry.gate(context, "1", to).unwrap());
    assert_eq!(kinds(), ["tests"]);
    assert_eq!(gate(NOW, "staging").verdict, GateVerdict::Pass);
    let same = follow(created, &[("staging", "1")], 3);
    assert_eq!((same.anew, kinds().len()), (vec![], 1));

    let anew = NOW - 1000;
    let followed = follow(anew, &[], 4);
    assert_eq!((followed.anew, followed.lost), (vec!["1".to_owned()], vec![]));
    assert!(kinds().is_empty(), "what was attached to the old one is not the new one's");
    assert_eq!(registry.verdicts("m", "1").unwrap(), Vec::<String>::new());
    let record = registry.version("m", "1").unwrap().unwrap();
    assert_eq!((record.blocks, record.stages, record.anew_ms), (vec![], vec![], Some(anew)));
    assert!(registry.dossier(&policy(), "1", NOW).unwrap().overrides.is_empty());
    assert_eq!(registry.to_count_anew("m").unwrap(), ["1"]);
    registry.counted_anew("m", "1").unwrap();
    assert!(registry.to_count_anew("m").unwrap().is_empty());

    // Windows that ended before are the deleted one's: in the stream, as verdicts and as signals that come late.
    for end in [anew - 1, anew] {
        let answer = gate(end, "staging");
        assert_eq!((answer.verdict, answer.reasons[0].as_str()), (GateVerdict::Inconclusive, "drift: no verdict yet"));
        assert!(
            answer.notes.iter().any(|note| note.contains("made anew in the external registry")),
            "{:?}",
            answer.notes
        );
        registry.record_verdict("m", "1", "drift", end, "late").unwrap();
    }
    let late = registry.apply(&signal(Action::Block, "1", "drift", 2), 5).unwrap();
    assert!(matches!(&late, Applied::Ignored(why) if why.contains("made anew")), "{late:?}");
    assert_eq!(registry.verdicts("m", "1").unwrap(), Vec::<String>::new());
    assert_eq!(registry.version("m", "1").unwrap().unwrap().blocks, []);
    // Its own count; but it never was in staging.
    registry.record_verdict("m", "1", "drift", anew + 1, "{}").unwrap();
    assert_eq!(registry.verdicts("m", "1").unwrap(), ["{}"]);
    assert_eq!(gate(anew + 1, "staging").verdict, GateVerdict::Pass);
    assert!(gate(anew + 1, "prod").reasons[0].contains("never was in staging"));
    let own = Signal { ts: driftgate_core::codec::time::utc(anew + 1), ..signal(Action::Block, "1", "drift", 3) };
    assert_eq!(registry.apply(&own, 6).unwrap(), Applied::Done { rollback_to: None });
    // An alias there stands on the new one: that is nobody's word here. It takes the gate.
    assert_eq!(follow(anew, &[("staging", "1")], 7).drifts, []);
    assert_eq!(registry.version("m", "1").unwrap().unwrap().stages, Vec::<String>::new());
    let own = Signal { ts: driftgate_core::codec::time::utc(anew + 2), ..signal(Action::Clear, "1", "drift", 4) };
    registry.apply(&own, 8).unwrap();
    let wish = PromotionRequest { version: "1", to: "staging", retry: None, comment: None };
    assert!(in_context(NOW, |context| registry.promote(context, &wish).unwrap()).record.is_some());
    assert_eq!(registry.version("m", "1").unwrap().unwrap().stages, ["staging"]);
    assert_eq!(unheld(&registry), Vec::<String>::new());
    assert_eq!(events(&registry).iter().filter(|e| *e == "registry_drift").count(), 1);
}

#[test]
fn what_mlflow_lost_is_neither_promoted_nor_rolled_back_to_until_it_is_back() {
    let registry = registry().telling(vec![Sink::Webhook(0)]);
    let all = [("1", 5), ("2", 6), ("3", 7)];
    registry.follow("m", &picture(&[], &all), 1).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 1).unwrap();
    registry.set_stage("m", PROD, "2", "ann", "", 2).unwrap();
    registry.follow("m", &picture(&[(PROD, "2")], &all), 3).unwrap();
    let without_1 = Found { gone: vec!["1".into()], ..picture(&[(PROD, "2")], &all[1..]) };
    assert_eq!(registry.follow("m", &without_1, 4).unwrap().lost, ["1"]);
    assert_eq!(registry.follow("m", &without_1, 5).unwrap().lost, Vec::<String>::new(), "said once");
    assert_eq!(registry.known_elsewhere("m").unwrap(), ["2", "3"]);

    let answer = in_context(NOW, |context| registry.gate(context, "1", "staging").unwrap());
    assert_eq!(answer.verdict, GateVerdict::Block);
    assert!(
        answer.reasons[0].starts_with("registry_drift: the external registry has no version \"1\" of \"m\" any more"),
        "{:?}",
        answer.reasons
    );
    assert!(answer.gates.iter().any(|g| g.gate == "registry_drift"), "{:?}", answer.gates);
    let wish = PromotionRequest { version: "1", to: "staging", retry: None, comment: None };
    assert_eq!(in_context(NOW, |context| registry.promote(context, &wish).unwrap()).record, None);
    let error = registry.set_stage("m", "canary", "1", "ann", "", 6).unwrap_err();
    assert!(matches!(&error, RegistryError::Conflict(why) if why.contains("registry_drift")), "{error}");
    let error = registry.roll_back("m", Some("1"), "ann", "slow", false, 6).unwrap_err();
    assert!(error.to_string().contains("registry_drift"), "{error}");
    assert_eq!(registry.roll_back("m", None, "ann", "slow", true, 6).unwrap().1, None, "no stable version");
    let problems = registry.problems(Some("m")).unwrap();
    assert_eq!(
        problems.iter().map(|p| (p.stage.as_deref(), p.version.as_deref())).collect::<Vec<_>>(),
        [(None, Some("1"))]
    );
    let told = registry.outgoing(Sink::Webhook(0), 100).unwrap();
    assert!(told.iter().any(|o| o.body.contains("registry_drift") && o.body.contains("\"deleted\":true")), "{told:?}");

    registry.follow("m", &picture(&[(PROD, "2")], &all), 7).unwrap();
    assert_eq!(registry.problems(None).unwrap(), []);
    assert_eq!(registry.roll_back("m", None, "ann", "slow", true, 8).unwrap().1.as_deref(), Some("1"));
    let answer = in_context(NOW, |context| registry.gate(context, "1", "staging").unwrap());
    assert!(!answer.reasons.iter().any(|r| r.contains("registry_drift")), "{:?}", answer.reasons);
}

#[test]
fn what_was_decided_before_a_version_is_registered_there_waits_for_it() {
    let registry = registry().telling(vec![Sink::Registry(External::Mlflow)]);
    registry.register(&Registration { stage: Some(PROD.into()), ..plain("2") }, "ci", 1).unwrap();
    registry.apply(&signal(Action::Block, "2", "drift", 1), 2).unwrap();
    let nothing = registry.follow("m", &Found::default(), 3).unwrap();
    assert_eq!((nothing.due.ops.len(), nothing.due.unregistered, nothing.drifts), (0, vec!["2".to_owned()], vec![]));
    let other = registry.follow("m", &picture(&[], &[("1", 5)]), 4).unwrap();
    assert_eq!((other.due.ops.len(), other.due.unregistered), (0, vec!["2".to_owned()]));
    assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("2"), "it is not lost: it never was there");
    let due = registry.follow("m", &picture(&[], &[("1", 5), ("2", 6)]), 5).unwrap().due;
    assert_eq!((&due.ops[0], due.ops.len()), (&set_alias(PROD, "2", None, 6), 2));
    assert!(due.unregistered.is_empty());
    let Op::SetTags { tags, created_ms: Some(6), .. } = &due.ops[1] else { panic!("{due:?}") };
    assert_eq!((tags.last().unwrap().0.as_str(), tags.last().unwrap().1.as_str()), ("gate.check.drift", "block"));
    // A clear replaces what was not told yet.
    registry.apply(&signal(Action::Clear, "2", "drift", 2), 6).unwrap();
    let due = registry.follow("m", &picture(&[], &[("2", 6)]), 7).unwrap().due;
    assert!(due.ops.iter().any(|op| json!(op).to_string().contains("[\"gate.check.drift\",\"clear\"]")), "{due:?}");
}

/// MLflow as far as pointers go.
struct There {
    aliases: BTreeMap<String, String>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl There {
    fn picture(&self) -> Found {
        let version = |version: &str| FoundVersion {
            tags: self.tags.get(version).cloned().unwrap_or_default(),
            ..found(version, 5)
        };
        Found {
            exists: true,
            aliases: self.aliases.clone(),
            versions: ["1", "2", "3"].map(version).to_vec(),
            ..Found::default()
        }
    }

    /// Carries out what is due, or a part of it as a process does that is killed.
    fn reconcile(&mut self, registry: &Embedded, killed_after: usize) {
        let due = registry.follow("m", &self.picture(), NOW).unwrap().due;
        for (at, op) in due.ops.iter().enumerate() {
            if at > killed_after {
                return;
            }
            match op {
                Op::SetAlias { alias, version, expected, .. } => {
                    assert!(self.aliases.get(alias).is_none_or(|there| Some(there) == expected.as_ref()), "{op:?}");
                    registry.writing("m", alias, version).unwrap();
                    self.aliases.insert(alias.clone(), version.clone());
                    if at < killed_after {
                        registry.mirrored("m", alias, version).unwrap();
                    }
                }
                Op::SetTags { version, tags, .. } => self.tags.entry(version.clone()).or_default().extend(tags.clone()),
            }
        }
    }
}

#[test]
fn however_both_sides_move_and_die_ours_stays_what_differs_is_told_and_no_alias_is_deleted() {
    let mut random: u64 = 7;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((random >> 33) % n).unwrap()
    };
    for _ in 0..60 {
        let registry = registry();
        for version in ["1", "2", "3"] {
            registry.register(&plain(version), "ci", 1).unwrap();
        }
        let mut there = There { aliases: BTreeMap::new(), tags: BTreeMap::new() };
        // Stages that somebody moved there since the last look; where ours is to stand, here and, as long as nobody moves it
        // there, there.
        let (mut foreign, mut ours, mut stays) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        for step in 0..12_u32 {
            let stage = ["prod", "staging"][below(2)];
            let version = ["1", "2", "3"][below(3)];
            match below(5) {
                0 => {
                    let moved = registry.set_stage("m", stage, version, "ann", "", NOW).unwrap();
                    ours.insert(stage, version);
                    if moved.is_some() && !foreign.contains(stage) {
                        stays.insert(stage, version);
                    }
                }
                1 => {
                    there.aliases.insert(stage.to_owned(), version.to_owned());
                    foreign.insert(stage);
                    stays.remove(stage);
                }
                2 => drop(registry.apply(&signal(Action::Block, version, "drift", step), NOW).unwrap()),
                at => {
                    there.reconcile(&registry, if at == 3 { below(3) } else { usize::MAX });
                    foreign.clear();
                }
            }
        }
        let before: Vec<String> = there.aliases.keys().cloned().collect();
        there.reconcile(&registry, usize::MAX);
        there.reconcile(&registry, usize::MAX);
        assert_eq!(registry.follow("m", &there.picture(), NOW).unwrap(), Followed::default(), "nothing is left to do");
        for stage in ["prod", "staging"] {
            assert_eq!(
                registry.standing("m", stage).unwrap().as_deref(),
                ours.get(stage).copied(),
                "nobody moves ours"
            );
            let is_there = |to: &&str| there.aliases.get(stage).map(String::as_str) == Some(*to);
            assert!(stays.get(stage).is_none_or(is_there), "our own move gets there");
            let told = registry.problems(Some("m")).unwrap().iter().any(|p| p.stage.as_deref() == Some(stage));
            let agree = there.aliases.get(stage).map(String::as_str) == ours.get(stage).copied();
            assert_eq!(told, !agree, "{stage}: what differs is told");
        }
        assert_eq!(unheld(&registry), Vec::<String>::new());
        assert!(before.iter().all(|alias| there.aliases.contains_key(alias)));
        for record in registry.versions(Some("m")).unwrap() {
            let told = there.tags.get(&record.version).and_then(|tags| tags.get("gate.check.drift"));
            assert_eq!(told.map(String::as_str), (!record.blocks.is_empty()).then_some("block"));
        }
    }
}

#[test]
fn a_drift_is_told_with_what_was_lost() {
    let registry = registry();
    registry.follow("m", &picture(&[], &[("1", 5)]), 1).unwrap();
    registry.follow("m", &Found { gone: vec!["1".into()], ..Found::default() }, 2).unwrap();
    registry.follow("m", &picture(&[], &[("1", 9)]), 3).unwrap();
    let payloads: Vec<Value> = registry
        .audit(Some("m"), 100)
        .unwrap()
        .into_iter()
        .filter(|r| r["event"] == "registry_drift")
        .map(|r| r["payload"].clone())
        .collect();
    assert_eq!(payloads, [json!({"deleted": true}), json!({"recreated": true, "created_ms": 9, "known_ms": 5})]);
    assert_eq!(registry.version("m", "1").unwrap().unwrap().lost_at, None);
}
