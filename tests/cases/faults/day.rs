//! A day and a half of a shop, an hour of it in some seconds, with quiet nights, a deployment, and faults at random from a seed:
//! every verdict is the replay's, each once in content, and none is missing.
//!
//! `DRIFTGATE_SIMULATION_SEED` repeats a run; without it the seed is the time, and it is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::own_broker::OwnBroker;
use super::{Events, complete};
use crate::broker::{Daemon, publish_to, read_from, wait_for};
use crate::support::{Folder, LATENESS_MS, Random, START, Shop};

const TICK_MS: i64 = 10 * 60_000;
const HOUR_MS: i64 = 60 * 60_000;
/// So long after the first event nobody orders, and how long.
const NIGHTS_MS: [(i64, i64); 2] = [(5 * HOUR_MS, 5 * HOUR_MS), (29 * HOUR_MS, 4 * HOUR_MS)];
/// When version 2 is deployed.
const DEPLOYED_MS: i64 = 12 * HOUR_MS;
/// Longer than `idle_after`.
const PAUSE: Duration = Duration::from_millis(2600);

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillDaemon,
    StopDaemon,
    FreezeDaemon,
    Reload,
    KillBroker,
    StopBroker,
    Silence,
    SnapshotAway,
}

const FAULTS: [Fault; 8] = [
    Fault::KillDaemon,
    Fault::StopDaemon,
    Fault::FreezeDaemon,
    Fault::Reload,
    Fault::KillBroker,
    Fault::StopBroker,
    Fault::Silence,
    Fault::SnapshotAway,
];

/// Events, each with the time at which it is published.
type Stream = Vec<(i64, Value)>;

/// The shop's orders without those of the nights, version 2 only once it is deployed; each stream by when it is published.
fn orders(random: &mut Random) -> (Stream, Stream) {
    let mut shop = Shop::new(24_000);
    let asleep = |ts: i64| NIGHTS_MS.iter().any(|(at, long)| (*at..at + long).contains(&(ts - START)));
    shop.predictions.retain(|p| !asleep(p.ts));
    for p in &mut shop.predictions {
        if p.ts < START + DEPLOYED_MS {
            p.version = "1";
        }
    }
    shop.labels.retain(|l| !asleep(l.ts));
    let labels = shop
        .labels
        .iter()
        .map(|l| (l.ts, json!({"prediction_id": l.id, "model": "shop", "ts": l.ts, "label": l.label})));
    let predictions = shop.predictions.iter().map(|p| (p.ts, p.json()));
    (jumbled(predictions.collect(), random), jumbled(labels.collect(), random))
}

/// Published up to so much later than it happened. Labels come up to eight minutes before their predictions, and both
/// together are less than the lateness.
const JITTER_MS: i64 = 100_000;

/// The order in which events are published.
fn jumbled(events: Vec<(i64, Value)>, random: &mut Random) -> Vec<(i64, Value)> {
    const { assert!(JITTER_MS + 8 * 60_000 < LATENESS_MS) };
    let mut keyed: Vec<(i64, (i64, Value))> =
        events.into_iter().map(|e| (e.0 + i64::try_from(random.below(JITTER_MS.unsigned_abs())).unwrap(), e)).collect();
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(at, (_, event))| (at, event)).collect()
}

fn tick_of(ts: i64) -> i64 {
    (ts - START).div_euclid(TICK_MS)
}

/// Records of events, over two partitions.
fn records(events: &[(i64, Value)]) -> Events {
    let record = |(_, event): &(i64, Value)| {
        let id = event["prediction_id"].as_str().unwrap().to_owned();
        let partition = i32::from(id.bytes().fold(0_u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b)) & 1);
        (partition, id, event.to_string().into_bytes())
    };
    events.iter().map(record).collect()
}

/// What ends the day: an event of each used partition, after all windows.
fn last_of_all() -> Vec<(i64, Value)> {
    let ts = START + 60 * HOUR_MS;
    (0..40)
        .map(|i| {
            let id = format!("end-{i}");
            (ts, json!({"prediction_id": id, "model": "shop", "version": "1", "ts": ts, "score": 0.5, "label": 1, "features": {}}))
        })
        .collect()
}

struct Site {
    broker: OwnBroker,
    folder: Folder,
    daemon: Option<Daemon>,
}

impl Site {
    fn open() -> Self {
        let broker = OwnBroker::start();
        // One partition of the predictions is never used.
        for (topic, partitions) in [("predictions", 3), ("labels", 2), ("verdicts", 1), ("signals", 1)] {
            broker.make_topic(topic, partitions);
        }
        let folder = Shop::folder();
        folder.write(
            "driftgate.yaml",
            format!(
                "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: shop}}\n\
                 sources:\n- {{topic: predictions, kind: predictions}}\n- {{topic: labels, kind: labels}}\n\
                 idle_after: 2s\nregistry: {{embedded: {{path: registry.db}}}}\n\
                 publish: {{signals: signals, verdicts: verdicts}}\n\
                 state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
                broker.address()
            ),
        );
        let mut site = Self { broker, folder, daemon: None };
        site.start();
        site
    }

    fn start(&mut self) {
        self.daemon = Some(Daemon::start(&self.folder.path("driftgate.yaml"), &[]));
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it is started at once whenever it ended")
    }

