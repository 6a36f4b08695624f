//! Events by partition, as a producer appends them: within the lateness of each other, with repeats, labels before and after their
//! predictions, versions that come later, and pauses of single partitions.

use std::path::Path;
use std::sync::Arc;

use crate::baseline::{Baseline, Coded, SnapshotColumns};
use crate::event::{Domain, Flag, Fresh, LabelBatch, PredictionBatch};
use crate::intake::versions::Reference;
use crate::policy::{self, Policy};

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const START: i64 = 1_700_000_000_000 / MINUTE * MINUTE;
/// An event is appended up to so much after its time, and a label is up to so much earlier than its prediction: less than the lateness.
const JITTER: i64 = 110 * SECOND;
/// Of each topic.
pub const PARTITIONS: u32 = 3;

/// Numbers that are the same each time.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn number(&mut self, below: u32) -> f64 {
        f64::from(u32::try_from(self.below(below.into())).unwrap())
    }

    pub fn ms(&mut self, below: i64) -> i64 {
        i64::try_from(self.below(below.unsigned_abs())).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

pub fn policy(attribute: &str) -> Arc<Policy> {
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\", columns: {{score: score, label: label}}}}\n\
         features: {{numeric: [x], categorical: [c]}}\nscore: {{threshold: 0.5}}\nsegments: [s]\nlateness: 2m\nmin_samples: 3\n\
         labels: {{horizon: 10m, lateness: 2m, attribute: {attribute}}}\nchecks:\n\
         \x20 drift:\n    window: {{size: 3m, slide: 1m}}\n    rules:\n    - psi: {{of: features, lt: 0.3}}\n    - missing_rate: {{of: features, max_increase: 0.1}}\n\
         \x20 serve:\n    window: {{size: 2m, slide: 2m}}\n    rules:\n    - latency_p95_ms: {{id: p95, lt: 80}}\n    - selection_gap: {{by: s, lt: 0.4}}\n    - selection_rate: {{lt: 0.6}}\n\
         \x20 fair:\n    window: {{size: 6m, slide: 2m}}\n    rules:\n    - tpr_gap: {{by: s, lt: 0.3, min_positives: 2}}\n    - auc: {{gte: 0.4}}\n    - recall: {{gte: 0.4}}\n    - brier: {{max_increase: 0.1}}\n\
         rollback: {{to: last_stable, triggers: [{{rule: serve/p95}}]}}\n"
    );
    Arc::new(policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}\n{text}")))
}

/// The reference of a version: one of them has none.
pub fn reference(policy: &Policy, version: &str) -> Reference {
    if version == "bare" {
        return Reference::Failed("it has none".into());
    }
    let known: &[&str] = if version == "2" { &["a", "b", "d"] } else { &["a", "b"] };
    let n = 200;
    let numbers: Vec<f64> = (0..n).map(f64::from).collect();
    let columns = SnapshotColumns {
        numbers: None,
        classes: None,
        rows: numbers.len(),
        score: Some(numbers.iter().map(|x| x / f64::from(n)).collect()),
        label: Some((0..n).map(|i| Flag::from(i >= n / 2)).collect()),
        numeric: vec![numbers],
        categorical: vec![Arc::new(Coded {
            names: known.iter().map(|&k| k.to_owned()).collect(),
            codes: (0..n).map(|i| Some(u32::try_from(i).unwrap() % u32::try_from(known.len()).unwrap())).collect(),
        })],
        segments: vec![None],
        unit: None,
    };
    let baseline = Baseline::build(policy, version, "made up", "00", &columns).unwrap();
    let sha256 = baseline.digest().unwrap().into();
    Reference::Baseline { baseline: Arc::new(baseline), sha256 }
}

#[derive(Clone, Debug)]
pub struct Prediction {
    pub id: String,
    pub version: &'static str,
    pub stage: &'static str,
    pub ts: i64,
    pub x: f64,
    pub category: &'static str,
    pub segment: &'static str,
    pub score: f64,
    pub latency: f64,
}

#[derive(Clone, Debug)]
pub struct Label {
    pub id: String,
    pub ts: i64,
    pub label: Flag,
}

#[derive(Clone, Debug)]
pub enum Record {
    Prediction(Prediction),
    Label(Label),
}

/// When it is appended, to which partition of the topic of its kind.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: i64,
    pub partition: u32,
    pub record: Record,
}

