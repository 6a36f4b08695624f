//! Which versions an event of the features stream counts for, whatever order the streams are read in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::broker::{Daemon, brokers, publish, read, topic, wait_for};
use super::super::kafka::{SHOP, now_ms, shop};
use super::super::support::Folder;
use super::{Events, complete, replayed};

/// Version 1 serves from the beginning, version 2 from the middle of the third window to the seventh; the features tell of
/// customers all the time, and drift.
fn streams(start: i64) -> (Events, Events) {
    let mut predictions = Events::new();
    let mut features = Events::new();
    for i in 0..10_000_i64 {
        let ts = start + i * 10;
        for version in ["1", "2"] {
            if version == "1" || (2_500..7_000).contains(&i) {
                let id = format!("{version}-{i}");
                let event = json!({"prediction_id": id, "model": "shop", "version": version, "ts": ts, "score": 0.3});
                predictions.push(((i % 2) as i32, id, event.to_string().into_bytes()));
            }
        }
        let event = json!({"model": "shop", "ts": ts + 3, "features": {"x": (i * 7 + i / 20) % 1000}});
        features.push(((i % 3) as i32, i.to_string(), event.to_string().into_bytes()));
    }
    (predictions, features)
}

/// Where a run's streams are.
struct Run {
    folder: Folder,
    predictions: String,
    features: String,
    verdicts: String,
}

impl Run {
    fn new(name: &str, policy: &str) -> Self {
        let of = |stream: &str, partitions: i32| topic(&format!("features-{name}-{stream}"), partitions);
        let (predictions, features, verdicts) = (of("predictions", 2), of("features", 3), of("verdicts", 1));
        let folder = Folder::new();
        let config = format!(
            "policies: [\"shop.yaml\"]\nkafka: {{brokers: \"{}\", group: \"{predictions}\"}}\nsources:\n\
             - {{topic: \"{predictions}\", kind: predictions, format: json}}\n- {{topic: \"{features}\", kind: features, format: json}}\n\
             idle_after: 4s\nregistry: {{embedded: {{path: registry.db}}}}\npublish: {{verdicts: \"{verdicts}\"}}\n\
             state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers()
        );
        // For its snapshots.
        shop(&folder, &super::super::kafka::Topics::new(name, 1));
        std::fs::copy(folder.path("shop_v1.csv"), folder.path("shop_v2.csv")).unwrap();
        folder.write("shop.yaml", policy);
        folder.write("driftgate.yaml", config);
        Self { folder, predictions, features, verdicts }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.folder.path("driftgate.yaml"), &[])
    }
}

/// Groups of two latenesses that count each version's own features, and one that counts the model's traffic.
fn policy() -> String {
    SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "")
        .replace("min_samples: 200\n", "min_samples: 200\nretire_after: 12s\n")
        + "  wide:\n    window: {size: 20s, slide: 10s, lateness: 4s}\n    rules: [{psi: {of: x, lt: 0.2}}]\n\
         \x20 all:\n    window: {size: 10s, slide: 10s}\n    traffic: model\n    rules: [{psi: {of: x, lt: 0.2}}]\n"
}

fn of_groups(verdicts: &BTreeMap<String, Value>, groups: &[&str]) -> BTreeMap<String, Value> {
    let of = verdicts.iter().filter(|(_, v)| groups.contains(&v["group"].as_str().unwrap()));
    of.map(|(id, v)| (id.clone(), v.clone())).collect()
}

fn read_up(daemon: &Daemon, topic: &str, least: usize) {
    let series = format!("driftgate_events_total{{topic=\"{topic}\"}}");
    wait_for("the events to be read", || daemon.metric(&series).filter(|n| *n >= least as f64));
}

#[test]
fn versions_count_the_features_of_their_own_time_in_whatever_order_the_streams_are_read() {
    let policy = policy();
    let start = now_ms() / 10_000 * 10_000 - 120_000;
    let (predictions, features) = streams(start);
    let lines = |events: &Events| {
        events.iter().flat_map(|(_, _, payload)| [payload.as_slice(), b"\n"].concat()).collect::<Vec<u8>>()
    };
    let mut expected = None;
    for order in ["features first", "predictions first", "with a stage", "promoted and killed"] {
        let run = Run::new(&order.replace(' ', "-"), &policy);
        let expected = expected.get_or_insert_with(|| {
            run.folder.write("f.jsonl", lines(&features));
            replayed(&run.folder, "shop.yaml", "--features f.jsonl", &[&predictions])
        });
        // Version 1 in 9 windows; version 2 from its first prediction until 12 s after its last, 3 to 9.
        let own = of_groups(expected, &["drift", "wide"]);
        let windows = |version: &str, group: &str| {
            own.values().filter(|v| v["version"] == version && v["group"] == group).count()
        };
        assert_eq!(
            [windows("1", "drift"), windows("2", "drift"), windows("1", "wide"), windows("2", "wide")],
            [9, 7, 9, 7]
        );
        if order == "with a stage" {
            run.folder.driftgate("register shop 2 --stage staging --config driftgate.yaml").exits(0);
        }
        let mut daemon = run.start();
        match order {
            "predictions first" => {
                publish(&run.predictions, predictions.clone());
                read_up(&daemon, &run.predictions, predictions.len());
                publish(&run.features, features.clone());
            }
            "promoted and killed" => {
                publish(&run.features, features[..6_000].to_vec());
                publish(&run.predictions, predictions[..4_000].to_vec());
                read_up(&daemon, &run.features, 6_000);
                read_up(&daemon, &run.predictions, 4_000);
                run.folder.driftgate("register shop 2 --stage staging --config driftgate.yaml").exits(0);
                let pinned = "driftgate_version_stage{model=\"shop\",stage=\"staging\",version=\"2\"}";
                wait_for("the stage", || daemon.metric(pinned).filter(|n| *n > 0.0));
                std::thread::sleep(std::time::Duration::from_secs(5));
                drop(daemon);
                publish(&run.features, features[6_000..].to_vec());
                publish(&run.predictions, predictions[4_000..].to_vec());
                daemon = run.start();
            }
            _ => {
                publish(&run.features, features.clone());
                read_up(&daemon, &run.features, 2_000);
                publish(&run.predictions, predictions.clone());
            }
        }
        let found = wait_for("all verdicts", || {
            let found = complete(read(&run.verdicts));
            (of_groups(&found, &["drift", "wide"]).len() >= own.len()).then_some(found)
        });
        assert_eq!(of_groups(&found, &["drift", "wide"]), own, "{order}");
        // What counts the model's traffic is the same where it is whole in both; a version that nobody knew before counts it
        // from what was not read yet.
        let (found, known) = (of_groups(&found, &["all"]), of_groups(expected, &["all"]));
        let shared = found.iter().filter(|(id, _)| known.contains_key(*id));
        let least = if order == "with a stage" { known.len() } else { 9 };
        assert!(shared.clone().count() >= least, "{order}: {} of {}", found.len(), known.len());
        shared.for_each(|(id, verdict)| assert_eq!(verdict, &known[id], "{order}"));
        assert_eq!(daemon.metric("driftgate_after_close_total{model=\"shop\"}"), Some(0.0), "{order}");
        assert_eq!(daemon.stop(), Some(0));
    }
}
