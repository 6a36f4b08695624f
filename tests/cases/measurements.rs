//! `driftgate replay --measurements`: what other systems measured, judged from files. Every expected value is computed by
//! hand in the test.

use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, publish, read, topic, wait_for};
use crate::support::{Folder, lines};

const POLICY: &str = "apiVersion: driftgate/v1
model: shop
lateness: 10m
checks:
  business:
    window: {size: 1h, slide: 1h}
    rules:
    - measured: {id: cost, of: cost_per_1k, lt: 0.5, warn: 0.45}
    - measured: {id: peak, of: cost_per_1k, lte: 0.6, agg: max}
    - measured: {id: refunds, of: refunds, lt: 10, agg: sum}
";
/// 2023-11-14T00:00Z.
const DAY: i64 = 1_699_920_000_000;
const MINUTE: i64 = 60_000;

/// (minute, version, metric, value, n) in the order of time.
const MEASURED: [(i64, &str, &str, f64, u64); 9] = [
    (5, "1", "cost_per_1k", 0.42, 1200),
    (20, "1", "cost_per_1k", 0.5, 800),
    (30, "2", "cost_per_1k", 0.1, 10),
    (70, "1", "cost_per_1k", 0.3, 1),
    (80, "1", "cost_per_1k", 0.6, 1),
    (90, "1", "cost_per_1k", 0.6, 1),
    (95, "1", "churn", 7.0, 1),
    (130, "1", "refunds", 2.5, 4),
    (250, "1", "cost_per_1k", 0.1, 1),
];

fn event(&(minute, version, metric, value, n): &(i64, &str, &str, f64, u64)) -> Value {
    let ts = DAY + minute * MINUTE;
    json!({"model": "shop", "version": version, "ts": ts, "metric": metric, "value": value, "n": n})
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("p.jsonl", lines([json!({"model": "shop", "version": "1", "ts": DAY})].into_iter()));
    folder.write("m.jsonl", lines(MEASURED.iter().map(event)));
    folder
}

fn judged(folder: &Folder, arguments: &str) -> (String, String) {
    let command =
        format!("replay --policy policy.yaml --predictions p.jsonl {arguments} --verdicts v.jsonl --signals s.jsonl");
    folder.driftgate(&command).exits(0);
    (folder.read("v.jsonl"), folder.read("s.jsonl"))
}

#[test]
fn windows_of_measurements_are_judged() {
    let folder = folder();
    let (_, signals) = judged(&folder, "--measurements m.jsonl");
    let said: Vec<Value> = folder
        .json_lines("v.jsonl")
        .iter()
        .map(|v| {
            let results = v["results"].as_array().unwrap();
            let short = results.iter().map(|r| json!([r["status"], r["value"], r["n"]])).collect::<Vec<_>>();
            json!([v["window"]["end"], v["version"], v["window"]["complete"], short])
        })
        .collect();
    let nothing = json!(["insufficient", null, 0]);
    let expected = [
        // (0.42 * 1200 + 0.5 * 800) / 2000 = 904 / 2000
        json!(["2023-11-14T01:00:00Z", "1", true, [["warn", 0.452, 2000], ["pass", 0.5, 2000], nothing]]),
        json!(["2023-11-14T01:00:00Z", "2", true, [["pass", 0.1, 10], ["pass", 0.1, 10], nothing]]),
        // 1.5 / 3 is at the limit, whatever floats make of it.
        json!(["2023-11-14T02:00:00Z", "1", true, [["block", 0.5, 3], ["pass", 0.6, 3], nothing]]),
        // 2.5 * 4
        json!(["2023-11-14T03:00:00Z", "1", true, [nothing, nothing, ["block", 10.0, 4]]]),
        json!(["2023-11-14T05:00:00Z", "1", false, [["pass", 0.1, 1], ["pass", 0.1, 1], nothing]]),
    ];
    assert_eq!(said, expected);
    let first = &folder.json_lines("v.jsonl")[0];
    assert_eq!(
        first["results"][0],
        json!({"rule": "business/cost", "metric": "measured", "subject": "cost_per_1k", "status": "warn", "value": 0.452,
            "limit": {"lt": 0.5}, "method": "mean", "n": 2000, "reason": "at or above warn 0.45", "since": "2023-11-14T01:00:00Z"})
    );
    assert_eq!(first["counted"], json!({"predictions": 0, "labels": 0}));
    assert_eq!(first["baseline_sha256"], Value::Null);
    let blocks: Vec<Value> = folder.json_lines("s.jsonl");
    assert_eq!(
        (blocks.len(), &blocks[0]["action"], &blocks[0]["ts"]),
        (1, &json!("block"), &json!("2023-11-14T02:00:00Z"))
    );
    assert!(signals.contains("business/cost cost_per_1k 0.5 breaks lt 0.5"), "{signals}");
}

