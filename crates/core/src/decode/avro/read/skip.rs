//! Passing over values without reading them: those that go nowhere, and whole ones, to find where they end.

use super::super::super::Reject;
use super::super::program::{Kind, Program};
use super::Pass;

impl<'a> Pass<'a> {
    /// The length of the first value in some bytes.
    ///
    /// # Errors
    /// Bytes that are not as the schema says.
    pub fn over(program: &'a Program, bytes: &'a [u8], depth: usize) -> Result<usize, Reject> {
        let mut pass = Self { rest: bytes, whole: bytes.len(), depth_left: depth, program };
        pass.skip(&program.root)?;
        Ok(bytes.len() - pass.rest.len())
    }

    /// Passes over a value that goes nowhere.
    #[allow(clippy::indexing_slicing, reason = "indexes of records come from the compiler, which made them")]
    pub(super) fn skip(&mut self, kind: &'a Kind) -> Result<(), Reject> {
        match kind {
            Kind::Null => {}
            Kind::Boolean => drop(self.boolean()?),
            Kind::Integer | Kind::Date | Kind::Instant(_) | Kind::Clock(_) => drop(self.long()?),
            Kind::Float => drop(self.chunk::<4>()?),
            Kind::Double => drop(self.chunk::<8>()?),
            Kind::Uuid => drop(self.chunk::<16>()?),
            Kind::Text => drop(self.text()?),
            Kind::Bytes | Kind::Decimal(_, None) => drop(self.bytes()?),
            Kind::Fixed(size) | Kind::Decimal(_, Some(size)) => drop(self.take(*size)?),
            Kind::Symbols(symbols) => drop(self.branch(symbols, "the symbol")?),
            Kind::Union(branches) => {
                let branch = self.branch(branches, "the branch")?;
                self.skip(branch)?;
            }
            Kind::Record(at, _) => {
                self.deeper()?;
                let program = self.program;
                for step in &program.records[*at] {
                    self.skip(&step.kind)?;
                }
                self.depth_left += 1;
            }
            Kind::Array(item) => self.blocks(|pass| pass.skip(item))?,
            Kind::Map(value, _) => self.blocks(|pass| {
                pass.text()?;
                pass.skip(value)
            })?,
        }
        Ok(())
    }
}
