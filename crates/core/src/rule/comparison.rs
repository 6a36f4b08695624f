//! A version's KPI beside its reference: what a `kpi_drop` rule decides by. The reference, the sums and the number of looks
//! come from what the judge remembers from window to window.
//!
//! Without `for` a rule may block at any window, so its interval holds at all of them together. A third of α is for the sums
//! since the comparison began (a confidence sequence over disjoint slides, `stats::sequential`), a third for the sums of each
//! day, a third for the windows one by one; of days and windows the k-th takes 1/(k(k + 1)). The sums find a small drop that
//! lasts, a day's or a window's find a large one that begins late. Windows may overlap, since the union bound asks nothing of
//! them. With `for` it is Newcombe's interval of the window.

use serde::{Deserialize, Serialize};

use super::types::Tolerance;
use crate::stats::proportion::newcombe;
use crate::stats::ratio::Ratio;
use crate::stats::sequential::difference;

/// Two-sided, of one comparison of a version with one reference, over all its windows.
pub const ALPHA: f64 = 0.05;
/// The part of it for each of the three ways of looking.
pub const EACH: f64 = ALPHA / 3.0;

/// What the reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versus {
    /// Another version in prod in the same window.
    Champion,
    /// The version in prod before this one.
    Predecessor,
    /// Its own earlier slides.
    Itself,
}

impl Versus {
    /// As results spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Predecessor => "predecessor",
            Self::Itself => "self",
        }
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub yes: u64,
    pub n: u64,
}

impl Share {
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        (self.n > 0).then(|| self.yes as f64 / self.n as f64)
    }

    pub fn add(&mut self, other: Self) {
        self.yes = self.yes.saturating_add(other.yes);
        self.n = self.n.saturating_add(other.n);
    }
}

/// The share of α that the k-th of many has, which together are 1.
#[must_use]
pub fn portion(k: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of windows or days")]
    let k = k.max(1) as f64;
    1.0 / (k * (k + 1.0))
}

/// A window beside its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub versus: Versus,
    pub version: String,
    pub reference: Share,
    /// The how manieth window of the comparison it is.
    pub look: u64,
    /// Sums of both sides.
    pub totals: Vec<Total>,
}

/// What both sides have shown over disjoint slides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// Of when, for people.
    pub of: &'static str,
    pub own: Share,
    pub reference: Share,
    pub bounds: Option<(f64, f64)>,
}

impl Total {
    #[must_use]
    pub fn of(of: &'static str, own: Share, reference: Share, alpha: f64) -> Self {
        let bounds = difference(own.yes, own.n, reference.yes, reference.n, alpha);
        Self { of, own, reference, bounds }
    }
}

/// How a window stands to its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Bounds of the window's rate less the reference's.
    pub bounds: Option<(f64, f64)>,
    /// The window has dropped by more than is tolerated, whatever chance did.
    pub by_window: bool,
    /// The sums, those that have dropped if any have.
    pub total: Option<Total>,
    pub by_total: bool,
}

impl Decision {
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.by_window || self.by_total
    }
}

/// What the rules on a KPI choose from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Against another version in prod in the same window.
    pub beside: Option<Comparison>,
    /// Against the predecessor, or the version's own past.
    pub before: Option<Comparison>,
}

impl Comparison {
    /// Bounds of the window's rate less the reference's that hold at every window of the comparison.
    #[must_use]
    pub fn at_any_look(&self, window: Share) -> Option<(f64, f64)> {
        newcombe(window.yes, window.n, self.reference.yes, self.reference.n, EACH * portion(self.look))
    }

    /// Whether the drop exceeds what is tolerated; `lasts` says that the rule asks for a breach that lasts (`for`).
    #[must_use]
    pub fn decide(&self, window: Share, max: Tolerance, lasts: bool) -> Decision {
        let reference = self.reference;
        let bounds = if lasts {
            newcombe(window.yes, window.n, reference.yes, reference.n, ALPHA)
        } else {
            self.at_any_look(window)
        };
        let breaks = |bounds: Option<(f64, f64)>, reference: Share| {
            let allowed = match max {
                Tolerance::Absolute(x) => Some(x.value()),
                Tolerance::Relative(x) => Ratio::of_counts(reference.yes, reference.n)
                    .and_then(|rate| rate.times(x.ratio()))
                    .map(Ratio::value),
            };
            bounds.zip(allowed).is_some_and(|((_, upper), allowed)| upper < -allowed)
        };
        let totals = if lasts { &[][..] } else { &self.totals };
        let broken = totals.iter().find(|t| breaks(t.bounds, t.reference)).copied();
        Decision {
            bounds,
            by_window: breaks(bounds, reference),
            total: broken.or_else(|| totals.first().copied()),
            by_total: broken.is_some(),
        }
    }
}
