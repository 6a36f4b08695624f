//! What more features, more versions and a longer stream cost, in processor time.

use serde_json::json;

use crate::feed::{Feed, T0, names, noise};
use crate::long;
use crate::process::own_cpu;
use crate::results::{Claim, Part, Spread, Table, count, real, times};
use crate::settings::Settings;

const FEATURES: [usize; 4] = [1, 10, 100, 1_000];
const VERSIONS: [usize; 3] = [1, 10, 50];
/// Features of the events of many versions.
const SOME: usize = 20;
pub const REFERENCE_ROWS: usize = 20_000;
/// Every contender goes through so many bytes of different events, or a whole batch of them, time and again, for so many
/// seconds.
const BYTES: usize = 4 << 20;
const LONG_ENOUGH: f64 = 0.4;
/// Events decoded before they are counted: as many as the daemon takes from a partition in one turn, or as it lets wait
/// there, which is fewer where they are wide. A replay's block of lines is no smaller.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 8 << 20;
/// How much more a feature may cost where there are many, and an event where there are 50 versions.
const LINEAR: f64 = 1.5;
const MANY_VERSIONS: f64 = 1.5;

pub fn run(settings: &Settings) -> Part {
    let mut part = Part { title: "Growth".to_owned(), ..Part::default() };
    features(settings.rounds, &mut part);
    versions(settings.rounds, &mut part);
    part.about = format!(
        "Features and versions: JSON events decoded and counted from memory on one core, PSI and KS on everything. The long \
         stream: {} events of the bench data, one every 10 ms of event time, and their labels, piped into `driftgate \
         replay`; its policy, with 1 h of predictions waiting for labels. Where it pauses, the start of the same stream goes \
         through a new process.",
        count(settings.stream)
    );
    long::run(settings, &mut part);
    part
}

/// Nanoseconds an event of each contender, round by round, in turn.
fn measure(rounds: usize, what: &str, mut contenders: Vec<(usize, Feed, Vec<Vec<u8>>)>) -> Vec<(usize, Vec<f64>)> {
    let mut out: Vec<(usize, Vec<f64>)> = contenders.iter().map(|(n, ..)| (*n, Vec::new())).collect();
    // The first round only warms up.
    for round in 0..=rounds {
        for ((n, feed, lines), (_, costs)) in contenders.iter_mut().zip(&mut out) {
            let (begun, before) = (own_cpu(), feed.counted());
            while own_cpu() - begun < LONG_ENOUGH {
                for chunk in lines.chunks(batch(&lines[0])) {
                    feed.lines(chunk);
                    feed.advance();
                }
            }
            let cost = (own_cpu() - begun) * 1e9 / real(feed.counted() - before);
            if round > 0 {
                eprintln!("growth, round {round} of {rounds}: {n} {what}: {cost:.0} ns an event");
                costs.push(cost);
            }
        }
    }
    out
}

/// How many such events are decoded before they are counted.
fn batch(event: &[u8]) -> usize {
    BATCH.min(BATCH_BYTES / event.len())
}

/// Events of so many features and versions: about `BYTES` of them, and a whole batch at least.
pub fn events(features: usize, versions: usize) -> Vec<Vec<u8>> {
    let names = names(features);
    let event = |i: usize| {
        let value = |(f, name): (usize, &String)| format!("\"{name}\":{}", noise((i * features + f) as u64 + 77));
        let values: Vec<String> = names.iter().enumerate().map(value).collect();
        let version = i % versions + 1;
        let features = values.join(",");
        format!(
            "{{\"model\":\"wide\",\"version\":\"{version}\",\"ts\":{T0},\"score\":0.5,\"features\":{{{features}}}}}"
        )
        .into_bytes()
    };
    let first = event(0);
    let wanted = (BYTES / first.len()).max(batch(&first));
    (0..wanted).map(event).collect()
}

fn features(rounds: usize, part: &mut Part) {
    let contenders = FEATURES.map(|n| (n, Feed::new(n, 1, REFERENCE_ROWS), events(n, 1)));
    let costs = measure(rounds, "features", contenders.into());
    part.tables.push(table("features", &costs));
    let per_feature = |low: usize, high: usize, round: usize| {
        let (few, many) = (&costs[low], &costs[high]);
        (many.1[round] - few.1[round]) / real((many.0 - few.0) as u64)
    };
    // What a feature adds from 100 to 1,000, beside what it adds from 1 to 100.
    let more = (0..rounds).map(|round| per_feature(2, 3, round) / per_feature(0, 2, round));
    part.claims.push(Claim::at_most(
        "a feature's cost from 100 to 1,000, over its cost from 1 to 100",
        Spread::of(more),
        LINEAR,
        times,
    ));
    part.raw.push(json!({"features": costs}));
}

fn versions(rounds: usize, part: &mut Part) {
    let contenders = VERSIONS.map(|n| (n, Feed::new(SOME, n, REFERENCE_ROWS), events(SOME, n)));
    let costs = measure(rounds, "versions", contenders.into());
    part.tables.push(table("versions", &costs));
    let last = VERSIONS.len() - 1;
    let more = costs[last].1.iter().zip(&costs[0].1).map(|(many, one)| many / one);
    part.claims.push(Claim::at_most(
        "an event's cost with 50 versions over one",
        Spread::of(more),
        MANY_VERSIONS,
        times,
    ));
    part.raw.push(json!({"versions": costs}));
}

fn table(what: &str, costs: &[(usize, Vec<f64>)]) -> Table {
    let row = |(n, costs): &(usize, Vec<f64>)| {
        let spread = Spread::of(costs.iter().copied());
        let each = if what == "features" { format!("{:.1}", spread.median / real(*n as u64)) } else { String::new() };
        vec![count(*n as u64), spread.show(|c| format!("{c:.0}")), each]
    };
    let mut head = vec![what.to_owned(), "ns per event".to_owned()];
    head.push(if what == "features" { "ns per feature".to_owned() } else { String::new() });
    Table { head, rows: costs.iter().map(row).collect() }
}
