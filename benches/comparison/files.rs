//! Files, whole processes from start to end: a replay of Parquet and of JSON lines beside numpy and Evidently, with one
//! thread and with two.

use std::process::Command;

use crate::agreement::{batch, replay};
use crate::process;
use crate::results::{
    Bar, Bars, Claim, Contender, Entry, Part, Sample, Spread, count, percent, real, take_turns, times,
};
use crate::settings::Settings;

/// A run of Evidently takes half a minute.
const EVIDENTLY_ROUNDS: usize = 5;
/// Events per second that a replay of JSON lines must reach on two cores.
const JSONL_RATE: f64 = 1.2e6;

pub fn run(settings: &Settings) -> Part {
    let rows = settings.rows();
    let policy = settings.file("policy.yaml");
    let driftgate = |file: &str, threads: Option<&str>| -> Sample {
        let mut command: Command = replay(settings, &policy, &settings.file(file));
        if let Some(threads) = threads {
            command.args(["--threads", threads]);
        }
        let (sample, summary) = process::run(&mut command);
        let summary: serde_json::Value = serde_json::from_str(&summary).expect("a summary");
        assert_eq!(summary["counters"]["predictions"].as_u64(), Some(rows), "every event is counted");
        assert_eq!(summary["counters"]["joined"].as_u64(), Some(settings.labels()), "every label is joined");
        sample
    };
    let rounds = settings.quick_rounds();
    let entry = |name, run| Entry { name, events: rows, rounds, run };
    let peer = |name, script: &'static str, mode: &'static str| Entry {
        rounds: settings.rounds,
        ..entry(name, Box::new(move || batch(settings, script, mode)))
    };
    let evidently = peer("`batch_evidently.py psi`", "batch_evidently.py", "psi");
    let evidently = Entry { rounds: settings.rounds.min(EVIDENTLY_ROUNDS), ..evidently };
    let contenders = take_turns(
        "files",
        rounds,
        vec![
            entry("`driftgate replay`, Parquet", Box::new(|| driftgate("predictions.parquet", None))),
            peer("`batch_numpy.py psi`", "batch_numpy.py", "psi"),
            peer("`batch_numpy.py all`", "batch_numpy.py", "all"),
            evidently,
            entry("`driftgate replay --threads 1`, Parquet", Box::new(|| driftgate("predictions.parquet", Some("1")))),
            entry("`driftgate replay --threads 2`, Parquet", Box::new(|| driftgate("predictions.parquet", Some("2")))),
            entry("`driftgate replay --threads 1`, JSON lines", Box::new(|| driftgate("predictions.jsonl", Some("1")))),
            entry("`driftgate replay --threads 2`, JSON lines", Box::new(|| driftgate("predictions.jsonl", Some("2")))),
        ],
    );
    part(settings, rows, &contenders)
}

fn part(settings: &Settings, rows: u64, contenders: &[Contender]) -> Part {
    let [parquet, psi, all, evidently, parquet_1, parquet_2, jsonl_1, jsonl_2] = contenders else {
        panic!("eight contenders")
    };
    let bytes = std::fs::metadata(settings.file("predictions.jsonl")).map_or(0, |m| m.len());
    let about = format!(
        "{} events of 20 numeric and 4 categorical features, as Parquet or as JSON lines of {} bytes; 100,000 training rows. \
         driftgate: PSI and KS of 24 features in windows of 1 h sliding by 5 min, TPR by two segments from {} labels. The \
         peers: one PSI (`all`: and one KS) of each feature over the whole file. Whole processes, imports included.",
        count(rows),
        bytes / rows.max(1),
        count(settings.labels())
    );
    let mut part = Part::of_contenders("Files", about, contenders);
    let rate = Spread::of(jsonl_2.samples.iter().map(|s| real(rows) / s.seconds));
    part.claims = vec![
        Claim::at_least("Parquet: speed over `batch_evidently.py psi`", parquet.speed_over(evidently), 30.0, times),
        Claim::at_least("Parquet: speed over `batch_numpy.py all`", parquet.speed_over(all), 3.5, times),
        Claim::at_least("Parquet: speed over `batch_numpy.py psi`", parquet.speed_over(psi), 1.0, times),
        Claim::at_most("Parquet: memory of `batch_evidently.py psi`'s", parquet.memory_of(evidently), 0.5, percent),
        Claim::at_most("Parquet: memory of `batch_numpy.py all`'s", parquet.memory_of(all), 0.5, percent),
        Claim::at_most("Parquet: memory of `batch_numpy.py psi`'s", parquet.memory_of(psi), 0.5, percent),
        Claim::at_least("JSON lines: events per second on two threads", rate, JSONL_RATE, crate::results::thousands),
        Claim::at_least("Parquet: two threads over one", parquet_2.speed_over(parquet_1), 1.7, times),
        Claim::at_least("JSON lines: two threads over one", jsonl_2.speed_over(jsonl_1), 1.7, times),
    ];
    let bar = |c: &Contender, name: &str, ours| Bar {
        name: name.to_owned(),
        rate: c.rate(),
        note: format!("{:.2} s, {:.0} MiB", c.seconds().median, c.resident()),
        ours,
    };
    part.bars = vec![
        Bars {
            title: "Parquet, whole process: rows per second".to_owned(),
            bars: vec![
                bar(parquet, "driftgate replay", true),
                bar(psi, "numpy, PSI", false),
                bar(all, "numpy, SciPy, PSI and KS", false),
                bar(evidently, "Evidently, PSI", false),
            ],
        },
        Bars {
            title: "JSON lines, whole process: events per second".to_owned(),
            bars: vec![bar(jsonl_2, "driftgate, two threads", true), bar(jsonl_1, "driftgate, one thread", true)],
        },
    ];
    part
}
