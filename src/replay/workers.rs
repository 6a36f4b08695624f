//! The workers of a replay: each takes what the schedule says is next, until the files have ended. What is reported goes
//! through notes, which the calling thread hands on, or the worker that adds to them when they are many.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};

use super::baseline::reference;
use super::error::ReplayError;
use super::ordered::Ordered;
use super::remarks::Findings;
use super::report::{Event, Report};
use super::schedule::{self, Schedule, Task};
use driftgate_core::evaluate::Judgement;
use driftgate_core::intake::Intake;
use driftgate_core::intake::job::Job;
use driftgate_core::pipeline::{Pipeline, lock};

/// At most so many notes wait to be reported.
const MOST_NOTES: usize = 32;

/// Decodes a piece that was taken, as number so many.
pub(super) type Decode<'a> = Box<dyn FnOnce(u64) -> Result<(), ReplayError> + 'a>;

/// What a worker does with a stream, whatever its events.
pub(super) trait Stream: Send + Sync {
    /// Takes the next piece out of the file; `None` at its end. The function that comes back decodes it.
    fn take(&self, worker: usize) -> Result<Option<Decode<'_>>, ReplayError>;

    /// Admits the first waiting batch of piece `number`; the function that comes back counts it. Says how far the stream has
    /// come, and whether the piece has no more batches.
    fn admit<'a>(&'a self, run: &'a Run<'_>, worker: usize, number: u64, job: Job)
    -> Result<Admitted<'a>, ReplayError>;

    /// Tells the pipeline that there is no more.
    fn end(&self, pipeline: &Pipeline);

    /// Whether a batch of piece `number` waits.
    fn has(&self, number: u64) -> bool;

    fn bytes_read(&self) -> u64;

    /// What is worth saying of the file, once it was read.
    fn findings(&self) -> Findings;

    /// How many pieces are worth having in memory, beside those in hand.
    fn spare_pieces(&self) -> u64;
}

/// An admitted batch.
pub(super) struct Admitted<'a> {
    pub reached: Option<i64>,
    /// The piece has no more batches.
    pub last: bool,
    /// Counts it, and gives the job back.
    pub count: Box<dyn FnOnce() -> Job + 'a>,
}

/// A replay under way.
pub(super) struct Run<'o> {
    pub pipeline: Pipeline,
    schedule: Mutex<Schedule>,
    changed: Condvar,
    notes: Mutex<VecDeque<Event>>,
    ordered: Mutex<Ordered>,
    failed: Mutex<Option<ReplayError>>,
    pub report: Mutex<Report<'o>>,
    workers: usize,
}

impl<'o> Run<'o> {
    pub fn new(pipeline: Pipeline, lanes: &[Box<dyn Stream>], workers: usize, report: Report<'o>) -> Self {
        let of_streams = lanes.iter().map(|lane| schedule::Lane::new(workers, lane.spare_pieces()));
        Self {
            pipeline,
            schedule: Mutex::new(Schedule::new(of_streams.collect())),
            changed: Condvar::new(),
            notes: Mutex::default(),
            ordered: Mutex::default(),
            failed: Mutex::default(),
            report: Mutex::new(report),
            workers,
        }
    }

    pub fn note(&self, note: Event) {
        lock(&self.notes).push_back(note);
    }

    /// Reports the notes so far to the observer.
    ///
    /// # Errors
    /// What ends the replay.
    pub fn tell(&self) -> Result<(), ReplayError> {
        // Held throughout, so that what two workers report stays in order.
        let mut told = lock(&self.report);
        loop {
            let Some(note) = lock(&self.notes).pop_front() else { return Ok(()) };
            told.take(note)?;
        }
    }

    /// Loads a version's baseline.
    pub fn load(&self, intake: &mut Intake, version: &str) {
        let found = reference(&self.pipeline.policy, version, None, self.workers);
        self.note(Event::Reference(version.to_owned(), found.clone()));
        intake.set_reference(version, found);
    }

