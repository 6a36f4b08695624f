use super::*;
use crate::policy::Tolerance;
use crate::stats::draws::Draws;

/// An hour has 12 slides; a window is half an hour.
const PANES: usize = 6;
const DAY: usize = 288;

fn relative() -> Tolerance {
    Tolerance::Relative(crate::stats::limit::Limit::of(0.01).unwrap())
}

/// A stream of slides of one side, and its window.
#[derive(Default)]
struct Side {
    slides: std::collections::VecDeque<Share>,
}

impl Side {
    fn next(&mut self, slide: Share) -> Option<Share> {
        self.slides.push_back(slide);
        (self.slides.len() > PANES).then(|| self.slides.pop_front()).flatten()
    }

    fn window(&self) -> Share {
        sum(self.slides.iter().copied())
    }
}

/// Windows of `days` of a version beside its reference; how many blocked in each way, and the first that did.
struct Run {
    kpi: Kpi,
    own: Side,
    other: Side,
    looks: usize,
}

impl Run {
    fn new() -> Self {
        Self { kpi: Kpi::default(), own: Side::default(), other: Side::default(), looks: 0 }
    }

    /// One slide of both; `other` is the champion's, if there is one.
    fn see(&mut self, slide: Share, other: Option<Share>, predecessor: bool) -> Compared {
        self.looks += 1;
        let start = i64::try_from(self.looks).unwrap() * 300_000;
        if let Some(left) = self.own.next(slide) {
            self.kpi.leave(start, epoch(start, 1), left);
        }
        let champion = other.map(|slide| {
            self.other.next(slide);
            Other { version: "1", window: self.other.window(), slide }
        });
        let seen = Seen {
            version: "2",
            window: self.own.window(),
            slide,
            epoch: epoch(start, 1),
            in_prod: champion.is_none(),
            champion,
            predecessor: predecessor.then_some("1"),
        };
        let compared = self.kpi.compare(&seen, 200);
        let found = compared.beside.as_ref().or(compared.before.as_ref());
        if found.is_some_and(|c| blocks(c, seen.window, false)) {
            self.kpi.blocked(start);
        }
        compared
    }
}

fn blocks(compared: &Comparison, window: Share, lasts: bool) -> bool {
    window.n.min(compared.reference.n) >= 200 && compared.decide(window, relative(), lasts).blocks()
}

fn share(draws: &mut Draws, n: u64, rate: f64) -> Share {
    Share { yes: draws.binomial(n, rate), n }
}

/// 10,000 requests an hour at a rate of 10%: a candidate with a tenth of them has 83 in five minutes.
const CANDIDATE: u64 = 83;
const CHAMPION: u64 = 750;

#[test]
fn equal_candidates_pass_twenty_days_of_windows_and_the_interval_of_one_window_fails_them() {
    let mut draws = Draws::new(3);
    let (mut ever, mut days_by_one_window) = (0, 0);
    const RUNS: usize = 120;
    for run in 0..RUNS {
        let (mut model, mut failed) = (Run::new(), false);
        for _ in 0..20 {
            let mut by_one_window = false;
            for _ in 0..DAY {
                let other = share(&mut draws, CHAMPION, 0.1);
                let compared = model.see(share(&mut draws, CANDIDATE, 0.1), Some(other), false).beside.unwrap();
                failed |= blocks(&compared, model.own.window(), false);
                by_one_window |= run < 10 && blocks(&compared, model.own.window(), true);
            }
            days_by_one_window += usize::from(by_one_window);
        }
        ever += usize::from(failed);
    }
    // α is two-sided; of 120 runs 3 would be expected to fail if it were used up.
    assert!(ever <= 6, "{ever} of {RUNS} runs of twenty days failed");
    assert!(days_by_one_window > 140, "{days_by_one_window} of 200 days, as it was before");
}

#[test]
fn an_equal_version_in_prod_passes_twenty_days_against_its_predecessor_and_against_itself() {
    let mut draws = Draws::new(5);
    for predecessor in [true, false] {
        let failed = (0..60).filter(|_| {
            let mut model = Run::new();
            let before = share(&mut draws, 200_000, 0.1);
            model.kpi.comes_after(before);
            let mut any = false;
            for _ in 0..20 * DAY {
                let compared = model.see(share(&mut draws, CANDIDATE + CHAMPION, 0.1), None, predecessor).before;
                any |= compared.is_some_and(|c| blocks(&c, model.own.window(), false));
            }
            any
        });
        let failed = failed.count();
        assert!(failed <= 4, "{failed} of 60 runs failed, predecessor: {predecessor}");
    }
}

#[test]
fn a_halved_rate_is_found_within_the_hour_at_once_and_after_weeks() {
    let mut draws = Draws::new(7);
    for (beside, predecessor) in [(true, false), (false, true), (false, false)] {
        for sound in [36, 20 * DAY] {
            let mut model = Run::new();
            let before = share(&mut draws, 200_000, 0.1);
            model.kpi.comes_after(before);
            let n = if beside { CANDIDATE } else { CANDIDATE + CHAMPION };
            let mut see = |model: &mut Run, rate: f64| {
                let other = beside.then(|| share(&mut draws, CHAMPION, 0.1));
                let compared = model.see(share(&mut draws, n, rate), other, predecessor);
                let compared = compared.beside.or(compared.before);
                compared.is_some_and(|c| blocks(&c, model.own.window(), false))
            };
            for _ in 0..sound {
                see(&mut model, 0.1);
            }
            let found = (1..=36).find(|_| see(&mut model, 0.05));
            let within = if beside { 18 } else { 6 };
            assert!(found.is_some_and(|slides| slides <= within), "{beside} {predecessor} {sound}: {found:?}");
        }
    }
}

#[test]
fn a_small_drop_that_lasts_is_found_by_the_sums() {
    let mut draws = Draws::new(11);
    let mut model = Run::new();
    let found = (1..=20 * DAY).find(|_| {
        let other = share(&mut draws, CHAMPION, 0.1);
        let compared = model.see(share(&mut draws, CHAMPION, 0.09), Some(other), false).beside.unwrap();
        let decision = compared.decide(model.own.window(), relative(), false);
        decision.by_total && !decision.by_window
    });
    assert!(found.is_some_and(|slides| slides < 2 * DAY), "{found:?}");
}

#[test]
fn the_past_is_seven_days_without_what_blocked() {
    let mut kpi = Kpi::default();
    let slide = Share { yes: 1, n: 10 };
    for day in 0..10 {
        kpi.leave(day * DAY_MS, epoch(day * DAY_MS, 1), slide);
    }
    kpi.blocked(11 * DAY_MS);
    kpi.leave(10 * DAY_MS, epoch(10 * DAY_MS, 1), slide);
    assert_eq!(
        kpi.past.iter().map(|e| (e.number, e.all.n, e.sound.n)).collect::<Vec<_>>(),
        [(4, 10, 10), (5, 10, 10), (6, 10, 10), (7, 10, 10), (8, 10, 10), (9, 10, 10), (10, 10, 0)]
    );
    // Longer windows make longer days.
    assert_eq!((epoch(13 * DAY_MS, 7 * DAY_MS), epoch(14 * DAY_MS, 7 * DAY_MS), epoch(-1, 1)), (1, 2, -1));
}
