//! Files as people have them: folders, patterns and several files give the verdicts of one file in the same order.

use polars_core::prelude::{NamedFrom as _, Series};
use serde_json::json;

use crate::support::{Folder, START, lines, write_parquet};

const POLICY: &str = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x]}\nmin_samples: 100\nscore: {threshold: 0.5}\n\
    labels: {horizon: 1h}\nchecks:\n  drift:\n    window: {size: 1h, slide: 10m}\n    rules:\n    - psi: {of: features, lt: 0.2}\n    - tpr: {gte: 0.1}\n";

#[test]
fn folders_patterns_and_several_files_give_the_verdicts_of_one_file() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write(
        "train.csv",
        format!("x,label\n{}", (0..500).map(|i| format!("{},{}\n", i % 50, i % 2)).collect::<String>()),
    );
    let at = |i: i64| START + 5_000 * i;
    let x = |i: i64| (i * 7 % 50) * (1 + i / 2_000);
    let prediction = |i: i64| {
        json!({"model": "m", "version": "1", "prediction_id": format!("p{i}"), "ts": at(i), "score": 0.5, "decision": i % 3 == 0,
            "features": {"x": x(i)}})
    };
    let label =
        |i: i64| json!({"model": "m", "prediction_id": format!("p{i}"), "ts": at(i) + 60_000, "label": i % 2 == 0});
    let (all, third) = (3_000, 1_000);
    folder.write("predictions.jsonl", lines((0..all).map(prediction)));
    folder.write("labels.jsonl", lines((0..all).map(label)));
    let part = |k: i64| k * third..(k + 1) * third;
    for of in ["logs/2026-01", "logs/2026-02", "logs/2026-03", "more", "labels", "empty"] {
        std::fs::create_dir_all(folder.path(of)).unwrap();
    }
    folder.write("logs/2026-01/a.jsonl", lines(part(0).map(prediction)));
    folder.write("logs/2026-01/notes.txt", "no events");
    folder.write("logs/2026-02/_SUCCESS", "");
    let rows = |of: &dyn Fn(i64) -> String| part(1).map(of).collect::<Vec<String>>();
    let column = |name: &str, of: &dyn Fn(i64) -> String| Series::new(name.into(), rows(of));
    write_parquet(
        &folder.path("logs/2026-02/b.parquet"),
        vec![
            column("version", &|_| "1".into()),
            column("prediction_id", &|i| format!("p{i}")),
            Series::new("ts".into(), part(1).map(at).collect::<Vec<_>>()),
            Series::new("score".into(), part(1).map(|_| 0.5).collect::<Vec<_>>()),
            Series::new("decision".into(), part(1).map(|i| i % 3 == 0).collect::<Vec<_>>()),
            Series::new("x".into(), part(1).map(x).collect::<Vec<_>>()),
        ],
    );
    folder.write("more/c.jsonl", lines(part(2).map(prediction)) + "nope\n");
    folder.write("labels/1.jsonl", lines((0..1_500).map(label)));
    folder.write("labels/2.jsonl", lines((1_500..all).map(label)));
    folder
        .driftgate(
            "replay --policy policy.yaml --predictions predictions.jsonl --labels labels.jsonl --verdicts one.jsonl",
        )
        .exits(0);
    let expected = folder.read("one.jsonl");
    assert!(expected.lines().count() > 10 && expected.contains("block"));
    for (named, threads) in [
        ("--predictions logs --predictions more --labels labels", 1),
        ("--predictions logs/2026-* --predictions more/c.jsonl --labels labels/1.jsonl --labels labels/2.jsonl", 4),
    ] {
        let run = folder.driftgate(&format!(
            "replay --policy policy.yaml {named} --threads {threads} --verdicts many.jsonl --dead-letters dead.jsonl"
        ));
        run.exits(0);
        assert_eq!(folder.read("many.jsonl"), expected, "{named}");
        let dead = folder.json_lines("dead.jsonl");
        assert!(
            dead.len() == 1 && dead[0]["line"] == 1_001 && dead[0]["file"].as_str().unwrap().ends_with("more/c.jsonl"),
            "{dead:?}"
        );
    }
    let nothing =
        |named: &str| folder.driftgate(&format!("replay --policy policy.yaml --predictions {named} --labels labels"));
    nothing("logs/2027-*").exits(2).says("no file matches logs/2027-*");
    nothing("logs/2026-01/notes.txt").exits(2).says("this one does not");
    folder.write("empty/readme.md", "");
    nothing("empty").exits(2).says("holds no event file");
    nothing("logs --predictions logs/2026-01/a.jsonl").exits(2).says("is named twice");
    folder.write("logs/2026-03/broken.parquet", "no Parquet");
    nothing("logs").exits(2).says("broken.parquet");
}

#[test]
fn columns_that_stand_in_paths_are_read_as_if_they_stood_in_the_files() {
    let folder = Folder::new();
    let policy = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x, hour], categorical: [site]}\n\
        min_samples: 100\nchecks:\n  drift:\n    window: {size: 1h, slide: 10m}\n    rules:\n    - psi: {of: features, lt: 0.2}\n";
    folder.write("policy.yaml", policy);
    let row = |i: i64| format!("{},{},{}\n", i % 50, i % 24, if i % 2 == 0 { "north" } else { "007" });
    folder.write("train.csv", format!("x,hour,site\n{}", (0..480).map(row).collect::<String>()));
    let at = |i: i64| START + 5_000 * i;
    // Each third is a file of another kind, with another version, hour and site in its path.
    let paths = [("1.10", 7, "north", "a.parquet"), ("1.10", 8, "007", "b.csv.gz"), ("2", 9, "north", "c.jsonl")];
    let third = 1_000;
    let mut plain = Vec::new();
    for (k, (version, hour, site, name)) in (0_i64..).zip(paths) {
        let part = k * third..(k + 1) * third;
        let of = format!("data/version={version}/hour={hour:02}/site={site}");
        std::fs::create_dir_all(folder.path(&of)).unwrap();
        let file = format!("{of}/{name}");
        plain.extend(part.clone().map(|i| {
            json!({"model": "m", "version": version, "ts": at(i), "features": {"x": i % 50, "hour": hour, "site": site}})
        }));
        match k {
            0 => write_parquet(
                &folder.path(&file),
                vec![
                    Series::new("ts".into(), part.clone().map(at).collect::<Vec<_>>()),
                    Series::new("x".into(), part.map(|i| i % 50).collect::<Vec<_>>()),
                ],
            ),
            1 => {
                let text: String = part.map(|i| format!("{},{}\n", at(i), i % 50)).collect();
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut packed, format!("ts,x\n{text}").as_bytes()).unwrap();
                folder.write(&file, packed.finish().unwrap());
            }
            _ => {
                folder.write(&file, lines(part.map(|i| json!({"ts": at(i), "model": "m", "features": {"x": i % 50}}))));
            }
        }
    }
    folder.write("plain.jsonl", lines(plain.into_iter()));
    let replay = |named: &str| {
        folder.driftgate(&format!("replay --policy policy.yaml --predictions {named} --verdicts out.jsonl")).exits(0);
        folder.read("out.jsonl")
    };
    let expected = replay("plain.jsonl");
    assert!(expected.contains("\"1.10\"") && expected.contains("\"version\":\"2\""), "{expected}");
    assert_eq!(replay("data"), expected);
    assert_eq!(replay("data/version=*/**/*.*"), expected);
    let parts = folder.driftgate("splits data");
    let listed = parts.exits(0).stdout.lines().count();
    assert_eq!(listed, paths.len());
}