/// Everything a producer appends, in order.
pub fn events(random: &mut Random) -> Vec<Event> {
    let mut out = Vec::new();
    let minutes = 10 + random.ms(15);
    let n = 60 + random.below(240);
    // A partition that has nothing for a while.
    let silent = (
        u32::try_from(random.below(u64::from(PARTITIONS))).unwrap(),
        random.ms(minutes) * MINUTE,
        random.ms(8) * MINUTE,
    );
    for i in 0..n {
        let since = i64::try_from(i).unwrap() * minutes * MINUTE / i64::try_from(n).unwrap();
        let partition = u32::try_from(random.below(u64::from(PARTITIONS))).unwrap();
        if partition == silent.0 && (silent.1..silent.1 + silent.2).contains(&since) {
            continue;
        }
        let ts = START + since;
        let late = |random: &mut Random| random.ms(JITTER);
        let version = match (since * 3 / (minutes * MINUTE), random.below(10)) {
            (1.., 0..2) => "2",
            (2, 2..4) => "bare",
            _ => "1",
        };
        let prediction = Prediction {
            id: format!("{partition}-{i}"),
            version,
            stage: if version == "1" { "prod" } else { "staging" },
            ts,
            x: random.number(250),
            category: random.pick(&["a", "b", "d", "e", "f"]),
            segment: random.pick(&["u", "v", "w"]),
            score: random.number(100) / 100.0,
            latency: random.number(120),
        };
        let mut put = |at: i64, record: Record| out.push(Event { at, partition, record });
        let label = Label {
            id: prediction.id.clone(),
            ts: ts - JITTER + random.ms(6 * MINUTE),
            label: random.pick(&[Flag::Yes, Flag::No, Flag::Missing]),
        };
        if random.below(12) == 0 {
            put(ts + late(random), Record::Prediction(prediction.clone()));
        }
        // Another version scores the same request.
        if random.below(40) == 0 {
            put(
                ts + late(random),
                Record::Prediction(Prediction { version: "2", stage: "staging", ..prediction.clone() }),
            );
        }
        put(ts + late(random), Record::Prediction(prediction));
        if random.below(10) < 8 {
            if random.below(12) == 0 {
                put(label.ts + late(random), Record::Label(label.clone()));
            }
            put(label.ts + late(random), Record::Label(label));
        }
    }
    out.sort_by_key(|event| event.at);
    // What is behind everything: in each partition as many as it takes to be believed.
    let ts = START + (minutes + 60) * MINUTE;
    for (partition, i) in (0..PARTITIONS).flat_map(|p| (0..4).map(move |i| (p, i))) {
        let id = format!("end-{partition}-{i}");
        let prediction = Prediction {
            id: id.clone(),
            version: "1",
            stage: "prod",
            ts: ts + i,
            x: 0.0,
            category: "a",
            segment: "u",
            score: 0.5,
            latency: 1.0,
        };
        out.push(Event { at: ts + i, partition, record: Record::Prediction(prediction) });
        out.push(Event { at: ts + i, partition, record: Record::Label(Label { id, ts: ts + i, label: Flag::Yes }) });
    }
    out
}

/// The codes of a decoder.
#[derive(Clone, Debug, Default)]
pub struct Coder(Vec<(Domain, String)>);

impl Coder {
    fn code(&mut self, domain: Domain, text: &str, fresh: &mut Fresh) -> u32 {
        let of_domain = self.0.iter().filter(|(d, _)| *d == domain);
        if let Some(at) = of_domain.clone().position(|(_, known)| known == text) {
            return u32::try_from(at).unwrap();
        }
        let next = of_domain.count();
        self.0.push((domain, text.to_owned()));
        fresh.push((domain, text.into()));
        u32::try_from(next).unwrap()
    }

    pub fn predictions(&mut self, rows: &[Prediction]) -> PredictionBatch {
        let mut batch = PredictionBatch::new(1, 1, 1);
        let mut fresh = Fresh::new();
        for r in rows {
            batch.ids.push(&r.id);
            batch.ts.push(r.ts);
            batch.version.push(self.code(Domain::Version, r.version, &mut fresh));
            batch.stage.push(self.code(Domain::Stage, r.stage, &mut fresh));
            batch.score.push(r.score);
            batch.decision.push(Flag::Missing);
            batch.latency_ms.push(r.latency);
            batch.error.push(Flag::No);
            batch.features.numeric[0].push(r.x);
            batch.features.categorical[0].push(self.code(Domain::Categorical(0), r.category, &mut fresh));
            batch.segments[0].push(self.code(Domain::Segmentation(0), r.segment, &mut fresh));
        }
        batch.fresh = fresh;
        batch
    }
}

pub fn labels(rows: &[Label]) -> LabelBatch {
    let mut batch = LabelBatch::new(0);
    for r in rows {
        batch.ids.push(&r.id);
        batch.ts.push(r.ts);
        batch.label.push(r.label);
    }
    batch
}