    /// Works until there is nothing left to do. `between` is called now and then; what it says ends the replay.
    pub fn work(&self, worker: usize, lanes: &[Box<dyn Stream>], mut between: impl FnMut() -> Result<(), ReplayError>) {
        // Whatever ends this worker ends the others.
        let _stop = StopOthers(self);
        let mut job = Job::default();
        let mut schedule = lock(&self.schedule);
        loop {
            let done = match schedule.task() {
                Task::Done => return,
                Task::Wait => {
                    schedule = self.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner);
                    drop(schedule);
                    between()
                }
                Task::Decode(at) => {
                    schedule.lanes.get_mut(at).into_iter().for_each(|l| l.taking = true);
                    drop(schedule);
                    self.decode(worker, at, lanes).and_then(|()| between())
                }
                Task::Admit(at) => {
                    let number = schedule.lanes.get(at).map_or(0, |l| l.next);
                    schedule.admitting = true;
                    let passed = schedule.passed(at);
                    drop(schedule);
                    passed.iter().filter_map(|at| lanes.get(*at)).for_each(|lane| lane.end(&self.pipeline));
                    self.admit(worker, at, number, lanes, &mut job).and_then(|()| between())
                }
            };
            if let Err(e) = done {
                lock(&self.failed).get_or_insert(e);
                return;
            }
            schedule = lock(&self.schedule);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Schedule)) {
        change(&mut lock(&self.schedule));
        self.changed.notify_all();
    }

    fn decode(&self, worker: usize, at: usize, lanes: &[Box<dyn Stream>]) -> Result<(), ReplayError> {
        let Some(lane) = lanes.get(at) else { return Ok(()) };
        let taken = lane.take(worker)?;
        let mut number = 0;
        self.change(|schedule| {
            if let Some(l) = schedule.lanes.get_mut(at) {
                l.taking = false;
                number = l.taken;
                l.taken += u64::from(taken.is_some());
                l.ended = taken.is_none();
            }
        });
        if let Some(decode) = taken {
            decode(number)?;
            self.change(|schedule| {
                if let Some(l) = schedule.lanes.get_mut(at).filter(|l| l.next == number) {
                    l.ready = true;
                }
            });
        }
        Ok(())
    }

    fn admit(
        &self,
        worker: usize,
        at: usize,
        number: u64,
        lanes: &[Box<dyn Stream>],
        job: &mut Job,
    ) -> Result<(), ReplayError> {
        let Some(lane) = lanes.get(at) else { return Ok(()) };
        let admitted = lane.admit(self, worker, number, std::mem::take(job))?;
        self.change(|schedule| {
            schedule.admitting = false;
            if let Some(l) = schedule.lanes.get_mut(at) {
                l.reached = l.reached.max(admitted.reached);
                if admitted.last {
                    l.next += 1;
                    l.ready = lane.has(l.next);
                }
            }
        });
        *job = (admitted.count)();
        self.judge()
    }

    fn judge(&self) -> Result<(), ReplayError> {
        let mut failed = Ok(());
        self.pipeline.judge(&mut |judged, closed_to| match self.give(judged, closed_to) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failed = Err(e);
                ControlFlow::Break(())
            }
        });
        failed
    }

    /// Takes over what was judged, and tells what is in its place then: whoever judges does not run ahead of what is written.
    fn give(&self, judged: Judgement, closed_to: i64) -> Result<(), ReplayError> {
        {
            let mut ordered = lock(&self.ordered);
            ordered.take(judged);
            let mut notes = lock(&self.notes);
            while let Some((verdict, signals)) = ordered.next(closed_to) {
                notes.push_back(Event::Verdict(verdict, signals));
            }
            if notes.len() < MOST_NOTES {
                return Ok(());
            }
        }
        self.tell()
    }

    /// The end of the files: what is left is judged.
    ///
    /// # Errors
    /// What made a worker stop.
    pub fn finish(&self) -> Result<(), ReplayError> {
        if let Some(e) = lock(&self.failed).take() {
            return Err(e);
        }
        let mut failed = Ok(());
        self.pipeline.finish(&mut |judged, closed_to| {
            if failed.is_ok() {
                failed = self.give(judged, closed_to);
            }
        });
        failed?;
        self.give(Judgement::default(), i64::MAX)
    }
}

/// Stops the other workers when one ends, be it by a panic.
struct StopOthers<'a, 'o>(&'a Run<'o>);

impl Drop for StopOthers<'_, '_> {
    fn drop(&mut self) {
        self.0.change(|schedule| schedule.stopped = true);
    }
}
