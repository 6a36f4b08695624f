//! What the passes over parts of files leave for each other, as a stranger could hand it in: scans, carries, shared rows, joined
//! buckets, partials. What is taken is used: merged with another, joined, judged.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use driftgate::batch::{self, Files};
use driftgate_core::batch::{
    Carry, Counting, Origin, Paired, Pairing, Partial, Rows, Scan, SharedHeader, Split, Streams, judge, read_partial,
};
use driftgate_core::event::{ByKind, EventKind, Limits};
use driftgate_core::intake::versions::Reference;

use super::targets::{Bench, POLICY, Target, sealed};

const PREDICTIONS: &[u8] =
    br#"{"prediction_id":"p1","version":"1","ts":1700000000000,"score":0.7,"features":{"x":1.5,"c":"a","region":"eu"}}
{"prediction_id":"p2","version":"2","ts":1700000001000,"score":0.2,"features":{"x":3.5,"c":"z","region":"us"}}
{"prediction_id":"p1","version":"1","ts":1700000002000,"score":0.7,"features":{"x":1.5,"c":"a"}}
{"prediction_id":"p3","version":"1","ts":1600000000000,"score":0.4,"features":{"x":9.5,"c":"b"}}
"#;
const LABELS: &[u8] = br#"{"prediction_id":"p1","ts":1700000100000,"label":1,"kpi":{"ctr":1}}
{"prediction_id":"p2","ts":1700000200000,"label":0}
{"prediction_id":"p2","ts":1600000200000,"label":1}
"#;

/// What belongs together of one small run.
pub struct Parts {
    bench: Bench,
    files: Files,
    scans: [Scan; 2],
    carry: Carry,
    shared: Vec<PathBuf>,
    partials: Vec<Partial>,
    seeds: Vec<Vec<u8>>,
}

impl Parts {
    pub fn new() -> Self {
        let bench = Bench::new(POLICY);
        let options = bench.file("p.jsonl", PREDICTIONS).options;
        bench.file("l.jsonl", LABELS);
        let files = Files {
            policy: Arc::clone(&bench.policy),
            origin: Origin { policy: bench.policy.sha256.clone(), config: String::new() },
            options: ByKind::each(|_| options.clone()),
            threads: 1,
        };
        let at = |name: &str| bench.path(name).display().to_string();
        let of = |kind, name: &str| Split { kind, place: 0, name: at(name) };
        let splits = [of(EventKind::Predictions, "p.jsonl"), of(EventKind::Labels, "l.jsonl")];
        let scans = splits.map(|split| batch::scan(&files, split).unwrap());
        let mut seeds: Vec<Vec<u8>> = scans.iter().map(|scan| scan.write().unwrap()).collect();
        let carry = batch::carry(&files, scans.to_vec(), 2).unwrap();
        seeds.push(carry.write().unwrap());
        let mut shared = Vec::new();
        for part in &carry.splits {
            let bytes = batch::share(&files, &carry, part, &part.name).unwrap().write().unwrap();
            // The header, and each section.
            seeds.extend(bytes[1..].iter().cloned());
            let path = bench.path(&format!("{}.shared", part.kind.name()));
            std::fs::write(&path, bytes.concat()).unwrap();
            shared.push(path);
        }
        let paired: Vec<Paired> = (0..2).map(|bucket| batch::pair(&files, &carry, bucket, &shared).unwrap()).collect();
        seeds.extend(paired.iter().map(|p| p.write().unwrap()));
        let carry = carry.joined(&paired).unwrap();
        seeds.push(carry.write().unwrap());
        let counted = batch::count(&files, &carry, &carry.splits[0], &at("p.jsonl")).unwrap();
        seeds.push(counted.write().unwrap());
        let partials = paired.into_iter().map(|p| p.partial).chain([counted]).collect();
        Self { bench, files, scans, carry, shared, partials, seeds }
    }

    fn load(&self) -> impl FnMut(&str) -> Reference {
        |version| self.files.load(version)
    }

    /// A partial in the place of one of ours.
    fn judged(&self, partial: Partial) {
        let other = |p: &&Partial| p.parts != partial.parts || p.buckets != partial.buckets;
        let others: Vec<Partial> = self.partials.iter().filter(other).cloned().collect();
        let all = others.into_iter().try_fold(partial, Partial::and);
        let Ok(pipeline) = all.and_then(|all| judge(&self.bench.policy, all, Limits::default(), &mut self.load()))
        else {
            return;
        };
        pipeline.finish(&mut |judged, _| {
            for verdict in judged.verdicts {
                assert!(!serde_json::to_string(&verdict).unwrap().is_empty());
            }
        });
    }

    /// A carry that parts are counted by.
    fn counted(&self, carry: &Carry) {
        for part in &carry.splits {
            let _ = batch::share(&self.files, carry, part, &self.carry.splits[0].name);
            let counting = Counting::new(&self.bench.policy, carry, part, Limits::default(), &mut self.load());
            let _ = counting.and_then(Counting::finish);
        }
    }

    /// A section in the place of one of ours.
    fn paired(&self, header: &SharedHeader, rows: &Rows) {
        let Ok(pairing) = Pairing::new(&self.bench.policy, &self.carry.plan, 0, Limits::default(), &mut self.load())
        else {
            return;
        };
        let mut sections: Vec<_> = self.shared.iter().map(|path| batch::section(path, 0).unwrap()).collect();
        sections.retain(|(own, _)| own.kind != header.kind);
        sections.push((header.clone(), rows.clone()));
        let _ = pairing.join(sections);
    }

    fn carried(&self, scan: Scan) {
        let times = &mut |_: &Scan, each: &mut dyn FnMut(i64, Option<u64>) -> ControlFlow<()>| {
            let _ = each(1_700_000_000_000, Some(1)).is_continue() && each(1_700_000_001_000, Some(2)).is_continue();
            Ok(())
        };
        let mut streams = Streams { limits: Limits::default(), future: ByKind::each(|_| 60_000), times };
        let others = self.scans.iter().filter(|own| own.split.kind != scan.split.kind).cloned();
        let others: Vec<Scan> = others.collect();
        let all = others.into_iter().chain([scan]).collect();
        if let Ok(made) = Carry::new(&self.bench.policy, &self.files.origin, all, 2, &mut streams) {
            assert!(made.write().is_ok_and(|bytes| !bytes.is_empty()));
        }
    }
}

impl Target for Parts {
    fn take(&self, input: &[u8]) -> bool {
        let mut used = false;
        for bytes in [input.to_vec(), sealed(input)] {
            if let Ok(scan) = Scan::read("scan", &bytes) {
                used = true;
                self.carried(scan);
            }
            if let Ok(carry) = Carry::read("carry", &bytes) {
                used = true;
                self.counted(&carry);
            }
            if let Ok(partial) = read_partial("partial", &bytes) {
                used = true;
                let twice = partial.clone().and(partial.clone());
                let counted = !partial.parts.is_empty() || !partial.buckets.is_empty();
                assert!(twice.is_err() || !counted, "what is counted twice is refused");
                self.judged(partial);
            }
            if let Ok(header) = SharedHeader::read("header", &bytes) {
                used = true;
                let _ = (header.section(u64::MAX, 1), header.section(10, 0), header.section(10, u32::MAX));
                if let Ok((_, rows)) = batch::section(&self.shared[0], 0) {
                    self.paired(&header, &rows);
                }
            }
            if let Ok(rows) = Rows::read("rows", &bytes) {
                used = true;
                for path in &self.shared {
                    let (header, _) = batch::section(path, 0).unwrap();
                    self.paired(&header, &rows);
                }
            }
        }
        used
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }
}
