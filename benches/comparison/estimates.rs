//! What the criterion benches measured, as parts of the comparison: the medians of their rounds are read from
//! target/criterion.
//!
//! A benchmark belongs to the part that its group is named after: `decode` (or `decode …`), `join`, `checkpoint`. In the
//! group `decode`, what is ours has driftgate in its name and all others are what it is compared with; in the group `join`,
//! every benchmark that counts elements has the target; in `checkpoint`, one is written first and one again.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::results::{Claim, Part, Spread, Table, percent, thousands, times};

/// Events per second that the label join has to reach on one core.
const JOIN_RATE: f64 = 3e6;
/// More rounds than this are not looked for.
const MOST_ROUNDS: usize = 1000;
/// What a checkpoint of few changes may take of one of everything.
const MUCH_LESS: f64 = 0.5;

/// One benchmark: nanoseconds an iteration, a round each, and elements in it.
struct Estimate {
    group: String,
    name: String,
    rounds: Vec<f64>,
    elements: Option<f64>,
}

impl Estimate {
    /// Reads the rounds of a benchmark, which are folders of its own; `None` where there are none.
    fn read(folder: &Path) -> Option<Self> {
        let rounds: Vec<PathBuf> =
            (1..=MOST_ROUNDS).map(|n| folder.join(format!("round-{n}"))).take_while(|f| f.is_dir()).collect();
        let json = |path: PathBuf| -> Option<Value> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
        let what = json(rounds.first()?.join("benchmark.json"))?;
        let median = |round: &PathBuf| json(round.join("estimates.json"))?["median"]["point_estimate"].as_f64();
        Some(Self {
            group: what["group_id"].as_str()?.to_owned(),
            name: [&what["function_id"], &what["value_str"]]
                .into_iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            rounds: rounds.iter().map(median).collect::<Option<_>>()?,
            elements: what["throughput"]["Elements"].as_f64(),
        })
    }

    fn nanoseconds(&self) -> Spread {
        Spread::of(self.rounds.iter().copied())
    }

    /// Elements per second.
    fn rate(&self) -> Option<Spread> {
        let elements = self.elements?;
        Some(Spread::of(self.rounds.iter().map(|ns| elements * 1e9 / ns)))
    }

    /// How long this took of another's time, round by round.
    fn of_the_time_of(&self, other: &Self) -> Spread {
        Spread::of(self.rounds.iter().zip(&other.rounds).map(|(a, b)| a / b))
    }
}

/// All benchmarks below a folder.
fn estimates(folder: &Path, out: &mut Vec<Estimate>) {
    out.extend(Estimate::read(folder));
    let Ok(entries) = fs::read_dir(folder) else { return };
    entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).for_each(|path| estimates(&path, out));
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
        let each = e.elements.map_or_else(String::new, |n| format!("{:.0} ns", e.nanoseconds().median / n));
        let rate = e.rate().map_or_else(String::new, |r| r.show(thousands));
        vec![format!("{} {}", e.group, e.name), time(e.nanoseconds().median), each, rate]
    };
    let head = ["", "per run", "per element", "elements/s"].map(str::to_owned).to_vec();
    let raw = |e: &Estimate| json!({"group": e.group, "name": e.name, "nanoseconds": e.rounds, "elements": e.elements});
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
    let fastest = |ours: bool| {
        all.iter()
            .filter(|e| e.elements.is_some() && e.name.contains("driftgate") == ours)
            .min_by(|a, b| a.nanoseconds().median.total_cmp(&b.nanoseconds().median))
    };
    let (Some(ours), Some(other)) = (fastest(true), fastest(false)) else { return Vec::new() };
    let what = format!("decoding and counting on one core, over {}", other.name);
    vec![Claim::at_least(&what, other.of_the_time_of(ours), 1.0, times)]
}

fn join_rates(all: &[Estimate]) -> Vec<Claim> {
    let claim = |e: &Estimate| {
        let what = format!("label join on one core, events per second: {}", e.name);
        Some(Claim::at_least(&what, e.rate()?, JOIN_RATE, thousands))
    };
    all.iter().filter_map(claim).collect()
}

/// A checkpoint costs what changed.
fn again_over_first(all: &[Estimate]) -> Option<Claim> {
    let named = |what: &str| all.iter().find(|e| e.name.contains(what));
    let ratio = named("again")?.of_the_time_of(named("first")?);
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