    fn stop(&mut self) {
        assert_eq!(self.daemon.take().map(Daemon::stop), Some(Some(0)));
    }

    fn befall(&mut self, fault: Fault, random: &mut Random) {
        let moment = Duration::from_millis(random.below(2500));
        match fault {
            Fault::KillDaemon => {
                // Dropped daemons get SIGKILL.
                self.daemon = None;
                std::thread::sleep(moment);
                self.start();
            }
            Fault::StopDaemon => {
                self.stop();
                self.start();
            }
            Fault::FreezeDaemon => {
                self.daemon().signal("STOP");
                std::thread::sleep(PAUSE);
                self.daemon().signal("CONT");
            }
            Fault::Reload => self.daemon().signal("HUP"),
            Fault::KillBroker | Fault::StopBroker => {
                if matches!(fault, Fault::KillBroker) {
                    self.broker.kill();
                } else {
                    self.broker.stop();
                }
                std::thread::sleep(moment + moment);
                self.broker.start_again();
            }
            Fault::Silence => std::thread::sleep(PAUSE + moment),
            Fault::SnapshotAway => {
                self.daemon = None;
                let (here, away) = (self.folder.path("train_v1.csv"), self.folder.path("away.csv"));
                std::fs::rename(&here, &away).unwrap();
                self.start();
                std::thread::sleep(moment);
                std::fs::rename(&away, &here).unwrap();
            }
        }
    }

    fn publish(&self, topic: &str, events: &[(i64, Value)]) {
        publish_to(&self.broker.address(), topic, records(events));
    }

    /// The replay's complete verdicts of these streams, by id.
    fn replayed(&self, predictions: &[(i64, Value)], labels: &[(i64, Value)]) -> BTreeMap<String, Value> {
        let lines = |of: &[(i64, Value)]| of.iter().map(|(_, e)| e.to_string() + "\n").collect::<String>();
        self.folder.write("p.jsonl", lines(predictions));
        self.folder.write("l.jsonl", lines(labels));
        if let Ok(keep) = std::env::var("DRIFTGATE_SIMULATION_KEEP") {
            for name in ["p.jsonl", "l.jsonl", "policy.yaml", "train_v1.csv", "train_v2.csv", "driftgate.yaml"] {
                std::fs::copy(self.folder.path(name), format!("{keep}/{name}")).unwrap();
            }
        }
        self.folder
            .driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --verdicts replayed.jsonl")
            .exits(0);
        complete(self.folder.json_lines("replayed.jsonl"))
    }
}

#[test]
#[ignore = "takes some minutes: make soak"]
fn a_day_with_quiet_nights_restarts_outages_and_a_deployment_is_the_replays() {
    let seed = std::env::var("DRIFTGATE_SIMULATION_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| crate::kafka::now_ms().unsigned_abs());
    println!("DRIFTGATE_SIMULATION_SEED={seed}");
    let random = &mut Random(seed);
    let (mut predictions, mut labels) = orders(random);
    let mut site = Site::open();
    let last = tick_of(predictions.last().unwrap().0.max(labels.last().unwrap().0));
    // The first labels come before their predictions.
    for tick in -1..=last {
        let of =
            |events: &[(i64, Value)]| -> Vec<_> { events.iter().filter(|e| tick_of(e.0) == tick).cloned().collect() };
        let (orders, outcomes) = (of(&predictions), of(&labels));
        site.publish("predictions", &orders);
        site.publish("labels", &outcomes);
        std::thread::sleep(Duration::from_millis(random.below(400)));
        if random.below(100) < 15 {
            let fault = FAULTS[usize::try_from(random.below(FAULTS.len() as u64)).unwrap()];
            println!("tick {tick}: {fault:?}");
            site.befall(fault, random);
        }
    }
    let end = last_of_all();
    site.publish("predictions", &end);
    site.publish("labels", &end);
    predictions.extend(end.iter().cloned());
    labels.extend(end);

    let expected = site.replayed(&predictions, &labels);
    assert!(expected.len() > 100, "{}", expected.len());
    let address = site.broker.address();
    wait_for("every verdict of the replay", || {
        let told = read_from(&address, "verdicts");
        let found = complete(told);
        let missing: Vec<_> = expected.iter().filter(|(id, _)| !found.contains_key(*id)).collect();
        if !missing.is_empty() {
            println!("{} of {} are missing, such as {}", missing.len(), expected.len(), missing[0].1["window"]);
            std::thread::sleep(Duration::from_secs(2));
        }
        missing.is_empty().then_some(())
    });
    let found = complete(read_from(&address, "verdicts"));
    for (id, verdict) in &found {
        assert_eq!(Some(verdict), expected.get(id), "{id}");
    }
    assert_eq!(site.daemon().metric("driftgate_after_close_total{model=\"shop\"}"), Some(0.0));
    // One id, one content, also of signals.
    let mut signals: BTreeMap<String, Value> = BTreeMap::new();
    for signal in read_from(&address, "signals") {
        let id = signal["signal_id"].as_str().unwrap().to_owned();
        if let Some(before) = signals.insert(id, signal.clone()) {
            assert_eq!(before, signal, "one id with two contents");
        }
    }
    assert!(!signals.is_empty());
    site.stop();
}
