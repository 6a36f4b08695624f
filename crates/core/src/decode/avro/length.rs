//! Where each value of a container file ends: its block holds them one behind the other, and says only how many there are.

use super::super::Reject;
use super::super::plan::{Node, Plan};
use super::Writer;
use super::program::{Program, compiled};
use super::read::Pass;

/// Finds the ends of values that were written with one schema.
#[derive(Debug)]
pub struct Lengths {
    program: Program,
    depth: usize,
}

impl Lengths {
    /// Values may be nested this deep.
    ///
    /// # Errors
    /// A schema that refers to others that are not there, or is too large.
    pub fn new(writer: &Writer, depth: usize) -> Result<Self, String> {
        let nothing = Plan { nodes: vec![Node::default()] };
        Ok(Self { program: compiled(writer, &nothing)?, depth })
    }

    /// How many bytes the first value has.
    ///
    /// # Errors
    /// Bytes that are not as the schema says.
    pub fn of_first(&self, bytes: &[u8]) -> Result<usize, Reject> {
        Pass::over(&self.program, bytes, self.depth)
    }
}
