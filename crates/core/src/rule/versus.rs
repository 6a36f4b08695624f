//! What a window is compared with: the training snapshot, earlier windows of the version, the version in prod, or a fixed span of the
//! version's own past. The bins and the grid stay the training snapshot's.

use serde_json::{Value, json};

use crate::codec::time::utc;
use crate::yaml::units;

/// What a window is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versus {
    /// The training snapshot.
    #[default]
    Training,
    /// The window of the same length that ends where this one starts.
    Previous,
    /// So many windows of the same length before it, summed.
    Rolling(u32),
    /// The same window so many times this span earlier, summed; in ms.
    Season { every: i64, back: u32 },
    /// The version in prod, in the same window.
    Champion,
    /// The version's own events from the one to the other, in ms; the end is not in it.
    Between(i64, i64),
}

impl Versus {
    /// How far before the start of a window of so many ms its reference reaches, in ms; of a fixed span nothing.
    #[must_use]
    pub fn back(self, size: i64) -> i64 {
        match self {
            Self::Training | Self::Champion | Self::Between(..) => 0,
            Self::Previous => size,
            Self::Rolling(n) => size.saturating_mul(i64::from(n)),
            Self::Season { every, back } => every.saturating_mul(i64::from(back)),
        }
    }

    /// The spans whose events are the reference of the window `[start, end)`, in ms, each `[from, to)`; none for another version's.
    #[must_use]
    pub fn spans(self, (start, end): (i64, i64)) -> Vec<(i64, i64)> {
        match self {
            Self::Training | Self::Champion => Vec::new(),
            Self::Previous | Self::Rolling(_) => vec![(start.saturating_sub(self.back(end - start)), start)],
            Self::Season { every, back } => {
                let earlier = |k: i64| (start.saturating_sub(every * k), end.saturating_sub(every * k));
                (1..=i64::from(back)).map(earlier).collect()
            }
            Self::Between(from, to) => vec![(from, to)],
        }
    }

    /// As results show it.
    #[must_use]
    pub fn evidence(self) -> Value {
        match self {
            Self::Training => "training".into(),
            Self::Previous => "previous".into(),
            Self::Champion => "champion".into(),
            Self::Rolling(n) => json!({"rolling": n}),
            Self::Season { every, back } => json!({"season": units::show_duration(every), "back": back}),
            Self::Between(from, to) => json!({"from": utc(from), "to": utc(to)}),
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Training => "the training snapshot".to_owned(),
            Self::Previous => "the window before".to_owned(),
            Self::Champion => "the version in prod".to_owned(),
            Self::Rolling(n) => format!("the {n} windows before"),
            Self::Season { every, back } => format!("{back} windows {} apart", units::show_duration(every)),
            Self::Between(from, to) => format!("{} to {}", utc(from), utc(to)),
        }
    }

    /// Why it does not fit windows of this length and slide, whose panes start where `is_start` says.
    #[must_use]
    pub fn misfit(self, size: i64, slide: i64, is_start: impl Fn(i64) -> bool) -> Option<String> {
        let shown = units::show_duration;
        match self {
            Self::Season { every, .. } if every % slide != 0 => {
                Some(format!("a season of {} is not a multiple of the slide {}", shown(every), shown(slide)))
            }
            Self::Season { every, .. } if every < size => Some(format!(
                "a season of {} is shorter than the window {}, which would be compared with itself",
                shown(every),
                shown(size)
            )),
            Self::Between(from, to) if !is_start(from) || !is_start(to) => Some(format!(
                "{} to {} is not made of whole slides of {}: write times that are multiples of it",
                utc(from),
                utc(to),
                shown(slide)
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn references_end_where_the_window_starts_or_lie_whole_seasons_back() {
        let window = (10 * DAY, 11 * DAY);
        assert_eq!(Versus::Previous.spans(window), [(9 * DAY, 10 * DAY)]);
        assert_eq!(Versus::Rolling(4).spans(window), [(6 * DAY, 10 * DAY)]);
        let season = Versus::Season { every: 7 * DAY, back: 2 };
        assert_eq!(season.spans(window), [(3 * DAY, 4 * DAY), (-4 * DAY, -3 * DAY)]);
        assert_eq!((season.back(DAY), Versus::Rolling(4).back(DAY)), (14 * DAY, 4 * DAY));
        assert_eq!(Versus::Between(0, DAY).spans(window), [(0, DAY)]);
    }

    #[test]
    fn a_reference_is_made_of_whole_slides_and_not_of_the_window() {
        let misfit = |versus: Versus| versus.misfit(2 * DAY, DAY, |ts| ts % DAY == 0).unwrap_or_default();
        assert!(misfit(Versus::Season { every: DAY, back: 1 }).contains("shorter than the window"));
        assert!(misfit(Versus::Season { every: 3 * DAY / 2, back: 1 }).contains("not a multiple"));
        assert!(misfit(Versus::Between(0, DAY / 2)).contains("whole slides"));
        assert_eq!(misfit(Versus::Season { every: 7 * DAY, back: 4 }), "");
    }
}
