//! How the lines of the features' table are ordered: the worst first, or by one of its columns.

use std::cmp::Ordering;

use super::line::{Line, missing, nearness};
use driftgate_core::judge::ranking;

/// What lines are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By rank where the policy says how much features matter, else by status and then by how near the value is to its limit.
    #[default]
    Worst,
    Name,
    /// How near the value is to its limit.
    Near,
    Missing,
    Values,
    Importance,
    Rank,
}

impl Order {
    pub const ALL: [Self; 7] =
        [Self::Worst, Self::Name, Self::Near, Self::Missing, Self::Values, Self::Importance, Self::Rank];

    /// As it stands in an address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "name",
            Self::Near => "near",
            Self::Missing => "missing",
            Self::Values => "values",
            Self::Importance => "importance",
            Self::Rank => "rank",
        }
    }

    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == text)
    }

    /// For people, after a comma.
    pub fn sentence(self, is_ranked: bool) -> &'static str {
        match self {
            Self::Worst if is_ranked => "ranked by value over limit times importance",
            Self::Worst => "the worst first",
            Self::Name => "by name",
            Self::Near => "what is nearest to its limit first",
            Self::Missing => "what is missing most first",
            Self::Values => "what has most values first",
            Self::Importance => "what matters most first",
            Self::Rank => "ranked by value over limit times importance",
        }
    }

    /// Orders lines that are in the order of their names; those that are alike stay in it.
    pub(super) fn sort(self, lines: &mut [Line<'_>]) {
        let by = |lines: &mut [Line<'_>], of: fn(&Line<'_>) -> Option<f64>| {
            lines.sort_by(|a, b| descending(of(a), of(b)));
        };
        match self {
            Self::Name => {}
            Self::Worst => {
                lines.sort_by(|a, b| {
                    b.row.of.status.cmp(&a.row.of.status).then_with(|| descending(nearness(a.row), nearness(b.row)))
                });
                ranking::sort(lines, |line| line.rank);
            }
            Self::Near => by(lines, |line| nearness(line.row)),
            Self::Missing => by(lines, missing),
            Self::Values => lines.sort_by_key(|line| std::cmp::Reverse(line.row.of.n)),
            Self::Importance => by(lines, |line| line.importance),
            Self::Rank => by(lines, |line| line.rank),
        }
    }
}

/// The greatest first, and what has no number last.
fn descending(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.is_some().cmp(&a.is_some()).then_with(|| b.unwrap_or(0.0).total_cmp(&a.unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_are_named_and_what_has_no_number_comes_last() {
        assert!(Order::ALL.into_iter().all(|order| Order::read(order.name()) == Some(order)));
        assert_eq!(Order::read("size"), None);
        let mut of = [None, Some(0.1), Some(2.0), None, Some(-1.0)];
        of.sort_by(|a, b| descending(*a, *b));
        assert_eq!(of, [Some(2.0), Some(0.1), Some(-1.0), None, None]);
    }
}
