//! The judging side of one model: sealed panes and closing lines in, verdicts and signals out. Windows are rolling sums of
//! panes. Output depends only on the policy, the baselines and the panes: no clock, no input or output.

mod active;
mod blocks;
mod evaluator;
mod outcomes;
mod references;
mod rolling;
mod signals;
mod span_sum;

pub use blocks::Blocks;
pub use evaluator::{Evaluator, Judgement};
pub use rolling::EvaluatorState;
