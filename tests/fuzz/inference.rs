//! Requests and responses as serving systems log them, and files whose paths hold columns.

use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use driftgate::source::partitions::Members;
use driftgate_core::event::{FieldMap, Limits};
use driftgate_core::kserve::pairs::Pairs;
use driftgate_core::kserve::{Halves, Logged, Settings, Version};
use driftgate_core::schema::Schema;
use serde_json::Value;

use super::targets::{Bench, LABEL, POLICY, PREDICTION, Target};

/// A file of requests and responses, as one system logs them.
pub struct Inference {
    bench: Bench,
    name: &'static str,
    settings: Settings,
}

impl Inference {
    pub fn new(name: &'static str, logged: Logged) -> Self {
        let settings = Settings {
            logged,
            inputs: vec!["x".into(), "c".into()],
            score: vec!["0".into()],
            version: Version::Fixed("1".into()),
            ..Settings::default()
        };
        Self { bench: Bench::new(POLICY), name, settings }
    }
}

impl Target for Inference {
    fn take(&self, input: &[u8]) -> bool {
        let mut file = self.bench.file(self.name, input);
        file.options.kserve = Some(Arc::new(self.settings.clone()));
        self.bench.replay(file, self.bench.file("l.jsonl", LABEL))
    }
}

/// Messages of Seldon's topics, each read as a request and as a response.
pub struct SeldonMessages;

impl Target for SeldonMessages {
    fn take(&self, input: &[u8]) -> bool {
        let read = |is_responses| {
            let settings = Settings { logged: Logged::Seldon { is_responses }, ..Settings::default() };
            let pairs = Mutex::new(Pairs::new(settings.wait, settings.most_bytes));
            let mut halves = Halves::new(settings, Limits::default());
            halves.offer(&pairs, 0, input, None, Some(1), &mut Vec::new()).is_ok()
        };
        [false, true].map(read).contains(&true)
    }
}

/// A file of labels as a serving system logs them: `SageMaker`'s ground truth, Seldon's feedback.
pub struct LoggedLabels {
    bench: Bench,
    logged: Logged,
}

impl LoggedLabels {
    pub fn new(logged: Logged) -> Self {
        let bench = Bench::new(POLICY);
        std::fs::create_dir_all(bench.path("2023/11/14/22")).unwrap();
        Self { bench, logged }
    }
}

impl Target for LoggedLabels {
    fn take(&self, input: &[u8]) -> bool {
        let mut file = self.bench.file("2023/11/14/22/l.jsonl", input);
        file.options.kserve = Some(Arc::new(Settings { logged: self.logged.clone(), ..Settings::default() }));
        // Without a label nothing of the file counts.
        let is_label = serde_json::from_slice::<Value>(input.split(|b| *b == b'\n').next().unwrap_or_default()).is_ok();
        self.bench.replay(self.bench.file("p.jsonl", PREDICTION), file) && is_label
    }
}

/// Lines and CSV below folders that name columns: the first line is the path, the rest is the file.
pub struct Paths(Bench);

impl Paths {
    pub fn new() -> Self {
        Self(Bench::new(POLICY))
    }
}

/// What a file may be called on this system, below a folder.
fn is_name(path: &Path) -> bool {
    let is_normal = |part: Component<'_>| matches!(part, Component::Normal(name) if name.len() < 200);
    let text = path.as_os_str().as_encoded_bytes();
    path.components().count() < 8 && path.components().all(is_normal) && !text.contains(&0) && !text.is_empty()
}

impl Target for Paths {
    fn take(&self, input: &[u8]) -> bool {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let (path, rest) = input.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        let Ok(path) = std::str::from_utf8(path) else { return false };
        let path = Path::new(path);
        let schema = Schema { numeric: vec!["x".into()], ..Schema::default() };
        let members = Members::of(path, &FieldMap::default(), &schema);
        let mut scratch = Vec::new();
        for line in rest.split(|byte| *byte == b'\n') {
            let is_object = |line: &[u8]| serde_json::from_slice::<Value>(line).is_ok_and(|value| value.is_object());
            let was = is_object(line);
            let put = members.put(line, &mut scratch);
            assert!(!was || is_object(put), "{}", String::from_utf8_lossy(put));
        }
        if !is_name(path) {
            return false;
        }
        let folder = self.0.path("data");
        let _ = std::fs::remove_dir_all(&folder);
        let below = folder.join(path);
        if std::fs::create_dir_all(&below).is_err() {
            return false;
        }
        let read = |name: &str| {
            let mut file = self.0.file("unused", b"");
            file.path = below.join(name);
            std::fs::write(&file.path, rest).unwrap();
            self.0.replay(file, self.0.file("l.jsonl", LABEL))
        };
        ["p.jsonl", "p.csv"].map(read).contains(&true)
    }
}
