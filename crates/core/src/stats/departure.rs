//! Whether a share departs from the one that was set, looked at after every record.

use statrs::function::beta::checked_ln_beta;

use super::real::real;

/// The logarithm of how much better a mixture of all shares explains `yes` of `n` records than the share `p` does.
///
/// The mixture martingale of Bernoulli records with Jeffreys' prior, Beta(½, ½): Robbins (Statistical methods related to the law of
/// the iterated logarithm, Annals of Mathematical Statistics 41, 1970, section 3); as a likelihood ratio in Howard, Ramdas, `McAuliffe` &
/// Sekhon (Time-uniform, nonparametric, nonasymptotic confidence sequences, Annals of Statistics 49, 2021, proposition 7):
///
/// ```text
/// ln B(½ + yes, ½ + n − yes) − ln B(½, ½) − yes·ln p − (n − yes)·ln(1 − p)
/// ```
///
/// Under independent records of share p it exceeds ln(1/α) at any time with probability at most α (Ville's inequality). Where p
/// says that the records are impossible, it is infinite. Oracle: `scipy.special.betaln`.
///
/// `None` where `yes` exceeds `n` or p is outside [0, 1].
#[must_use]
pub fn log_evidence(yes: u64, n: u64, p: f64) -> Option<f64> {
    if yes > n || !(0.0..=1.0).contains(&p) {
        return None;
    }
    let (yes, no) = (real(yes), real(n - yes));
    let mixed = checked_ln_beta(0.5 + yes, 0.5 + no).ok()? - checked_ln_beta(0.5, 0.5).ok()?;
    let part = |count: f64, p: f64| if count > 0.0 { count * p.ln() } else { 0.0 };
    Some(mixed - part(yes, p) - part(no, 1.0 - p))
}

/// Whether `yes` of `n` records are surely of no share within `lowest` to `highest`, at level α and however often this is asked. A
/// share outside is compared with the nearer end, under which the records are likeliest.
#[must_use]
pub fn departs(yes: u64, n: u64, (lowest, highest): (f64, f64), alpha: f64) -> bool {
    if n == 0 || yes > n {
        return false;
    }
    let share = real(yes) / real(n);
    let end = if share < lowest {
        lowest
    } else if share > highest {
        highest
    } else {
        return false;
    };
    log_evidence(yes, n, end).is_some_and(|evidence| evidence >= -alpha.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evidence_is_that_of_scipy() {
        // scipy 1.17: betaln(.5 + yes, .5 + n - yes) - betaln(.5, .5) - yes*log(p) - (n - yes)*log(1 - p)
        for (yes, n, p, expected) in [
            (0, 100, 0.1, 7.659_851_535_072_059),
            (37, 1000, 0.05, -1.733_265_707_181_196_5),
            (5200, 10_000, 0.5, 3.171_148_134_495_524_6),
            (999, 1000, 0.99, 3.018_685_786_724_796),
            (123_456, 1_000_000, 0.12, 48.957_087_200_600_654),
        ] {
            let found = log_evidence(yes, n, p).unwrap();
            assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{yes} of {n} at {p}: {found}");
        }
        assert_eq!(log_evidence(3, 2, 0.5), None);
        assert_eq!(log_evidence(1, 2, 0.0), Some(f64::INFINITY));
    }

    #[test]
    fn a_share_within_the_bounds_never_departs_and_one_far_outside_does() {
        assert!(!departs(0, 0, (0.09, 0.11), 0.001));
        assert!(!departs(100, 1000, (0.09, 0.11), 0.001));
        assert!(departs(0, 120, (0.09, 0.11), 0.001), "nothing of 120 where a tenth is due");
        assert!(!departs(0, 50, (0.09, 0.11), 0.001));
        assert!(departs(995, 1000, (1.0, 1.0), 0.001), "what is impossible");
        assert!(departs(350, 1000, (0.45, 0.55), 0.001));
    }

    #[test]
    fn shares_as_they_were_set_depart_rarely_however_often_they_are_looked_at() {
        // Knuth's MMIX generator: the same draws on every run.
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            real(state >> 11) / real(1 << 53)
        };
        let (mut departed, mut found) = (0, 0);
        for _ in 0..500 {
            let (mut as_set, mut half) = (0, 0);
            let (mut wrong, mut right) = (false, false);
            for n in 1..=1000 {
                as_set += u64::from(draw() < 0.1);
                half += u64::from(draw() < 0.05);
                wrong |= departs(as_set, n, (0.1, 0.1), 0.05);
                right |= departs(half, n, (0.09, 0.11), 0.05);
            }
            (departed, found) = (departed + u32::from(wrong), found + u32::from(right));
        }
        assert!(departed <= 25, "{departed} of 500 departed at level 0.05");
        assert!(found > 450, "half of the share is found in {found} of 500");
    }
}
