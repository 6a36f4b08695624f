//! Narrow floats as doubles, for every format that has them. A narrow float means the shortest decimal that reads back as it, so the
//! float32 of 0.1 is the 0.1 that other files and events spell out.

/// A float32 from here on may be shorter than its digits before the point, and one below this from where on its digits
/// behind the point are too many for an exact product.
const EXACT_BELOW: f64 = 16_777_216.0;
const EXACT_FROM: f64 = 1e-3;
/// Digits behind the point that are tried one after the other; values with more are written out.
const TRIED: usize = 4;
/// Powers of ten that are exact.
pub const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A float32 as the double of its shortest decimal.
#[inline]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "whether it comes back is what is asked")]
#[allow(clippy::float_cmp, reason = "the same or not")]
pub fn single(x: f32) -> f64 {
    let exact = f64::from(x);
    let size = exact.abs();
    if size < EXACT_BELOW && exact.fract() == 0.0 || !exact.is_finite() {
        return exact;
    }
    if (EXACT_FROM..EXACT_BELOW).contains(&size) {
        // Products of 24 bits and so few powers are exact, and so is the rounding to the decimal that is nearest.
        for power in POWERS.iter().skip(1).take(TRIED) {
            let decimal = (exact * power).round_ties_even() / power;
            if decimal as f32 == x {
                return decimal;
            }
        }
    }
    let mut text = zmij::Buffer::new();
    fast_float2::parse(text.format_finite(x)).unwrap_or(exact)
}

/// A float16, by its bits, as the double of its shortest decimal.
#[must_use]
#[allow(clippy::float_cmp, reason = "the middles are exact")]
pub fn half(bits: u16) -> f64 {
    let exact = exact_half(bits);
    if exact == 0.0 || !exact.is_finite() {
        return exact;
    }
    // A number between the middles to its neighbours reads back as it; the middles themselves do if its last bit is even.
    let (below, above) = (exact_half((bits & 0x7fff) - 1), exact_half((bits & 0x7fff) + 1));
    let size = exact.abs();
    let above = if above.is_finite() { above } else { size + (size - below) };
    let (low, high) = (f64::midpoint(below, size), f64::midpoint(size, above));
    let reads_back = |x: f64| low < x && x < high || bits & 1 == 0 && (x == low || x == high);
    let whole = POWERS.iter().take(5).rev().map(|power| (size / power).round_ties_even() * power);
    let broken = POWERS.iter().skip(1).take(12).map(|power| (size * power).round_ties_even() / power);
    let found = whole.chain(broken).find(|&x| reads_back(x)).unwrap_or(size);
    found.copysign(exact)
}

fn exact_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a value against the standard library's shortest text, which may go the other way from halfway between two.
    #[allow(clippy::float_cmp, clippy::cast_possible_truncation, reason = "whether it comes back is what is asked")]
    fn check(x: f32) {
        let (wide, text) = (single(x), format!("{x:e}"));
        let by_text: f64 = text.parse().unwrap();
        if wide.to_bits() != by_text.to_bits() {
            let away = |wide: f64| (wide - f64::from(x)).abs();
            assert!(wide as f32 == x && away(wide) <= away(by_text), "{x:e}: {wide:e}");
            let digits = |text: &str| text.chars().take_while(|c| *c != 'e').filter(char::is_ascii_digit).count();
            assert!(digits(&format!("{wide:e}")) <= digits(&text), "{x:e}: {wide:e}");
        }
    }

    #[test]
    fn float32_is_its_shortest_decimal() {
        for (x, wide) in
            [(0.1_f32, 0.1), (-0.7, -0.7), (1e-7, 1e-7), (16_777_217.0, 16_777_216.0), (123_456_790.0, 123_456_790.0)]
        {
            assert_eq!(single(x).to_bits(), f64::to_bits(wide), "{x}");
        }
        assert!(single(f32::NAN).is_nan() && single(f32::INFINITY).is_infinite());
        assert_eq!(single(-0.0).to_bits(), (-0.0_f64).to_bits());
        // Bit patterns over all of them, and all that lie beside powers of ten.
        for bits in (0..=u32::MAX).step_by(7_919) {
            let x = f32::from_bits(bits);
            if x.is_finite() {
                check(x);
            }
        }
        for power in -45..39 {
            let near: f32 = format!("1e{power}").parse().unwrap();
            for bits in near.to_bits().saturating_sub(300)..near.to_bits().saturating_add(300) {
                let x = f32::from_bits(bits);
                if x.is_finite() {
                    check(x);
                }
            }
        }
    }

    #[test]
    fn float16_is_its_shortest_decimal() {
        // By numpy: float(str(numpy.float16(x))).
        for (bits, wide) in [
            (0x2e66, 0.1),
            (0xb266, -0.2),
            (0x3c00, 1.0),
            (0x4247, 3.139),
            (0x0001, 6e-8),
            (0x03ff, 6.1e-5),
            (0x7bff, 65_500.0),
            (0x5640, 100.0),
            (0x8000, -0.0),
        ] {
            assert_eq!(half(bits).to_bits(), f64::to_bits(wide), "{bits:#x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
        // Every one lies nearest to the decimal it is given.
        for bits in 1..0x7c00_u16 {
            let (exact, wide) = (exact_half(bits), half(bits));
            let away = |other: u16| (exact_half(other) - wide).abs();
            assert!((exact - wide).abs() <= away(bits - 1), "{bits:#x}");
            assert!(bits == 0x7bff || (exact - wide).abs() <= away(bits + 1), "{bits:#x}");
        }
    }
}
