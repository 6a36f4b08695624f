//! `driftgate init` on tables as people have them: each draft is valid, and blocks no window of the rows it was drafted from.

use std::fmt::Write as _;

use crate::support::{Folder, Random, START};

const ROWS: i64 = 1500;

/// A table: its file's name, its header, and a row's fields.
struct Table {
    file: &'static str,
    header: &'static str,
    row: fn(&mut Random, i64) -> String,
    /// The label, the score, and what must be no feature.
    label: Option<&'static str>,
    score: Option<&'static str>,
    left: &'static [&'static str],
}

fn pick(random: &mut Random, of: &[&str]) -> String {
    of[usize::try_from(random.below(of.len() as u64)).unwrap()].to_owned()
}

fn number(random: &mut Random, below: u64) -> u64 {
    random.below(below)
}

fn probability(random: &mut Random) -> String {
    format!("0.{:04}", random.below(9999) + 1)
}

fn adult(r: &mut Random, _: i64) -> String {
    let probability = probability(r);
    let hard = u8::from(probability.as_str() >= "0.5");
    let (age, work, weight) =
        (17 + number(r, 70), pick(r, &["Private", "Self-emp", "Federal", "?"]), 12_000 + number(r, 900_000));
    let (school, sex, hours) =
        (pick(r, &["HS-grad", "Bachelors", "Masters", "11th"]), pick(r, &["Male", "Female"]), 1 + number(r, 99));
    let country = pick(r, &["United-States", "Mexico", "Germany"]);
    format!(
        "{age},{work},{weight},{school},{sex},{hours},{country},{},{hard},{probability}",
        pick(r, &["<=50K", ">50K"])
    )
}

fn german(r: &mut Random, _: i64) -> String {
    let (status, months, amount) =
        (pick(r, &["<0", "0<=X<200", "no checking"]), 4 + number(r, 60), 250 + number(r, 18_000));
    let (purpose, age, foreign) =
        (pick(r, &["radio/tv", "education", "new car"]), 19 + number(r, 55), pick(r, &["yes", "no"]));
    format!("{status},{months},{amount},{purpose},{age},{foreign},{},{}", pick(r, &["good", "bad"]), probability(r))
}

fn titanic(r: &mut Random, i: i64) -> String {
    let (class, sex, fare) = (1 + number(r, 3), pick(r, &["male", "female"]), number(r, 51_200));
    let age = if number(r, 5) == 0 { String::new() } else { (1 + number(r, 79)).to_string() };
    let cabin = if number(r, 4) == 0 { format!("C{}", number(r, 900)) } else { String::new() };
    let port = pick(r, &["S", "C", "Q"]);
    format!(
        "{},{},{class},\"Surname, Mr. {i}\",{sex},{age},A/{},{}.{:02},{cabin},{port}",
        i + 1,
        number(r, 2),
        number(r, 100_000),
        fare / 100,
        fare % 100
    )
}

fn bank(r: &mut Random, _: i64) -> String {
    let (age, job, default) =
        (18 + number(r, 70), pick(r, &["admin.", "technician", "services"]), pick(r, &["yes", "no", "no", "no"]));
    let (balance, month) = (number(r, 20_000), pick(r, &["may", "jun", "jul"]));
    format!(
        "{age},{job},{default},{balance},{month},{},{},{}",
        pick(r, &["yes", "no"]),
        pick(r, &["yes", "no"]),
        probability(r)
    )
}

fn heart(r: &mut Random, i: i64) -> String {
    let age = 29 + number(r, 48);
    // Taken in the order of the ages, as by hospital.
    let chol = 126 + number(r, 150) + u64::try_from(i / 6).unwrap();
    format!("{age},{},{},{chol},{},{},{}", number(r, 2), number(r, 4), 70 + number(r, 130), number(r, 2), number(r, 2))
}

fn telco(r: &mut Random, i: i64) -> String {
    let (tenure, charge) = (number(r, 73), 18 + number(r, 100));
    let contract = pick(r, &["Month-to-month", "One year", "Two year"]);
    format!("{i:04}-ABC,{},{tenure},{contract},{charge}.5,{},1", pick(r, &["Yes", "No"]), pick(r, &["Yes", "No"]))
}

const TABLES: [Table; 6] = [
    Table {
        file: "adult_v1.csv",
        header: "age,workclass,fnlwgt,education,sex,hours_per_week,native_country,income,y_pred,y_score",
        row: adult,
        label: Some("income"),
        score: Some("y_score"),
        left: &["y_pred"],
    },
    Table {
        file: "german.csv",
        header: "checking_status,duration,credit_amount,purpose,age,foreign_worker,class,proba",
        row: german,
        label: Some("class"),
        score: Some("proba"),
        left: &[],
    },
    Table {
        file: "titanic_v2.csv",
        header: "PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Fare,Cabin,Embarked",
        row: titanic,
        label: Some("Survived"),
        score: None,
        left: &["PassengerId", "Name", "Ticket"],
    },
    Table {
        file: "bank.csv",
        header: "age,job,default,balance,month,y,predicted_label,prob_1",
        row: bank,
        label: Some("y"),
        score: Some("prob_1"),
        left: &["predicted_label"],
    },
    Table {
        file: "heart.csv",
        header: "age,sex,cp,chol,thalach,exang,target",
        row: heart,
        label: Some("target"),
        score: None,
        left: &[],
    },
    Table {
        file: "churn.csv",
        header: "customerID,Partner,tenure,Contract,MonthlyCharges,Churn,constant",
        row: telco,
        label: Some("Churn"),
        score: None,
        left: &["customerID", "constant"],
    },
];

