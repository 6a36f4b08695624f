//! Mutations of kept inputs: bits, bytes, runs, numbers, tokens and pieces of other inputs, from a seed.

use crate::support::Random;

/// An input never grows beyond this.
const MOST_BYTES: usize = 64 * 1024;

/// Texts that readers give a meaning.
const TOKENS: &[&str] = &[
    "NaN",
    "-Infinity",
    "null",
    "true",
    "1e999",
    "-0.0",
    "9223372036854775808",
    "\u{feff}",
    "\"",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\r",
    "\n",
    "\t",
    "''",
    "*",
    "\\",
    "1970-01-01T00:00:00Z",
    "\u{1f600}",
    "- ",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "%",
    "../",
    "?limit=",
    "\u{7f}",
];

pub struct Mutator {
    random: Random,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Self {
        Self { random: Random(seed), seeds }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.random.below(n.max(1) as u64)).unwrap()
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds[at].clone()
    }

    /// The next input.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        input.truncate(MOST_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let long = self.below(16) + 1;
        let to = (at + long).min(input.len());
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap(),
            2 => drop(input.drain(at..to)),
            3 => {
                let run = input[at..to].to_vec();
                let times = self.below(64) + 1;
                input.splice(at..at, run.repeat(times));
            }
            4 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..to.min(at + self.below(2) * long), token.bytes());
            }
            5 => {
                let other = self.seed();
                let from = self.below(other.len());
                let piece = &other[from..(from + long * 8).min(other.len())];
                input.splice(at..to, piece.iter().copied());
            }
            6 => input.truncate(at),
            // A number of another size: lengths and offsets in binary files.
            7 if to - at >= 4 => {
                let value = [0, 1, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000][self.below(5)];
                input[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            }
            _ => input.insert(at, u8::try_from(self.below(256)).unwrap()),
        }
    }
}
