//! What the tests share: a folder in which `driftgate` runs as from a shell, and a small made-up shop with its events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use polars_core::prelude::{DataFrame, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;
use serde_json::{Value, json};

/// A policy whose first gate asks for a signature; keys are written behind it.
pub const SIGNED: &str = "\
apiVersion: driftgate/v1
model: signed
features: {numeric: [x]}
checks: {drift: {window: {size: 1h, slide: 1h}, rules: [psi: {of: features, lt: 0.2}]}}
transitions:
- {from: dev, to: staging, approvals: auto, evidence: [artifact_digest, signature]}
signing:
  keys:
";

/// A program that says in a line that it is ready, and is stopped with the value.
pub struct Served {
    process: Child,
    /// What it said.
    pub said: String,
}

impl Served {
    pub fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self { process, said: said.trim().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder of its own for each test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Writes what only its owner may read.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(name, content);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes a key that signs the audit log.
    pub fn write_audit_key(&self, name: &str) {
        let key = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().unwrap();
        assert!(key.status.success(), "{}", String::from_utf8_lossy(&key.stderr));
        self.write_secret(name, key.stdout);
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn json_lines(&self, name: &str) -> Vec<Value> {
        json_lines(&self.path(name))
    }

    /// The verdicts of a replay of the predictions and labels of a data set under `policy.yaml`, which are the same of one thread and of four.
    pub fn replayed_alike(&self, data: &str) -> Vec<Value> {
        let replay = |threads: u32| {
            let files = format!("--predictions {data}/predictions.parquet --labels {data}/labels.parquet");
            self.driftgate(&format!("replay --policy policy.yaml {files} --threads {threads} --verdicts v.jsonl"))
                .exits(0);
            self.read("v.jsonl")
        };
        let expected = replay(1);
        assert_eq!(replay(4), expected);
        self.json_lines("v.jsonl")
    }

    /// Runs `driftgate` in this folder; arguments are parted by white space.
    pub fn driftgate(&self, arguments: &str) -> Run {
        self.driftgate_reading(arguments, "")
    }

    /// The same with text on standard input.
    pub fn driftgate_reading(&self, arguments: &str, input: &str) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_driftgate"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A process that ends early does not read it all.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Run {
            command: format!("driftgate {arguments}"),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A finished run of `driftgate`.
pub struct Run {
    command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self { command, stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "$ {command}\n{stdout}\n{stderr}");
        self
    }

    /// Checks that its messages hold this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "$ {}\n{}\ndoes not say\n{text}", self.command, self.stderr);
        self
    }

    /// Checks that its output holds this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "$ {}\n{}\ndoes not print\n{text}", self.command, self.stdout);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// The shop's policy: its events come at most 10 minutes late.
pub const POLICY: &str = r#"apiVersion: driftgate/v1
model: shop
baseline:
  snapshot: "train_v{version}.csv"
  columns: {score: score, label: label}
features:
  numeric: [amount, items]
  categorical: [country, gift]
score: {threshold: 0.5}
segments: [country, country*gift]
labels: {horizon: 2h, attribute: label_time, lateness: 10m}
lateness: 10m
min_samples: 50
checks:
  drift:
    window: {size: 2h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.1}
    - ks_p: {of: [amount, score], gte: 0.001}
    - missing_rate: {of: features, max_increase: 0.1}
    - invalid_rate: {of: features, lte: 0.01}
  fairness:
    window: {size: 4h, slide: 1h}
    rules:
    - tpr_gap: {by: country, lt: 0.4, min_positives: 20}
    - tpr_gap: {id: cross, by: country*gift, lt: 0.6, min_positives: 10}
"#;
pub const LATENESS_MS: i64 = 10 * MINUTE;
pub const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

/// Reproducible numbers (`SplitMix64`).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// What is known of an order before it is paid.
#[derive(Clone)]
pub struct Prediction {
    pub id: String,
    pub ts: i64,
    pub version: &'static str,
    pub score: Option<f64>,
    pub amount: Option<f64>,
    pub items: i64,
    pub country: Option<&'static str>,
    pub gift: bool,
}

#[derive(Clone)]
pub struct Label {
    pub id: String,
    pub ts: i64,
    pub label: Option<i64>,
}

/// Orders and their outcomes in the order of time. Amounts drift a third of the way and come back.
#[derive(Clone)]
pub struct Shop {
    pub predictions: Vec<Prediction>,
    pub labels: Vec<Label>,
}

impl Shop {
    /// `orders` orders over a day and a half.
    pub fn new(orders: i64) -> Self {
        let random = &mut Random(7);
        let (mut predictions, mut labels) = (Vec::new(), Vec::new());
        for i in 0..orders {
            let ts = START + i * 36 * 60 * MINUTE / orders;
            let drifted = (orders / 3..orders / 2).contains(&i);
            let p = prediction(random, format!("order-{i}"), ts, drifted);
            if random.chance(90) {
                // Some labels come before their prediction, a few of them are null.
                let delay = i64::try_from(random.below(70)).unwrap() - 8;
                let paid = random.chance(if p.score.is_some_and(|s| s >= 0.5) { 80 } else { 20 });
                let label = (!random.chance(3)).then_some(i64::from(paid));
                labels.push(Label { id: p.id.clone(), ts: ts + delay * MINUTE, label });
            }
            predictions.push(p);
        }
        labels.sort_by_key(|l| l.ts);
        Self { predictions, labels }
    }

    /// The training data of a version, as CSV.
    pub fn snapshot(seed: u64) -> String {
        let random = &mut Random(seed);
        let mut text = "amount,items,country,gift,score,label\n".to_owned();
        for i in 0..2000 {
            let p = prediction(random, String::new(), 0, false);
            let amount = p.amount.map_or_else(String::new, |a| a.to_string());
            let score = p.score.unwrap_or(0.25);
            let row = [amount, p.items.to_string(), p.country.unwrap_or("").to_owned(), p.gift.to_string()];
            text += &format!("{},{score},{}\n", row.join(","), i % 2);
        }
        text
    }

    /// A folder with the policy and the snapshots of both versions.
    pub fn folder() -> Folder {
        let folder = Folder::new();
        folder.write("policy.yaml", POLICY);
        folder.write("train_v1.csv", Self::snapshot(1));
        folder.write("train_v2.csv", Self::snapshot(2));
        folder
    }

    /// Writes `NAME-p.jsonl` and `NAME-l.jsonl`.
    pub fn write_jsonl(&self, folder: &Folder, name: &str) {
        folder.write(&format!("{name}-p.jsonl"), self.predictions_jsonl());
        folder.write(&format!("{name}-l.jsonl"), self.labels_jsonl());
    }

    pub fn predictions_jsonl(&self) -> String {
        lines(self.predictions.iter().map(Prediction::json))
    }

    pub fn labels_jsonl(&self) -> String {
        lines(self.labels.iter().map(|l| json!({"prediction_id": l.id, "model": "shop", "ts": l.ts, "label": l.label})))
    }

    /// Writes `NAME-p.csv` and `NAME-l.csv`.
    pub fn write_csv(&self, folder: &Folder, name: &str) {
        let mut text = "prediction_id,ts,version,score,amount,items,country,gift\n".to_owned();
        for p in &self.predictions {
            let number = |x: Option<f64>| x.map_or_else(String::new, |x| x.to_string());
            let (score, amount, country) = (number(p.score), number(p.amount), p.country.unwrap_or(""));
            text += &format!("{},{},{},{score},{amount},{},{country},{}\n", p.id, p.ts, p.version, p.items, p.gift);
        }
        folder.write(&format!("{name}-p.csv"), text);
        let mut text = "prediction_id,ts,label\n".to_owned();
        for l in &self.labels {
            text += &format!("{},{},{}\n", l.id, l.ts, l.label.map_or_else(String::new, |l| l.to_string()));
        }
        folder.write(&format!("{name}-l.csv"), text);
    }

    /// Writes `NAME-p.parquet` and `NAME-l.parquet`.
    pub fn write_parquet(&self, folder: &Folder, name: &str) {
        let of = &self.predictions;
        let predictions = vec![
            Series::new("prediction_id".into(), of.iter().map(|p| p.id.as_str()).collect::<Vec<_>>()),
            Series::new("ts".into(), of.iter().map(|p| p.ts).collect::<Vec<_>>()),
            Series::new("version".into(), of.iter().map(|p| p.version).collect::<Vec<_>>()),
            Series::new("score".into(), of.iter().map(|p| p.score).collect::<Vec<_>>()),
            Series::new("amount".into(), of.iter().map(|p| p.amount).collect::<Vec<_>>()),
            Series::new("items".into(), of.iter().map(|p| p.items).collect::<Vec<_>>()),
            Series::new("country".into(), of.iter().map(|p| p.country).collect::<Vec<_>>()),
            Series::new("gift".into(), of.iter().map(|p| p.gift).collect::<Vec<_>>()),
        ];
        write_parquet(&folder.path(&format!("{name}-p.parquet")), predictions);
        let of = &self.labels;
        let labels = vec![
            Series::new("prediction_id".into(), of.iter().map(|l| l.id.as_str()).collect::<Vec<_>>()),
            Series::new("ts".into(), of.iter().map(|l| l.ts).collect::<Vec<_>>()),
            Series::new("label".into(), of.iter().map(|l| l.label).collect::<Vec<_>>()),
        ];
        write_parquet(&folder.path(&format!("{name}-l.parquet")), labels);
    }
}

impl Prediction {
    pub fn features(&self) -> Value {
        json!({"amount": self.amount, "items": self.items, "country": self.country, "gift": self.gift})
    }

    pub fn json(&self) -> Value {
        json!({
            "prediction_id": self.id, "model": "shop", "version": self.version, "ts": self.ts, "score": self.score,
            "features": self.features(),
        })
    }
}

fn prediction(random: &mut Random, id: String, ts: i64, drifted: bool) -> Prediction {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let mut number = |below: u64| random.below(below) as f64;
    let amount = (number(10_000) + number(10_000)) / 100.0 + if drifted { 80.0 } else { 0.0 };
    let score = number(1000) / 1000.0;
    Prediction {
        id,
        ts,
        version: if random.chance(30) { "2" } else { "1" },
        score: (!random.chance(2)).then_some(score),
        amount: (!random.chance(if drifted { 20 } else { 4 })).then_some(amount),
        items: i64::try_from(random.below(9)).unwrap(),
        country: (!random.chance(5)).then(|| random.pick(&["de", "fr", "it"])),
        gift: random.chance(40),
    }
}

/// One JSON value a line.
pub fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|v| v.to_string() + "\n").collect()
}

/// The interpreter of the virtual environment that a script of this name in tests/support makes; `what` begins the sentence where there is
/// none, as "Spark and Ray are".
pub fn interpreter(name: &str, what: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let variable = format!("{}_VENV", name.to_uppercase());
    let folder = std::env::var_os(variable).map_or_else(|| root.join(".cache").join(name), PathBuf::from);
    let marked = folder.join("driftgate-installed");
    assert!(marked.exists(), "{what} not in {}: tests/support/{name}.sh install", folder.display());
    folder.join("bin/python")
}

pub fn write_parquet(path: &Path, columns: Vec<Series>) {
    let columns = columns.into_iter().map(polars_core::prelude::IntoColumn::into_column).collect();
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(std::fs::File::create(path).unwrap()).with_row_group_size(Some(700)).finish(&mut frame).unwrap();
}