/// Writes the table, and the same rows as predictions over five days with their labels.
fn write(folder: &Folder, table: &Table) {
    let random = &mut Random(11);
    let (mut text, mut events, mut labels) =
        (format!("{}\n", table.header), String::new(), "prediction_id,ts,label\n".to_owned());
    let names: Vec<&str> = table.header.split(',').map(|n| if Some(n) == table.score { "score" } else { n }).collect();
    writeln!(events, "prediction_id,version,ts,{}", names.join(",")).unwrap();
    let at = table.header.split(',').position(|n| Some(n) == table.label).unwrap();
    for i in 0..ROWS {
        let row = (table.row)(random, i);
        let ts = START + i * 5 * 86_400_000 / ROWS;
        writeln!(text, "{row}").unwrap();
        writeln!(events, "p{i},1,{ts},{row}").unwrap();
        let quoted = row.replace("\"Surname, ", "\"");
        writeln!(labels, "p{i},{},{}", ts + 60_000, quoted.split(',').nth(at).unwrap()).unwrap();
    }
    folder.write(table.file, text);
    folder.write("events.csv", events);
    folder.write("labels.csv", labels);
}

#[test]
fn drafts_of_real_tables_are_valid_and_block_none_of_their_own_rows() {
    for table in &TABLES {
        let folder = Folder::new();
        write(&folder, table);
        folder.driftgate(&format!("init --snapshot {} --out policy.yaml", table.file)).exits(0);
        let draft = folder.read("policy.yaml");
        folder.driftgate("check --policy policy.yaml").exits(0);
        let features = draft.split("\nfeatures:").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
        let listed = |name: &str| {
            features
                .lines()
                .any(|l| l.trim_start().starts_with(&format!("- {name} ")) || l.contains(&format!("- \"{name}\" ")))
        };
        for name in table.left.iter().copied().chain(table.label).chain(table.score) {
            assert!(!listed(name), "{name} is a feature in\n{draft}");
        }
        assert!(listed("age") || listed("Age") || listed("tenure"), "{draft}");
        let columns = draft.lines().find(|l| l.trim_start().starts_with("columns:")).unwrap_or_default();
        assert!(table.score.is_none_or(|s| columns.contains(&format!("score: {s}"))), "{draft}");
        assert!(
            table.label.is_none_or(|l| draft.contains(&format!("label: {l}"))
                || draft.contains(&format!("label: \"{l}\""))
                || draft.contains(&format!("the labels are in {l}"))),
            "{draft}"
        );
        assert!(!draft.contains("slo") && !draft.contains("approvals"), "{draft}");
        if let Some((name, _)) = table.file.split_once("_v") {
            assert!(
                draft.contains(&format!("snapshot: \"{name}_v{{version}}.csv\""))
                    && draft.contains(&format!("model: {name} ")),
                "{draft}"
            );
            let version = table.file.split_once("_v").unwrap().1.trim_end_matches(".csv");
            folder.write("events.csv", folder.read("events.csv").replace(",1,17", &format!(",{version},17")));
        }
        folder
            .driftgate("replay --policy policy.yaml --predictions events.csv --labels labels.csv --verdicts v.jsonl")
            .exits(0);
        let verdicts = folder.json_lines("v.jsonl");
        let mut judged = 0;
        for result in verdicts.iter().flat_map(|v| v["results"].as_array().unwrap()) {
            assert_ne!(result["status"], "block", "{}: {result}\n{draft}", table.file);
            judged += usize::from(result["status"] == "pass" || result["status"] == "warn");
        }
        assert!(judged > 30, "{}: {judged} of {} verdicts", table.file, verdicts.len());
    }
}

#[test]
fn a_configuration_is_drafted_beside_the_policy_from_events_that_are_there() {
    let folder = Folder::new();
    let rows: String = (0..1000).map(|i| format!("{},{},0.{:02}\n", i % 70, i % 2, i % 100)).collect();
    folder.write("train.csv", format!("age,label,score\n{rows}"));
    let event = |i: i64| {
        serde_json::json!({"requestId": format!("r{i}"), "modelVersion": "1", "event_time": START + i * 1000, "output": {"probability": 0.5},
            "features": {"age": i % 70}})
    };
    folder.write("events.jsonl", crate::support::lines((0..200).map(event)));
    let draft = |more: &str| {
        folder.driftgate(&format!("init --snapshot train.csv --model risk --label label --score score {more}"))
    };
    draft("--out policy.yaml --file events.jsonl --config-out driftgate.yaml")
        .exits(0)
        .prints("check --config driftgate.yaml");
    let config = folder.read("driftgate.yaml");
    for line in [
        "policies: [\"policy.yaml\"]",
        "model: \"risk\"",
        "prediction_id: \"/requestId\"",
        "score: \"/output/probability\"",
    ] {
        assert!(config.contains(line), "no {line} in\n{config}");
    }
    let check = folder.driftgate("check --config driftgate.yaml");
    assert!(check.code == Some(0), "{}\n{}", check.stdout, check.stderr);
    folder.driftgate("replay --policy policy.yaml --config driftgate.yaml --predictions events.jsonl").exits(0);
    // Nothing is overwritten, and what cannot be told is said.
    draft("--out other.yaml --file events.jsonl --config-out driftgate.yaml")
        .exits(2)
        .says("driftgate.yaml exists already");
    assert!(!folder.path("other.yaml").exists());
    folder.write("none.jsonl", "{\"a\": 1}\n");
    draft("--out other.yaml --file none.jsonl --config-out other-config.yaml")
        .exits(2)
        .says("no source is proposed for none.jsonl");
    draft("--out other.yaml --config-out other-config.yaml").exits(2).says("give --topic or --file");
    draft("--config-out other-config.yaml --file events.jsonl").exits(2).says("--out");
    assert!(!folder.path("other.yaml").exists() && !folder.path("other-config.yaml").exists());
}
