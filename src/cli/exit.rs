//! Exit codes that scripts rely on, and errors with their exit code.

pub const PASS: u8 = 0;
pub const BLOCK: u8 = 1;
pub const INPUT: u8 = 2;
pub const INCONCLUSIVE: u8 = 3;
pub const PENDING: u8 = 4;
pub const UNREACHABLE: u8 = 5;

/// An error with its exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: INPUT, error: error.into() }
    }
}
