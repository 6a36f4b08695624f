//! What a cluster is not started on, or goes on behind: missing or wrong internal topics, a name that is used twice, a registry of
//! something else, a claim that expired.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::fleet::{Fleet, Guard, Mode, Site, Supervisor, make_topics};
use super::oracle::{self, Kept};
use super::people;
use super::stream::{PARTITIONS, Stream, TOPICS, UNITS};
use crate::broker::{brokers, delete_before, wait_for};

fn site(name: &str) -> Site {
    Site::new(brokers(), format!("{name}-{:x}-{:x}.", std::process::id(), crate::kafka::now_ms()), Mode::Models)
}

#[test]
fn without_internal_topics_a_process_is_not_ready_and_reads_nothing_until_they_are_made() {
    let fleet = Fleet::new(site("no-topics"), &["a"]);
    let _guard = Guard(Arc::clone(&fleet));
    let _supervisor = Supervisor::start(&fleet);
    let told = fleet.site.folder.driftgate("cluster topics --config a.yaml").exits(1);
    assert!(told.stdout.contains("units") && told.stdout.contains("missing"), "{}", told.stdout);
    fleet.start(0);
    std::thread::sleep(Duration::from_secs(5));
    assert!(fleet.get(0, "/ready").is_none_or(|(status, _)| status == 503));
    for unit in UNITS {
        assert_eq!(fleet.kept(0, unit).unwrap_or_default(), Kept::default());
    }
    fleet.site.make_internal_topics("a.yaml");
    fleet.wait_until_ready(0);
}

#[test]
fn internal_topics_with_other_partitions_are_told() {
    let site = site("wrong-topics");
    let fleet = Fleet::new(site, &["a"]);
    let all =
        ["units", "state", "ledger", "ledger-owner", "results"].map(|name| (fleet.site.internal(name), 3, &[] as &[_]));
    make_topics(&fleet.site.brokers, 1, &all);
    let told = fleet.site.folder.driftgate("cluster topics --config a.yaml");
    assert!(told.code != Some(0) && told.stdout.contains("partitions"), "{} {}", told.stdout, told.stderr);
    assert!(told.stdout.contains("slots is 3, wanted is at least 4"), "{}", told.stdout);
}

/// A cluster of a release that had one unit: its processes are told to add partitions, and count nothing.
#[test]
fn too_few_slots_are_told_with_what_to_do() {
    let fleet = Fleet::new(site("few-slots"), &["a"]);
    make_topics(&fleet.site.brokers, 1, &[(fleet.site.internal("units"), 1, &[])]);
    let told = fleet.site.folder.driftgate("cluster topics --create --config a.yaml").exits(1);
    assert!(told.stdout.contains("--alter --topic") && told.stdout.contains("--partitions 4"), "{}", told.stdout);
    fleet.start(0);
    wait_for("a refusal", || fleet.log(0).contains("has 1 partitions, and 4 are needed").then_some(()));
    for unit in UNITS {
        assert_eq!(fleet.kept(0, unit).unwrap_or_default(), Kept::default());
    }
}

/// The coordinator tells members apart by ids of its own: the second one is a standby.
#[test]
fn of_two_processes_with_one_name_one_counts_and_the_other_one_after_it() {
    let fleet = Fleet::of_instances(site("one-name"), &[("a", "a"), ("also-a", "a")]);
    fleet.site.make_internal_topics("a.yaml");
    let _guard = Guard(Arc::clone(&fleet));
    fleet.start(0);
    fleet.wait_until_ready(0);
    let stream = Stream::new(9, 20);
    std::thread::scope(|scope| {
        scope.spawn(|| stream.publish(&fleet.site.brokers, &fleet.site.prefix, &|| false));
        std::thread::sleep(Duration::from_secs(5));
        fleet.start(1);
        fleet.wait_until_ready(1);
        std::thread::sleep(Duration::from_secs(5));
        fleet.kill(0);
    });
    let expected = oracle::replayed(&fleet.site.folder, &stream).verdicts;
    let topic = fleet.site.topic("verdicts");
    let compared = || oracle::compare(&expected, &oracle::read_committed(&fleet.site.brokers, &topic), "verdict_id");
    wait_for("the verdicts", || compared().missing.is_empty().then_some(()));
    assert!(compared().is_none(), "{}", compared().told(expected.len()));
}

