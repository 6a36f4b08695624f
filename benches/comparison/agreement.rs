//! Whether all contenders computed the same. `peers/agree.py` computes PSI, D and p again from the raw rows and compares
//! what everybody said; the stream's verdicts are those of the replay. A disagreement ends the run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process;
use crate::results::{Part, Table, count};
use crate::settings::{BINARY, Settings};

/// Milliseconds of a day: the data has one event each, and one window must hold them all.
const DAY: u64 = 86_400_000;

/// A `driftgate replay` of the bench data.
pub fn replay(settings: &Settings, policy: &Path, predictions: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["replay", "--json", "--policy"]).arg(policy).arg("--predictions").arg(predictions);
    command.arg("--labels").arg(settings.file("labels.parquet"));
    command
}

/// The complete verdicts of a replay as JSON lines, sorted.
pub fn complete_verdicts(settings: &Settings, predictions: &Path) -> Vec<String> {
    let out = settings.scratch.path().join("complete.jsonl");
    process::run(replay(settings, &settings.file("policy.yaml"), predictions).arg("--verdicts").arg(&out));
    let text = fs::read_to_string(&out).expect("verdicts");
    let is_complete = |line: &&str| {
        let verdict: serde_json::Value = serde_json::from_str(line).expect("a verdict");
        verdict["window"]["complete"] == true
    };
    let mut lines: Vec<String> = text.lines().filter(is_complete).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What a peer prints; its contest, if it had one, kept it.
fn said(settings: &Settings, script: &str, mode: &str) -> std::path::PathBuf {
    let path = settings.scratch.path().join(format!("{script}-{mode}.json"));
    if !path.exists() {
        eprintln!("agreement: {script} {mode}");
        batch(settings, script, mode);
    }
    path
}

/// Runs a peer over the files and keeps what it prints.
pub fn batch(settings: &Settings, script: &str, mode: &str) -> crate::results::Sample {
    let mut command = Command::new(&settings.python);
    let (sample, printed) = process::run(command.arg(Settings::peer(script)).arg(&settings.data).arg(mode));
    fs::write(settings.scratch.path().join(format!("{script}-{mode}.json")), printed).expect("a scratch file");
    sample
}

pub fn run(settings: &Settings) -> Part {
    assert!(settings.rows() <= DAY, "one window of a day holds the data");
    let policy = settings.scratch.path().join("whole.yaml");
    let (changed, slides) = whole_file(&fs::read_to_string(settings.file("policy.yaml")).expect("the bench policy"));
    assert!(slides == 2, "the bench policy has two groups with windows of 1 h sliding by 5 min");
    // The policy's snapshot is relative to its folder.
    let snapshot = settings.file("train_v{version}.parquet").display().to_string();
    fs::write(&policy, changed.replace("train_v{version}.parquet", &snapshot)).expect("a policy");
    let mut compared = Vec::new();
    for file in ["predictions.parquet", "predictions.jsonl"] {
        let verdicts = settings.scratch.path().join(format!("whole-{file}"));
        process::run(replay(settings, &policy, &settings.file(file)).arg("--verdicts").arg(&verdicts));
        compared.push(fs::read_to_string(&verdicts).expect("verdicts"));
    }
    assert!(compared[0] == compared[1], "the replay of Parquet and of JSON lines must give the same bytes");
    let [numpy, evidently] =
        [("batch_numpy.py", "all"), ("batch_evidently.py", "psi")].map(|(s, m)| said(settings, s, m));
    let mut agree = Command::new(&settings.python);
    agree.arg(Settings::peer("agree.py")).arg(&settings.data);
    agree.arg(settings.scratch.path().join("whole-predictions.parquet")).args([numpy, evidently]);
    let (_, printed) = process::run(&mut agree);
    eprint!("{printed}");
    let about = format!(
        "One window over all {} events with empty bins counted as 1e-4: driftgate's PSI of 24 features was computed again by \
         numpy to a relative 1e-9 (and is batch_numpy.py's within 2% where bins are comparable), SciPy's D lies within the \
         bounds of D, p-values agree, and Evidently's PSI is on the same side of the limit. Parquet and JSON lines gave the \
         same bytes.",
        count(settings.rows())
    );
    Part { title: "Agreement".to_owned(), about, tables: vec![Table::default()], ..Part::default() }
}

/// The policy with one window for all, and Evidently's and numpy's rule for empty bins; how many windows were changed.
fn whole_file(policy: &str) -> (String, usize) {
    let window = "{size: 1h, slide: 5m}";
    let changed = policy.replace(window, "{size: 1d, slide: 1d}").replace("zero: half", "zero: \"floor:1e-4\"");
    (changed, policy.matches(window).count())
}
