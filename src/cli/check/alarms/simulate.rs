//! Windows that slide over made-up events without drift: how often a rule breaches, and on how many days. Windows that share
//! events breach together, so a day's alarms are counted in a run of windows, not by a formula for one.

use std::collections::VecDeque;

use driftgate_core::judge::streak::Breach;
use driftgate_core::policy::{Group, Hysteresis};
use driftgate_core::stats::draws::Draws;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Slides a window is simulated in at most: neighbours of more are almost the same window.
const PANES: i64 = 288;
/// Steps of work for one subject, at most.
const WORK: usize = 8_000_000;
/// Days of one subject that are enough, or windows where a day has few.
const DAYS: usize = 600;
const WINDOWS: usize = 4_000;

/// How a group's windows follow each other, as they are simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rhythm {
    pub panes: usize,
    slide: i64,
    /// So many of the policy's slides are one here.
    factor: u32,
    /// Windows a day; below 1 where a slide is longer than a day.
    pub a_day: f64,
}

/// Shares of windows, and of days, that block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blocking {
    pub windows: f64,
    pub days: f64,
}

impl Rhythm {
    pub fn of(group: &Group) -> Self {
        let window = group.window;
        let panes = (window.size / window.slide.max(1)).max(1);
        let factor = panes.div_euclid(PANES).max(1) + i64::from(panes > PANES && panes % PANES > 0);
        let slide = window.slide.saturating_mul(factor).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a slide is far below 2^53 ms")]
        Self {
            panes: usize::try_from(window.size / slide).unwrap_or(1).max(1),
            slide,
            factor: u32::try_from(factor).unwrap_or(u32::MAX),
            a_day: DAY_MS as f64 / slide as f64,
        }
    }

    /// Windows of a day, or one where a slide is longer.
    fn day(self) -> usize {
        usize::try_from((DAY_MS / self.slide).max(1)).unwrap_or(1)
    }

    /// Windows of a day, or of a window that is longer.
    pub fn epoch(self) -> i64 {
        i64::try_from(self.day().max(self.panes)).unwrap_or(i64::MAX)
    }

    /// How many windows to look at in each of so many runs, of so much work each: whole days, two at least.
    pub fn looks(self, work: usize, runs: usize) -> usize {
        let day = self.day();
        let enough = DAYS.saturating_mul(day).max(WINDOWS).min(WORK / work.max(1));
        (enough / runs.max(1)).div_euclid(day).max(2).saturating_mul(day)
    }

