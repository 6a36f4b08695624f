//! Which subjects of verdicts have series: those that an operator asked for, and of these as many as a scrape may have. What fails comes first.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};
use driftgate_core::rule;

/// At most so many segments of a (version, group) are exported, over all its attributes.
pub(super) const MAX_SEGMENTS: usize = 100;

/// Of which features there are series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Features {
    #[default]
    All,
    /// Those that block or warn.
    Failing,
    None,
}

/// `metrics:` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub features: Features,
    /// At most so many subjects of a verdict.
    pub top: usize,
    /// At most so many series of subjects in a scrape.
    pub max_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { features: Features::All, top: 1000, max_series: 6000 }
    }
}

/// One subject of a verdict: the place of the verdict, and of its first result there.
#[derive(Clone, Copy)]
struct Subject<'a> {
    verdict: usize,
    at: usize,
    name: &'a str,
    is_feature: bool,
    worst: u8,
    series: usize,
}

impl Subject<'_> {
    /// Smaller comes first: what is no feature, then what fails worst, then as the verdicts have it.
    fn order(&self) -> (bool, Reverse<u8>, usize, usize) {
        (self.is_feature, Reverse(self.worst), self.verdict, self.at)
    }
}

/// What is shown of some verdicts.
pub(super) struct Chosen<'a> {
    shown: HashSet<(usize, &'a str)>,
    /// By place of the verdict: subjects that there is no room for.
    left_out: HashMap<usize, usize>,
}

impl<'a> Chosen<'a> {
    pub fn new(verdicts: &[&'a Verdict], options: Options) -> Self {
        let (mut all, mut left_out): (Vec<Subject<'a>>, HashMap<usize, usize>) = Default::default();
        for (place, verdict) in verdicts.iter().enumerate() {
            let mut own = subjects(place, verdict);
            own.retain(|subject| match options.features {
                Features::All => true,
                Features::Failing => !subject.is_feature || subject.worst >= Status::Warn.rank(),
                Features::None => !subject.is_feature,
            });
            own.sort_unstable_by_key(Subject::order);
            if own.len() > options.top {
                left_out.insert(place, own.len() - options.top);
                own.truncate(options.top);
            }
            all.extend(own);
        }
        all.sort_unstable_by_key(Subject::order);
        let mut room = options.max_series;
        let mut shown = HashSet::with_capacity(all.len());
        for subject in all {
            if let Some(less) = room.checked_sub(subject.series) {
                room = less;
                shown.insert((subject.verdict, subject.name));
            } else {
                // Nothing smaller that fails less takes its place.
                room = 0;
                *left_out.entry(subject.verdict).or_default() += 1;
            }
        }
        Self { shown, left_out }
    }

    pub fn shows(&self, verdict: usize, subject: &str) -> bool {
        self.shown.contains(&(verdict, subject))
    }

    /// How many subjects of a verdict there is no room for.
    pub fn left_out(&self, verdict: usize) -> usize {
        self.left_out.get(&verdict).copied().unwrap_or(0)
    }
}

fn subjects(place: usize, verdict: &Verdict) -> Vec<Subject<'_>> {
    let mut found: Vec<Subject<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, result) in verdict.results.iter().enumerate() {
        let is_feature = rule::find(&result.metric).is_some_and(|rule| rule.subjects.are_features());
        let is_feature = is_feature && !matches!(result.subject.as_str(), "score" | "label");
        let new = Subject { verdict: place, at, name: &result.subject, is_feature, worst: 0, series: 0 };
        let here = *places.entry(&result.subject).or_insert_with(|| {
            found.push(new);
            found.len() - 1
        });
        if let Some(subject) = found.get_mut(here) {
            subject.worst = subject.worst.max(result.status.rank());
            subject.series += series(result);
        }
    }
    found
}

/// How many series a result has at most: its status, its value, its segments.
fn series(result: &RuleResult) -> usize {
    let values = match &*result.metric {
        "psi" | "ks_lcb" | "tpr_gap" | "latency_p95_ms" | "error_rate" => 1,
        "ks_p" => 2,
        _ => 0,
    };
    let segments = result.get("segments").and_then(|listed| Some(listed.as_array()?.len())).unwrap_or(0);
    1 + values + segments.min(MAX_SEGMENTS)
}
