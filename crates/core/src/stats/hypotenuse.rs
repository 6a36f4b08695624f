//! √(a² + b²), rounded alike on every machine. The system's `hypot` differs in the last place between processors and releases of
//! its library, and with it the bytes of a verdict.

/// √(a² + b²) for values whose squares neither overflow nor vanish, as differences of shares are: within an ulp, and the same
/// wherever it is computed, since it takes nothing but sums, products and a root.
///
/// Source: C. F. Borges, "An Improved Algorithm for hypot(a, b)" (2019), the correction without fused products. Oracle: the roots of
/// sums of squares that are exact, and the system's function, in the tests.
pub(super) fn hypotenuse(a: f64, b: f64) -> f64 {
    let (long, short) = if a.abs() < b.abs() { (b.abs(), a.abs()) } else { (a.abs(), b.abs()) };
    if short <= long * (f64::EPSILON / 4.0) {
        return long + short;
    }
    let root = (long * long + short * short).sqrt();
    // root² − long² − short², with few roundings: Newton's method takes it off.
    let excess = if root <= 2.0 * short {
        let more = root - short;
        long * (2.0 * more - long) + (more - 2.0 * (long - short)) * more
    } else {
        let more = root - long;
        2.0 * more * (long - 2.0 * short) + ((4.0 * more - short) * short + more * more)
    };
    root - excess / (2.0 * root)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these values are exact by construction")]

    use proptest::prelude::*;

    use super::hypotenuse;
    use crate::stats::real::real;

    proptest! {
        #[test]
        fn it_is_the_root_of_an_exact_sum_of_squares(a in 0..1_u64 << 26, b in 0..1_u64 << 26, scale in -60..1_i32) {
            // Sums up to 2^53 are exact, and powers of two change no digit.
            let unit = f64::from(2).powi(scale);
            let (x, y) = (real(a), real(b));
            let expected = real(a * a + b * b).sqrt() * unit;
            for found in [hypotenuse(x * unit, -y * unit), hypotenuse(y * unit, x * unit)] {
                prop_assert!((found - expected).abs() <= expected * f64::EPSILON, "{found} {expected}");
            }
        }

        #[test]
        fn it_is_no_further_away_than_the_systems(a in -1.0..1.0_f64, b in -1.0..1.0_f64) {
            let (own, system) = (hypotenuse(a, b), a.hypot(b));
            prop_assert!((own - system).abs() <= system * f64::EPSILON, "{own} {system}");
        }
    }

    #[test]
    fn edges_are_as_everywhere() {
        assert_eq!(hypotenuse(0.0, 0.0), 0.0);
        assert_eq!(hypotenuse(-0.75, 0.0), 0.75);
        assert_eq!(hypotenuse(3.0, 4.0), 5.0);
        assert!(hypotenuse(f64::NAN, 1.0).is_nan());
        assert!(hypotenuse(f64::INFINITY, 1.0).is_infinite());
    }
}