    /// Follows `looks` windows; `breaches` moves on by a slide and says whether the window breaks its limit.
    pub fn follow(self, looks: usize, lasts: Option<Hysteresis>, mut breaches: impl FnMut() -> bool) -> Blocking {
        let lasts = match lasts {
            Some(Hysteresis::Windows(n)) => Some(Hysteresis::Windows(n.div_ceil(self.factor))),
            // A look stands for `factor` windows: of so many fewer, the same share.
            Some(Hysteresis::SomeOf { breaching, of }) => {
                Some(Hysteresis::SomeOf { breaching: breaching.div_ceil(self.factor), of: of.div_ceil(self.factor) })
            }
            other => other,
        };
        let (mut breach, mut end) = (Breach::default(), 0_i64);
        let (mut windows, mut days, mut today) = (0_usize, 0_usize, false);
        let day = self.day();
        for look in 1..=looks {
            end = end.saturating_add(self.slide);
            let breaks = breaches();
            let blocks = breach.note(end, self.slide, Some(breaks), lasts);
            windows += usize::from(blocks);
            today |= blocks;
            if look % day == 0 {
                days += usize::from(today);
                today = false;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        Blocking { windows: share(windows, looks), days: share(days, looks / day) }
    }

    /// Days a month, of such days.
    pub fn month(self, blocking: Blocking) -> f64 {
        30.0 * self.a_day.min(1.0) * blocking.days
    }
}

/// What part of `n` falls to slide number `at`: whole numbers that sum to `n` over any `panes` in a row.
fn part(n: u64, panes: usize, at: usize) -> u64 {
    let (panes, at) = (panes.max(1) as u64, (at % panes.max(1)) as u64);
    let until = |k: u64| u64::try_from(u128::from(n) * u128::from(k) / u128::from(panes)).unwrap_or(u64::MAX);
    until(at + 1) - until(at)
}

/// Successes among the `n` events of a sliding window.
#[derive(Debug)]
pub struct Successes {
    rate: f64,
    n: u64,
    panes: usize,
    at: usize,
    held: VecDeque<u64>,
    pub sum: u64,
}

impl Successes {
    pub fn new(rate: f64, n: u64, panes: usize, draws: &mut Draws) -> Self {
        let mut made = Self { rate, n, panes, at: 0, held: VecDeque::with_capacity(panes), sum: 0 };
        for _ in 0..panes {
            made.slide(draws);
        }
        made
    }

    /// Moves on; returns the slide's events and successes.
    pub fn slide(&mut self, draws: &mut Draws) -> (u64, u64) {
        let n = part(self.n, self.panes, self.at);
        let yes = draws.binomial(n, self.rate);
        self.at += 1;
        if self.held.len() == self.panes {
            self.sum -= self.held.pop_front().unwrap_or(0);
        }
        self.held.push_back(yes);
        self.sum += yes;
        (n, yes)
    }
}

/// Counts by cell of the `n` events of a sliding window.
#[derive(Debug)]
pub struct Counts {
    cumulative: Vec<f64>,
    shares: Vec<f64>,
    n: u64,
    panes: usize,
    at: usize,
    held: VecDeque<Pane>,
    pub sum: Vec<u64>,
}

/// The events of a slide.
#[derive(Debug)]
enum Pane {
    /// Each one's cell.
    Events(Vec<u32>),
    /// Where there are many: how many in each cell.
    Cells(Vec<u64>),
}

impl Counts {
    pub fn new(shares: &[f64], n: u64, panes: usize, draws: &mut Draws) -> Self {
        let total: f64 = shares.iter().sum();
        let mut sum = 0.0;
        let cumulative = shares
            .iter()
            .map(|share| {
                sum += share / total;
                sum
            })
            .collect();
        let shares: Vec<f64> = shares.iter().map(|share| share / total).collect();
        let cells = shares.len();
        let mut made =
            Self { cumulative, shares, n, panes, at: 0, held: VecDeque::with_capacity(panes), sum: vec![0; cells] };
        (0..panes).for_each(|_| made.slide(draws));
        made
    }

    /// About the work of a slide.
    pub fn work(cells: usize, n: u64, panes: usize) -> usize {
        let events = usize::try_from(n).unwrap_or(usize::MAX).div_ceil(panes.max(1));
        2 * cells + events.min(30 * cells)
    }

    /// Moves on by a slide.
    pub fn slide(&mut self, draws: &mut Draws) {
        let n = part(self.n, self.panes, self.at);
        self.at += 1;
        let old = if self.held.len() == self.panes { self.held.pop_front() } else { None };
        match &old {
            Some(Pane::Events(cells)) => cells.iter().for_each(|&cell| self.count(cell, |n| n - 1)),
            Some(Pane::Cells(counts)) => self.sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum -= n),
            None => {}
        }
        let cells = self.shares.len();
        // Many a cell are drawn cell by cell, and then their number is only about n.
        if n > 30 * cells as u64 {
            let counts: Vec<u64> = self.shares.iter().map(|share| draws.binomial(n, *share)).collect();
            self.sum.iter_mut().zip(&counts).for_each(|(sum, n)| *sum += n);
            self.held.push_back(Pane::Cells(counts));
            return;
        }
        let mut events = if let Some(Pane::Events(events)) = old { events } else { Vec::new() };
        events.clear();
        for _ in 0..n {
            let u = draws.uniform();
            let cell = self.cumulative.partition_point(|c| *c <= u).min(cells.saturating_sub(1));
            events.push(u32::try_from(cell).unwrap_or(u32::MAX));
        }
        for &cell in &events {
            self.count(cell, |n| n + 1);
        }
        self.held.push_back(Pane::Events(events));
    }

    fn count(&mut self, cell: u32, change: impl Fn(u64) -> u64) {
        if let Some(sum) = self.sum.get_mut(cell as usize) {
            *sum = change(*sum);
        }
    }
}

/// One sample of `n` over cells of these shares.
pub fn sample(shares: &[f64], n: u64, draws: &mut Draws) -> Vec<u64> {
    Counts::new(shares, n, 1, draws).sum
}

/// The smallest shift, to about a percent, at which `power` (the share of windows that block) is at least 0.8; `None` where
/// none up to `most` is found.
pub fn smallest(most: f64, mut power: impl FnMut(f64) -> f64) -> Option<f64> {
    const WANTED: f64 = 0.8;
    let (mut below, mut above) = (0.0, most);
    if power(most) < WANTED {
        return None;
    }
    for _ in 0..8 {
        let middle = f64::midpoint(below, above);
        if power(middle) < WANTED { below = middle } else { above = middle }
    }
    Some(above)
}

/// The share of `tries` that hold.
pub fn share_of(tries: u32, mut holds: impl FnMut() -> bool) -> f64 {
    f64::from((0..tries).map(|_| u32::from(holds())).sum::<u32>()) / f64::from(tries.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(size: &str, slide: &str) -> Rhythm {
        let text = format!(
            "apiVersion: driftgate/v1\nmodel: m\nchecks: {{g: {{window: {{size: {size}, slide: {slide}}}, rules: [error_rate: {{lt: 0.1}}]}}}}\n"
        );
        let policy =
            driftgate_core::policy::parse(&text, std::path::Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"));
        Rhythm::of(&policy.groups[0])
    }

    #[test]
    fn windows_follow_each_other_as_the_policy_says() {
        let hour = rhythm("1h", "5m");
        assert_eq!((hour.panes, hour.day()), (12, 288));
        let week = rhythm("7d", "7d");
        assert_eq!((week.panes, week.day()), (1, 1));
        assert!((week.month(Blocking { windows: 0.7, days: 0.7 }) - 3.0).abs() < 1e-12);
        // 8,064 slides of five minutes are simulated as 288 of 140.
        let long = rhythm("28d", "5m");
        assert_eq!((long.panes, long.factor), (288, 28));
        // A slide of a window that overlaps is a part of its events.
        let mut draws = Draws::new(1);
        let mut window = Successes::new(1.0, 200, 12, &mut draws);
        for _ in 0..40 {
            window.slide(&mut draws);
            assert_eq!(window.sum, 200);
        }
    }

    #[test]
    fn days_are_counted_once_and_for_is_kept() {
        let hour = rhythm("1h", "1h");
        let mut look = 0;
        let mut every = |n: usize, lasts| {
            hour.follow(240, lasts, || {
                look += 1;
                look % n == 0
            })
        };
        assert_eq!(every(12, None), Blocking { windows: 20.0 / 240.0, days: 1.0 });
        assert_eq!(every(48, None), Blocking { windows: 5.0 / 240.0, days: 0.5 });
        assert_eq!(every(2, Some(Hysteresis::Windows(2))), Blocking::default());
        assert_eq!(every(1, Some(Hysteresis::Duration(3_600_000))), Blocking { windows: 239.0 / 240.0, days: 1.0 });
    }

    #[test]
    fn the_smallest_shift_is_where_power_is_four_fifths() {
        assert!(smallest(4.0, |x| x / 2.0).is_some_and(|x| (x - 1.6).abs() < 0.02));
        assert_eq!(smallest(1.0, |x| x / 2.0), None);
    }
}
