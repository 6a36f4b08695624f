//! The thread that puts days in order: those that are over become Parquet files, those that are too old go, and the store has what the folder has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::days::Days;
use super::remote::Remote;
use super::{HistoryError, Options};
use crate::clock::wait;
use crate::telemetry::events::history::DayFailed;
use crate::view::Shared;
use crate::view::failing::Part;

/// Between two looks at the days.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks whether it is over.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks for what the store has.
const EXCHANGE: Duration = Duration::from_secs(600);

/// The thread that puts days in order.
pub struct Keeper {
    pub options: Arc<Options>,
    pub exchange: Arc<RwLock<()>>,
    pub remote: Option<Remote>,
    pub view: Shared,
    pub is_over: Arc<AtomicBool>,
}

impl Keeper {
    /// Looks at the days until it is over.
    pub fn run(&self) {
        let days = Days { options: &self.options, exchange: &self.exchange, remote: self.remote.as_ref() };
        let mut exchanged: Option<Instant> = None;
        let mut fails = false;
        while !self.is_over.load(Ordering::Relaxed) {
            let is_due = exchanged.is_none_or(|at| at.elapsed() >= EXCHANGE);
            let done = self.turn(&days, is_due);
            if is_due {
                exchanged = Some(Instant::now());
            }
            let failed_before = std::mem::replace(&mut fails, done.is_err());
            match done {
                Ok(()) => self.view.works(&Part::HistoryDays),
                Err(e) => {
                    if !failed_before {
                        DayFailed { error: &e }.emit();
                    }
                    self.view.fails(Part::HistoryDays, e.to_string());
                }
            }
            wait(LOOK, TICK, || self.is_over.load(Ordering::Relaxed));
        }
    }

    fn turn(&self, days: &Days<'_>, exchange: bool) -> Result<(), HistoryError> {
        for model in days.models()? {
            days.compact(&model)?;
            days.delete_old(&model)?;
        }
        let size = days.size()?;
        if let Some(history) = &mut self.view.write().history {
            (history.bytes, history.days) = (size.bytes, size.days);
        }
        if exchange { days.exchange_with_store() } else { Ok(()) }
    }
}
