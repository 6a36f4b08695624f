//! Texts that were chosen so that they fall on one another in a hash table with a fixed hash: as categories, segments and versions
//! they are read as fast as any others. And what is written does not depend on the seeds, which differ from run to run.

use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use super::super::support::{Folder, Random};

/// What `rustc-hash` mixes texts with: the hash that was used before.
const SEED1: u64 = 0x243f_6a88_85a3_08d3;
const SEED2: u64 = 0x1319_8a2e_0370_7344;
const GUARD: u64 = 0xa409_3822_299f_31d0;

fn mix(x: u64, y: u64) -> u64 {
    let full = u128::from(x) * u128::from(y);
    #[allow(clippy::cast_possible_truncation, reason = "the halves")]
    let (low, high) = (full as u64, (full >> 64) as u64);
    low ^ high
}

fn is_plain(word: u64) -> bool {
    word.to_le_bytes().iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

fn plain(random: &mut Random) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|_| {
        loop {
            let byte = u8::try_from(33 + random.below(94)).unwrap();
            if !matches!(byte, b'"' | b'\\') {
                break byte;
            }
        }
    }))
}

/// 2^n texts of one hash. Each block of sixteen bytes is mixed as (state ^ x) * (GUARD ^ y), and a product does not say which factor
/// came first: another block is x' = y ^ state ^ GUARD, y' = x ^ state ^ GUARD. Blocks are searched whose other form is plain
/// text too.
fn colliding(n: usize) -> Vec<String> {
    let mut random = Random(7);
    let mut blocks: Vec<[u64; 4]> = Vec::new();
    let (mut s0, mut s1) = (SEED1, SEED2);
    let ascii = |t: u64| (t ^ GUARD) & 0x8080_8080_8080_8080 == 0;
    while blocks.len() < n + 2 {
        let differs = s0 ^ GUARD;
        let (x, y) = loop {
            let (x, y) = (plain(&mut random), plain(&mut random));
            // The first two blocks only make the states behind them ones that keep text plain.
            let swaps = blocks.len() < 2 || (is_plain(x ^ differs) && is_plain(y ^ differs) && x != y ^ differs);
            if swaps && ascii(mix(s0 ^ x, GUARD ^ y)) {
                break (x, y);
            }
        };
        let other = if blocks.len() < 2 { [x, y] } else { [y ^ differs, x ^ differs] };
        blocks.push([x, y, other[0], other[1]]);
        (s0, s1) = (s1, mix(s0 ^ x, GUARD ^ y));
    }
    let text = |choice: usize| {
        let mut bytes = Vec::with_capacity(16 * (n + 3));
        for (at, [x, y, other_x, other_y]) in blocks.iter().enumerate() {
            let swapped = at >= 2 && choice >> (at - 2) & 1 == 1;
            let (x, y) = if swapped { (other_x, other_y) } else { (x, y) };
            bytes.extend(x.to_le_bytes());
            bytes.extend(y.to_le_bytes());
        }
        // The last sixteen bytes are mixed apart.
        bytes.extend(b"0123456789abcdef");
        String::from_utf8(bytes).unwrap()
    };
    (0..1 << n).map(text).collect()
}

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: snapshot.csv, columns: {score: score}}
score: {threshold: 0.5}
features: {numeric: [x], categorical: [c]}
segments: [s]
lateness: 1s
min_samples: 10
checks:
  g:
    window: {size: 10m, slide: 10m}
    rules:
    - psi: {of: [x, c], lt: 0.2}
    - ks_p: {of: [c], gte: 0.01}
    - selection_gap: {by: s, lt: 0.2}
";

fn folder(rows: usize, texts: impl Fn(usize) -> [String; 3]) -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    let snapshot: String = (0..1000).map(|i| format!("{i},c{},s{},0.{}\n", i % 7, i % 3, i % 10)).collect();
    folder.write("snapshot.csv", format!("x,c,s,score\n{snapshot}"));
    let mut events = String::new();
    for i in 0..rows {
        let [c, s, version] = texts(i);
        let ts = 1_700_000_000_000_i64 + i64::try_from(i).unwrap() * 60;
        let _ = writeln!(
            events,
            r#"{{"prediction_id":"id{i}","model":"m","version":"{version}","ts":{ts},"score":0.{},"features":{{"x":{},"c":"{c}"}},"segments":{{"s":"{s}"}}}}"#,
            i % 10,
            i % 1000
        );
    }
    folder.write("p.jsonl", events);
    folder
}

fn replay(folder: &Folder) -> (Duration, String) {
    let began = Instant::now();
    folder.driftgate("replay --policy policy.yaml --predictions p.jsonl --verdicts v.jsonl").exits(0);
    (began.elapsed(), folder.read("v.jsonl"))
}

#[test]
fn texts_that_are_chosen_for_a_fixed_hash_cost_what_others_cost() {
    let texts = colliding(16);
    let hash = rustc_hash::FxBuildHasher;
    assert!(texts.iter().all(|t| hash.hash_one(t.as_str()) == hash.hash_one(texts[0].as_str())));
    let mut distinct = texts.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 1 << 16);
    let rows = texts.len();
    let chosen = folder(rows, |i| [texts[i].clone(), texts[i].clone(), "1".into()]);
    let length = texts[0].len();
    let others = folder(rows, |i| [format!("{i:0>length$}"), format!("{i:0>length$}"), "1".into()]);
    let (usual, _) = replay(&others);
    let (took, _) = replay(&chosen);
    assert!(took < usual * 4 + Duration::from_secs(2), "{took:?} instead of {usual:?}");
}

#[test]
fn the_seeds_leave_no_trace_in_what_is_written() {
    // More categories and segments than are told apart in one cell of a test, in many versions.
    let folder = folder(30_000, |i| {
        let c = if i % 3 == 0 { format!("unseen {}", i % 997) } else { format!("c{}", i % 7) };
        [c, format!("s{}", i % 501), format!("{}", i % 11)]
    });
    let (_, first) = replay(&folder);
    assert!(first.lines().count() >= 2);
    for _ in 0..3 {
        assert_eq!(replay(&folder).1, first);
    }
    if let Some(before) = std::env::var_os("DRIFTGATE_BEFORE") {
        let run = std::process::Command::new(before)
            .args(["replay", "--policy", "policy.yaml", "--predictions", "p.jsonl", "--verdicts", "before.jsonl"])
            .current_dir(folder.path(""))
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        assert_eq!(folder.read("before.jsonl"), first);
    }
}
