//! What was measured: samples, their medians and spread, and what is claimed of them.

use serde_json::{Value, json};

/// One run of one contender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// From the start of the process to its end, or to its last event.
    pub seconds: f64,
    /// The same without its start: from where it can take events.
    pub after_start: Option<f64>,
    /// The most memory resident, in MiB.
    pub resident: f64,
    /// Processor time, in seconds.
    pub cpu: f64,
}

/// Median, smallest and largest of some numbers.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut v: Vec<f64> = values.into_iter().collect();
        assert!(!v.is_empty(), "nothing was measured");
        v.sort_by(f64::total_cmp);
        let half = v.len() / 2;
        let median = if v.len() % 2 == 1 { v[half] } else { f64::midpoint(v[half - 1], v[half]) };
        Self { median, min: v[0], max: v[v.len() - 1] }
    }

    /// `0.71 (0.69–0.80)`
    pub fn show(&self, number: impl Fn(f64) -> String) -> String {
        format!("{} ({}–{})", number(self.median), number(self.min), number(self.max))
    }
}

/// One contender and its samples, one a round.
#[derive(Clone, Debug)]
pub struct Contender {
    pub name: String,
    pub events: u64,
    pub samples: Vec<Sample>,
}

impl Contender {
    pub fn seconds(&self) -> Spread {
        Spread::of(self.samples.iter().map(|s| s.seconds))
    }

    /// Events per second, by the median.
    pub fn rate(&self) -> f64 {
        real(self.events) / self.seconds().median
    }

    /// Events per second without the start, by the median.
    pub fn rate_after_start(&self) -> Option<f64> {
        let seconds: Vec<f64> = self.samples.iter().filter_map(|s| s.after_start).collect();
        (!seconds.is_empty()).then(|| real(self.events) / Spread::of(seconds).median)
    }

    pub fn resident(&self) -> f64 {
        Spread::of(self.samples.iter().map(|s| s.resident)).median
    }

    /// How many times as fast as another one, round by round.
    pub fn speed_over(&self, other: &Self) -> Spread {
        Spread::of(self.samples.iter().zip(&other.samples).map(|(a, b)| b.seconds / a.seconds))
    }

    /// Its memory as a share of another one's, round by round.
    pub fn memory_of(&self, other: &Self) -> Spread {
        Spread::of(self.samples.iter().zip(&other.samples).map(|(a, b)| a.resident / b.resident))
    }

    fn raw(&self) -> Value {
        let column = |of: &dyn Fn(&Sample) -> Value| self.samples.iter().map(of).collect::<Vec<_>>();
        json!({
            "name": self.name,
            "events": self.events,
            "seconds": column(&|s| json!(s.seconds)),
            "seconds_after_start": column(&|s| json!(s.after_start)),
            "resident_mib": column(&|s| json!(s.resident)),
            "cpu_seconds": column(&|s| json!(s.cpu)),
        })
    }
}

/// A table's head and rows, as text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A target and whether it is met.
#[derive(Clone, Debug)]
pub struct Claim {
    pub what: String,
    pub target: String,
    pub measured: String,
    pub met: bool,
}

impl Claim {
    /// Something that has to reach a number, in the median.
    pub fn at_least(what: &str, measured: Spread, target: f64, number: impl Fn(f64) -> String) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≥ {}", number(target)),
            measured: measured.show(&number),
            met: measured.median >= target,
        }
    }

    /// Something that must not exceed a number, in the median.
    pub fn at_most(what: &str, measured: Spread, target: f64, number: impl Fn(f64) -> String) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≤ {}", number(target)),
            measured: measured.show(&number),
            met: measured.median <= target,
        }
    }

    fn raw(&self) -> Value {
        json!({"what": self.what, "target": self.target, "measured": self.measured, "met": self.met})
    }
}

/// A bar of the picture.
#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    /// Events per second.
    pub rate: f64,
    /// What is written behind the rate.
    pub note: String,
    pub ours: bool,
}

/// Bars that are compared with each other.
#[derive(Clone, Debug)]
pub struct Bars {
    pub title: String,
    pub bars: Vec<Bar>,
}

/// What one part of the comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub title: String,
    /// What was compared, in a sentence or two.
    pub about: String,
    pub tables: Vec<Table>,
    pub claims: Vec<Claim>,
    pub bars: Vec<Bars>,
    pub raw: Vec<Value>,
}

impl Part {
    /// A part whose table is that of its contenders.
    pub fn of_contenders(title: &str, about: String, contenders: &[Contender]) -> Self {
        let after_start = contenders.iter().any(|c| c.rate_after_start().is_some());
        let mut head = vec!["", "events", "seconds", "events/s"];
        if after_start {
            head.push("events/s after its start");
        }
        head.extend(["core seconds", "memory"]);
        let row = |c: &Contender| {
            let cpu = Spread::of(c.samples.iter().map(|s| s.cpu)).median;
            let mut row =
                vec![c.name.clone(), count(c.events), c.seconds().show(|s| format!("{s:.2}")), thousands(c.rate())];
            if after_start {
                row.push(c.rate_after_start().map_or_else(String::new, thousands));
            }
            row.extend([format!("{cpu:.2}"), format!("{:.0} MiB", c.resident())]);
            row
        };
        Self {
            title: title.to_owned(),
            about,
            tables: vec![Table {
                head: head.into_iter().map(str::to_owned).collect(),
                rows: contenders.iter().map(row).collect(),
            }],
            raw: contenders.iter().map(Contender::raw).collect(),
            ..Self::default()
        }
    }

    /// Everything as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "title": self.title,
            "about": self.about,
            "claims": self.claims.iter().map(Claim::raw).collect::<Vec<_>>(),
            "measured": self.raw,
        })
    }
}

/// A contender before it runs: its name, its events, in how many rounds it takes part, and one run.
pub struct Entry<'a> {
    pub name: &'a str,
    pub events: u64,
    pub rounds: usize,
    pub run: Box<dyn FnMut() -> Sample + 'a>,
}

/// Runs all contenders in turn, so that what disturbs the machine disturbs all of them alike.
pub fn take_turns(part: &str, rounds: usize, mut entries: Vec<Entry<'_>>) -> Vec<Contender> {
    let mut out: Vec<Contender> =
        entries.iter().map(|e| Contender { name: e.name.to_owned(), events: e.events, samples: Vec::new() }).collect();
    for round in 1..=rounds {
        for (entry, contender) in entries.iter_mut().zip(&mut out).filter(|(e, _)| round <= e.rounds) {
            let sample = (entry.run)();
            eprintln!(
                "{part}, round {round} of {rounds}: {:.2} s, {:.2} core seconds, {:.0} MiB  {}",
                sample.seconds, sample.cpu, sample.resident, entry.name
            );
            contender.samples.push(sample);
        }
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub fn real(n: u64) -> f64 {
    n as f64
}

/// `1,234,567`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate to three digits: `1.23M`, `456k`.
pub fn thousands(x: f64) -> String {
    match x {
        x if x >= 1e6 => format!("{:.2}M", x / 1e6),
        x if x >= 1e3 => format!("{:.0}k", x / 1e3),
        x => format!("{x:.0}"),
    }
}

/// `3.5x`
pub fn times(x: f64) -> String {
    if x < 10.0 { format!("{x:.2}x") } else { format!("{x:.0}x") }
}

/// `62%`
pub fn percent(x: f64) -> String {
    format!("{:.0}%", 100.0 * x)
}
