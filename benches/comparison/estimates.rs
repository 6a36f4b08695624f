//! What the criterion benches measured, as parts of the comparison: their medians are read from target/criterion.
//!
//! A benchmark belongs to the part that its group is named after: `decode` (or `decode …`), `join`, `checkpoint`. In the
//! group `decode`, what is ours has driftgate in its name and all others are what it is compared with; in the group `join`,
//! every benchmark that counts elements has the target; in `checkpoint`, one is written first and one again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::results::{Claim, Part, Spread, Table, percent, thousands, times};

/// Events a second that the label join has to reach on one core.
const JOIN_RATE: f64 = 3e6;
/// What a checkpoint of few changes may take of one of everything.
const MUCH_LESS: f64 = 0.5;

/// One benchmark: nanoseconds an iteration and elements in it.
struct Estimate {
    group: String,
    name: String,
    nanoseconds: Spread,
    elements: Option<f64>,
}

impl Estimate {
    /// Reads a benchmark's folder.
    fn read(folder: &Path) -> Option<Self> {
        let json = |name: &str| -> Option<Value> { serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok() };
        let (what, estimates) = (json("benchmark.json")?, json("estimates.json")?);
        let median = &estimates["median"];
        let bound = |name: &str| median["confidence_interval"][name].as_f64();
        Some(Self {
            group: what["group_id"].as_str()?.to_owned(),
            name: [&what["function_id"], &what["value_str"]]
                .into_iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            nanoseconds: Spread {
                median: median["point_estimate"].as_f64()?,
                min: bound("lower_bound")?,
                max: bound("upper_bound")?,
            },
            elements: what["throughput"]["Elements"].as_f64(),
        })
    }

    /// Elements a second: the median, and its confidence bounds.
    fn rate(&self) -> Option<Spread> {
        let rate = |ns: f64| Some(self.elements? * 1e9 / ns);
        let Spread { median, min, max } = self.nanoseconds;
        Some(Spread { median: rate(median)?, min: rate(max)?, max: rate(min)? })
    }
}

/// All benchmarks below a folder.
fn estimates(folder: &Path, out: &mut Vec<Estimate>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()) {
        if path.file_name().is_some_and(|n| n == "new") {
            out.extend(Estimate::read(&path));
        } else {
            estimates(&path, out);
        }
    }
}

/// The part of one group; `None` where it was not measured.
pub fn part(folder: &Path, group: &str, title: &str, about: &str) -> Option<Part> {
    let mut all = Vec::new();
    estimates(folder, &mut all);
    all.retain(|e| e.group == group || e.group.starts_with(&format!("{group} ")));
    all.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    if all.is_empty() {
        return None;
    }
    let row = |e: &Estimate| {
        let each = e.elements.map_or_else(String::new, |n| format!("{:.0} ns", e.nanoseconds.median / n));
        let rate = e.rate().map_or_else(String::new, |r| r.show(thousands));
        vec![format!("{} {}", e.group, e.name), time(e.nanoseconds.median), each, rate]
    };
    let head = ["", "a run", "an element", "elements/s"].map(str::to_owned).to_vec();
    let raw = |e: &Estimate| json!({"group": e.group, "name": e.name, "nanoseconds": e.nanoseconds.median, "elements": e.elements});
    Some(Part {
        title: title.to_owned(),
        about: about.to_owned(),
        tables: vec![Table { head, rows: all.iter().map(row).collect() }],
        claims: match group {
            "decode" => against_the_fastest(&all),
            "join" => join_rates(&all),
            _ => again_over_first(&all).into_iter().collect(),
        },
        raw: all.iter().map(raw).collect(),
        ..Part::default()
    })
}

/// Ours beside the fastest of the others.
fn against_the_fastest(all: &[Estimate]) -> Vec<Claim> {
    let rated = || all.iter().filter_map(|e| Some((e.name.contains("driftgate"), e, e.rate()?)));
    let fastest =
        |ours: bool| rated().filter(|(is_ours, ..)| *is_ours == ours).max_by(|a, b| a.2.median.total_cmp(&b.2.median));
    let (Some((_, _, ours)), Some((_, other, theirs))) = (fastest(true), fastest(false)) else { return Vec::new() };
    let ratio = Spread { median: ours.median / theirs.median, min: ours.min / theirs.max, max: ours.max / theirs.min };
    vec![Claim::at_least(&format!("decoding and counting on one core, over {}", other.name), ratio, 1.0, times)]
}

fn join_rates(all: &[Estimate]) -> Vec<Claim> {
    let claim = |e: &Estimate| {
        let what = format!("label join on one core, events a second: {}", e.name);
        Some(Claim::at_least(&what, e.rate()?, JOIN_RATE, thousands))
    };
    all.iter().filter_map(claim).collect()
}

/// A checkpoint costs what changed.
fn again_over_first(all: &[Estimate]) -> Option<Claim> {
    let named = |what: &str| all.iter().find(|e| e.name.contains(what)).map(|e| e.nanoseconds);
    let (again, first) = (named("again")?, named("first")?);
    let ratio = Spread { median: again.median / first.median, min: again.min / first.max, max: again.max / first.min };
    Some(Claim::at_most("a checkpoint after five more minutes, of the first one's time", ratio, MUCH_LESS, percent))
}

/// A duration in nanoseconds, for people.
fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{:.2} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{:.2} ms", ns / 1e6),
        ns if ns >= 1e3 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{ns:.1} ns"),
    }
}
