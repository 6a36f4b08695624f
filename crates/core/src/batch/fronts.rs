//! How far a stream had come at the start of each of its parts.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::error::BatchError;
use super::scan::Scan;
use crate::event::EventKind;
use crate::intake::{Intake, Setup};
use crate::policy::Policy;
use crate::window::front::Front;
use crate::window::front::run::{Course, Run, StepUnknown};

/// Takes the times of a part one by one, each with what tells its event from others.
pub type EachTime<'a> = &'a mut dyn FnMut(i64, Option<u64>) -> ControlFlow<()>;

/// The front of a stream that has not begun.
pub(super) fn front(policy: &Arc<Policy>, kind: EventKind, future: i64) -> Front {
    let mut intake = Intake::new(Arc::clone(policy), Setup::default());
    let source = intake.add_source(kind, future, None);
    intake.front(source).cloned().unwrap_or_else(|| Front::new(future, None))
}

/// The front at the start of each part, and behind the last.
pub(super) fn fronts(
    parts: &[&Scan],
    begin: &Front,
    times: &mut dyn FnMut(&Scan, EachTime<'_>) -> Result<(), String>,
) -> Result<Vec<Front>, BatchError> {
    match course(parts, begin, true, times)? {
        Ok(fronts) => Ok(fronts),
        // Steps are so long that each one has to be seen.
        Err(StepUnknown) => course(parts, begin, false, times)?.map_err(|StepUnknown| {
            BatchError::Input("the step of a front is not known although all were seen".to_owned())
        }),
    }
}

fn course(
    parts: &[&Scan],
    begin: &Front,
    passing: bool,
    times: &mut dyn FnMut(&Scan, EachTime<'_>) -> Result<(), String>,
) -> Result<Result<Vec<Front>, StepUnknown>, BatchError> {
    let mut course = Course::of(begin.clone());
    let mut fronts = vec![begin.clone()];
    for scan in parts {
        let Some(run) = &scan.run else {
            fronts.push(course.front().clone());
            continue;
        };
        if !passing || !course.pass(run) {
            let (mut unknown, mut so_far, mut rows) = (None, None, 0_u64);
            let each = &mut |ts: i64, key: Option<u64>| {
                if let Err(e) = course.take(ts, || key) {
                    unknown = Some(e);
                    return ControlFlow::Break(());
                }
                rows += 1;
                let seen = Run::with(so_far, ts);
                so_far = Some(seen);
                let passed = passing && course.pass_rest(run, &seen);
                if passed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            times(scan, each).map_err(BatchError::Changed)?;
            if let Some(unknown) = unknown {
                return Ok(Err(unknown));
            }
            if !passing && rows != scan.rows {
                let name = &scan.split.name;
                return Err(BatchError::Changed(format!(
                    "{name} has {rows} events, and had {} when it was scanned",
                    scan.rows
                )));
            }
        }
        fronts.push(course.front().clone());
    }
    Ok(Ok(fronts))
}