#[test]
fn any_format_and_order_gives_the_same_bytes() {
    let folder = folder();
    let first = judged(&folder, "--measurements m.jsonl");
    let mut csv = "model,version,ts,metric,value,n\n".to_owned();
    for (minute, version, metric, value, n) in MEASURED {
        csv += &format!("shop,{version},{},{metric},{value},{n}\n", DAY + minute * MINUTE);
    }
    folder.write("m.csv", csv);
    // Within the ten minutes of lateness: 80 before 70, 95 before 90, and every event of the first hour as it comes.
    let order = [0, 2, 1, 4, 3, 6, 5, 7, 8];
    folder.write("o.jsonl", lines(order.iter().map(|&i| event(&MEASURED[i]))));
    for file in ["m.csv", "o.jsonl", "m.jsonl --threads 3"] {
        assert!(judged(&folder, &format!("--measurements {file}")) == first, "{file}");
    }
}

#[test]
fn what_is_no_measurement_is_a_dead_letter_and_a_policy_needs_the_file() {
    let folder = folder();
    let first = judged(&folder, "--measurements m.jsonl");
    let bad = r#"{"model":"shop","version":"1","ts":1699920000000,"metric":"cost_per_1k","value":"low"}
{"model":"shop","version":"1","ts":1699920000000,"metric":"cost_per_1k","value":1,"n":0}
{"model":"shop","version":"1","ts":1699920000000,"value":1}
{"model":"shop","ts":1699920000000,"metric":"cost_per_1k","value":1}
"#;
    folder.write("b.jsonl", bad.to_owned() + &folder.read("m.jsonl"));
    assert_eq!(judged(&folder, "--measurements b.jsonl --dead-letters d.jsonl").0, first.0);
    let reasons: Vec<Value> = folder.json_lines("d.jsonl").iter().map(|d| json!([d["line"], d["reason"]])).collect();
    let expected = [(1, "bad_value"), (2, "bad_weight"), (3, "no_metric"), (4, "no_version")];
    assert_eq!(reasons, expected.map(|(line, reason)| json!([line, reason])));
    folder
        .driftgate("replay --policy policy.yaml --predictions p.jsonl")
        .exits(2)
        .says("the policy's measured rules need --measurements");
}

#[test]
fn the_daemons_verdicts_are_the_replays_over_a_restart() {
    let folder = folder();
    judged(&folder, "--measurements m.jsonl");
    let mut expected = folder.json_lines("v.jsonl");
    expected.retain(|v| v["window"]["complete"] == true);
    let (measurements, verdicts) = (topic("measurements", 2), topic("measurements-verdicts", 1));
    let config = format!(
        "policies: [policy.yaml]
kafka: {{brokers: \"{}\", group: \"{measurements}\"}}
sources: [{{topic: \"{measurements}\", kind: measurements}}]
idle_after: 1s
registry: {{embedded: {{path: registry.db}}}}
publish: {{verdicts: \"{verdicts}\"}}
state: {{path: state, every: 1s}}
http: {{listen: \"127.0.0.1:0\"}}
",
        brokers()
    );
    folder.write("driftgate.yaml", config);
    let send = |from: usize, to: usize| {
        let record = |i: usize| (i32::from(i % 2 == 1), String::new(), event(&MEASURED[i]).to_string().into_bytes());
        publish(&measurements, (from..to).map(record));
    };
    // Up to 01:30: the first hour closes, the second stays open in the checkpoint.
    for (from, to, judged) in [(0, 6, 2), (6, 9, 4)] {
        send(from, to);
        if to == MEASURED.len() {
            // Others that no rule reads confirm the time of the last one, two hours after the one before.
            let confirm = |minute| (0, String::new(), event(&(minute, "1", "churn", 7.0, 1)).to_string().into_bytes());
            publish(&measurements, [251, 252].map(confirm));
        }
        let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        wait_for("the verdicts", || (read(&verdicts).len() >= judged).then_some(()));
        assert_eq!(daemon.stop(), Some(0));
    }
    assert_eq!(read(&verdicts), expected);
}
