//! Judging a value that is known as an interval: the counts of a grid's cells leave open where in a cell each value lies.

use super::measured::status;
use super::types::{Bound, Status};
use crate::stats::limit::Amount;

/// The reason of a warning where part of the interval breaks the limit.
pub(super) const UNDERRESOLVED: &str = "underresolved";

/// Blocks where the whole interval breaks the limit. Warns with `underresolved` where part of it does, and where either end is
/// beyond `warn`.
pub(super) fn by_interval(ends: [Amount; 2], bound: Bound) -> (Status, Option<String>) {
    let [lower, upper] = ends.map(|end| status(bound, |limit| limit.order(end)));
    match (lower.0, upper.0) {
        (Status::Block, Status::Block) => (Status::Block, None),
        (Status::Block, _) | (_, Status::Block) => (Status::Warn, Some(UNDERRESOLVED.to_owned())),
        (Status::Warn, _) => lower,
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Side;
    use super::*;
    use crate::stats::limit::Limit;

    #[test]
    fn an_interval_blocks_as_a_whole_and_warns_in_part() {
        let at = |text: &str| Limit::read(text).unwrap();
        let judged = |lower: f64, upper: f64, side, limit, warn: Option<&str>| {
            let bound = Bound { side, limit: at(limit), warn: warn.map(at) };
            let (status, reason) = by_interval([lower.into(), upper.into()], bound);
            (status, reason.unwrap_or_default())
        };
        let said = |text: &str| text.to_owned();
        assert_eq!(judged(0.1, 0.2, Side::Lt, "0.3", None), (Status::Pass, said("")));
        assert_eq!(judged(0.1, 0.3, Side::Lt, "0.3", None), (Status::Warn, said("underresolved")));
        assert_eq!(judged(0.3, 0.4, Side::Lt, "0.3", None), (Status::Block, said("")));
        assert_eq!(judged(0.3, 0.4, Side::Lte, "0.3", None), (Status::Warn, said("underresolved")));
        assert_eq!(judged(0.6, 0.7, Side::Gte, "0.7", None), (Status::Warn, said("underresolved")));
        assert_eq!(judged(0.5, 0.6, Side::Gte, "0.7", None), (Status::Block, said("")));
        assert_eq!(judged(0.7, 0.9, Side::Gte, "0.7", Some("0.8")), (Status::Warn, said("below warn 0.8")));
        assert_eq!(judged(0.1, 0.25, Side::Lt, "0.3", Some("0.2")), (Status::Warn, said("at or above warn 0.2")));
    }
}