#[test]
fn a_registry_of_something_else_is_not_mixed_with_the_clusters() {
    let fleet = Fleet::new(site("other-registry"), &["a", "b"]);
    let folder = &fleet.site.folder;
    fleet.site.make_internal_topics("a.yaml");
    let _guard = Guard(Arc::clone(&fleet));
    fleet.start(0);
    fleet.wait_until_ready(0);
    people::set_up(&fleet);
    folder.write("alone.yaml", "policies: [paper.yaml]\nregistry: {embedded: {path: b.db}}\n");
    folder.driftgate("register paper other --config alone.yaml").exits(0);
    let versions = |name: &str| oracle::tables(&folder.path(name))["versions"].clone();
    let has_other = |name: &str| versions(name).iter().any(|row| row.contains("|other|"));
    let supervisor = Supervisor::start(&fleet);
    fleet.start(1);
    // Its records were signed with a key of its own.
    wait_for("a refusal", || fleet.log(1).contains("the audit keys audit.key and b.audit-key differ").then_some(()));
    std::fs::remove_file(folder.path("b.audit-key")).unwrap();
    wait_for("a refusal", || fleet.log(1).contains("are signed with another key").then_some(()));
    assert!(!has_other("a.db") && has_other("b.db"));
    drop(supervisor);
    fleet.kill(1);

    // One that was signed with the cluster's key gives way to the cluster's.
    ["b.db", "b.db-wal", "b.db-shm"].iter().for_each(|name| drop(std::fs::remove_file(folder.path(name))));
    folder.write_secret("b.audit-key", folder.read("audit.key"));
    folder.driftgate("register paper other --config alone.yaml").exits(0);
    fleet.start(1);
    fleet.wait_until_ready(1);
    wait_for("one registry", || {
        oracle::tables_differ(&oracle::tables(&folder.path("a.db")), &oracle::tables(&folder.path("b.db")))
            .is_empty()
            .then_some(())
    });
    assert!(!has_other("a.db") && !has_other("b.db"));
}

/// The brokers forget offsets of a group without members after `offsets.retention.minutes`.
#[test]
fn behind_an_expired_claim_the_newest_state_is_taken_and_never_the_beginning() {
    let fleet = Fleet::new(site("expired"), &["a", "b"]);
    fleet.site.make_internal_topics("a.yaml");
    let _guard = Guard(Arc::clone(&fleet));
    (0..2).for_each(|i| fleet.start(i));
    (0..2).for_each(|i| fleet.wait_until_ready(i));
    let stream = Stream::new(10, 24);
    let events = stream.events.len();
    let (site, half) = (&fleet.site, stream.first(events / 2));
    half.publish(&site.brokers, &site.prefix, &|| true);
    let topics = || TOPICS.iter().flat_map(|(topic, _)| (0..PARTITIONS).map(|p| (site.topic(topic), p)));
    let ends =
        || topics().map(|(topic, p)| (oracle::log_range(&site.brokers, &topic, p).1, topic, p)).collect::<Vec<_>>();
    let claims = site.claims();
    wait_for("the first half to be counted", || {
        let kept = fleet.all_kept(|slot| claims.read(slot))?;
        let of = |topic: &String, p: i32| kept.next.get(&(topic.clone(), i64::from(p))).copied().unwrap_or(0);
        ends().iter().all(|(end, topic, p)| of(topic, *p) == *end).then_some(())
    });
    (0..2).for_each(|i| assert_eq!(fleet.stop(i), Some(0)));
    // What was counted is not there any more: who reads from the beginning finds a hole.
    for (end, topic, p) in ends().into_iter().filter(|(end, ..)| *end > 0) {
        delete_before(&topic, p, end);
    }
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    wait_for("the group's offsets to be gone", || {
        let gone = runtime.block_on(admin.delete_groups(&[&site.group()], &AdminOptions::new())).unwrap();
        gone[0].is_ok().then_some(())
    });
    assert!((0..4).all(|slot| claims.read(slot).is_none()));
    (0..2).for_each(|i| fleet.start(i));
    stream.rest(events / 2).publish(&site.brokers, &site.prefix, &|| true);
    let expected = oracle::replayed(&site.folder, &stream).verdicts;
    let compared =
        || oracle::compare(&expected, &oracle::read_committed(&site.brokers, &site.topic("verdicts")), "verdict_id");
    wait_for("the verdicts", || compared().missing.is_empty().then_some(()));
    assert!(compared().is_none(), "{}", compared().told(expected.len()));
}
