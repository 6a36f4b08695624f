//! Random draws that are the same on every run and machine, for the simulations of `check`.

use std::collections::HashMap;

use super::real::real;

/// A generator: `SplitMix64` (Steele, Lea & Flood 2014).
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
    /// Distribution functions of the binomials asked for, by n and the bits of p.
    tables: HashMap<(u64, u64), Vec<f64>>,
}

/// Binomials up to this n are drawn from their exact distribution.
const EXACT: u64 = 5_000;
/// Tables kept: distributions with ever new p are not worth one.
const TABLES: usize = 256;

impl Draws {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed, tables: HashMap::new() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Uniform on [0, 1).
    pub fn uniform(&mut self) -> f64 {
        real(self.next() >> 11) / real(1 << 53)
    }

    /// Uniform below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.next()) * n as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Standard normal (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Successes in `n` trials. Large n are drawn from the normal approximation.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p.is_nan() || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        if n > EXACT {
            let x = real(n) * p + (real(n) * p * (1.0 - p)).sqrt() * self.normal();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to [0, n]")]
            return x.round().clamp(0.0, real(n)) as u64;
        }
        let u = self.uniform();
        let key = (n, p.to_bits());
        if let Some(table) = self.tables.get(&key) {
            return table.partition_point(|cumulative| *cumulative <= u).min(usize::try_from(n).unwrap_or(0)) as u64;
        }
        let table = cumulative(n, p);
        let drawn = table.partition_point(|cumulative| *cumulative <= u).min(usize::try_from(n).unwrap_or(0)) as u64;
        if self.tables.len() < TABLES {
            self.tables.insert(key, table);
        }
        drawn
    }
}

/// P(X ≤ k) of a binomial, k = 0..n: from its mode outwards, so that nothing underflows.
fn cumulative(n: u64, p: f64) -> Vec<f64> {
    let size = usize::try_from(n).unwrap_or(0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most n")]
    let mode = ((real(n) + 1.0) * p).floor().min(real(n)) as usize;
    let odds = p / (1.0 - p);
    let mut mass = vec![0.0; size + 1];
    let mut term = 1.0;
    for (k, slot) in (0_u64..).zip(mass.iter_mut()).skip(mode) {
        *slot = term;
        term *= odds * real(n - k) / real(k + 1);
    }
    term = 1.0;
    for k in (0..mode).rev() {
        let k_real = real(k as u64);
        term *= (k_real + 1.0) / (odds * (real(n) - k_real));
        if let Some(slot) = mass.get_mut(k) {
            *slot = term;
        }
    }
    let total: f64 = mass.iter().sum();
    let mut sum = 0.0;
    for slot in &mut mass {
        sum += *slot;
        *slot = sum / total;
    }
    mass
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_the_moments_they_should_and_are_the_same_each_time() {
        let mut draws = Draws::new(1);
        assert_eq!(
            (draws.next(), draws.next()),
            (0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67),
            "the published sequence"
        );
        for (n, p) in [(1, 0.3), (30, 0.8), (600, 0.1), (5_000, 0.001), (100_000, 0.25)] {
            let drawn: Vec<f64> = (0..20_000).map(|_| real(draws.binomial(n, p))).collect();
            let mean = drawn.iter().sum::<f64>() / 20_000.0;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let (expected, spread) = (real(n) * p, real(n) * p * (1.0 - p));
            assert!((mean - expected).abs() < 5.0 * (spread / 20_000.0).sqrt(), "{n} {p}: {mean}");
            assert!((variance / spread - 1.0).abs() < 0.1, "{n} {p}: {variance}");
        }
        assert_eq!((draws.binomial(0, 0.5), draws.binomial(9, 0.0), draws.binomial(9, 1.0)), (0, 0, 9));
        let normals: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
        assert!((normals.iter().map(|x| x * x).sum::<f64>() / 20_000.0 - 1.0).abs() < 0.05);
        assert!((0..1000).all(|_| draws.below(7) < 7) && draws.below(0) == 0);
    }
}
