//! What ten million predictions that wait for their labels take in memory.

use driftgate_core::event::{Flag, PredictionId};
use driftgate_core::join::{Bounds, Join, Pending};

use crate::process::Usage;
use crate::results::{Claim, Part, Spread, Table};

const PENDING: u64 = 10_000_000;
/// MiB that they may take: 500 MB.
const MOST: f64 = 500e6 / 1_048_576.0;

pub fn run() -> Part {
    let mib = |x: f64| format!("{x:.0} MiB");
    let resident = || Usage::of(std::process::id()).expect("this process").resident;
    let before = resident();
    let mut join = Join::new(Bounds { horizon: 86_400_000, early: 60_000 }, 2);
    let mut most = before;
    for i in 0..PENDING {
        let n = u32::try_from(i % 4).expect("below four");
        let pending = Pending::new(i.cast_signed(), 0, n % 3, 3, u32::MAX, Flag::from(n % 2 == 0));
        join.prediction(PredictionId::of(&i.to_string()), pending, &[n % 2, n], |_| ());
        if i % 100_000 == 0 {
            most = most.max(resident());
        }
    }
    most = most.max(resident());
    assert_eq!(join.sizes().0 as u64, PENDING, "all of them wait");
    let taken = most - before;
    eprintln!("pending: {}", mib(taken));
    let spread = Spread::of([taken]);
    Part {
        title: "Waiting for labels".to_owned(),
        about:
            "Resident memory that ten million predictions with two segments take, at the most while they are entered."
                .to_owned(),
        tables: vec![Table {
            head: ["predictions", "memory", "bytes each"].map(str::to_owned).to_vec(),
            rows: vec![vec!["10,000,000".to_owned(), mib(taken), format!("{:.0}", taken * 1_048_576.0 / 1e7)]],
        }],
        claims: vec![Claim::at_most("ten million pending predictions", spread, MOST, mib)],
        raw: vec![serde_json::json!({"pending": PENDING, "mib": taken})],
        ..Part::default()
    }
}
