//! Verdicts and signals from all that was counted: as a replay judges at the end of its files.

use std::sync::Arc;

use super::error::BatchError;
use super::partial::{Against, Partial};
use crate::event::{Domain, EventKind, Fresh, Limits};
use crate::intake::panes::Panes;
use crate::intake::versions::Reference;
use crate::intake::{Intake, Setup};
use crate::pipeline::Pipeline;
use crate::policy::Policy;

/// Why a replay of the same would judge nothing: no version has a baseline.
#[must_use]
pub fn reason_for_none(policy: &Policy, intake: &Intake) -> bool {
    let predicted = || intake.versions().filter(|(.., v)| !matches!(v.reference(), Reference::Unknown));
    policy.measured.is_empty() && predicted().next().is_some() && predicted().all(|(.., v)| v.baseline().is_none())
}

/// A pipeline that stands where a replay does once it has read its files. `load` gives the reference of a version.
///
/// # Errors
/// Parts that are missing, and counts that were made against another baseline.
pub fn judge(
    policy: &Arc<Policy>,
    partial: Partial,
    limits: Limits,
    load: &mut dyn FnMut(&str) -> Reference,
) -> Result<Pipeline, BatchError> {
    partial.check_complete()?;
    let plan = &partial.plan;
    let mut intake = Intake::new(Arc::clone(policy), Setup { limits, ..Setup::default() });
    intake.join_elsewhere(crate::intake::repeats::Repeats::default());
    intake.know_names(&names(&partial));
    for (at, (version, predicted)) in (0_u32..).zip(&plan.versions) {
        if !predicted {
            intake.lay_out(version);
            continue;
        }
        let reference = load(version);
        let found = match &reference {
            Reference::Baseline { sha256, .. } => Against::Baseline(sha256.to_string()),
            _ => Against::Nothing,
        };
        if partial.against.get(&at).is_some_and(|counted| *counted != found) {
            return Err(BatchError::foreign("the partial", format!("against another baseline of version {version:?}")));
        }
        intake.set_reference(version, reference);
    }
    for kind in EventKind::ALL {
        if let Some(front) = plan.ends.of(kind) {
            intake.add_source(kind, front.tolerance(), Some(front.clone()));
        }
    }
    let layouts = intake.known();
    let mut panes = Panes::default();
    for ((version, group, pane), sealed) in partial.panes {
        let layout = layouts.get(version as usize).and_then(|known| known.spec.layout(group as usize));
        // The first pane of a time zone may begin before the epoch.
        let window = policy.groups.get(group as usize).map(|g| g.window);
        let in_time = window.is_some_and(|w| w.end(pane) > 0 && w.start(pane) < i64::MAX / 4);
        if !in_time
            || layout
                .is_none_or(|layout| layout.total != sealed.cells() || layout.segmentations != sealed.segmentations())
        {
            return Err(BatchError::Unsound(
                "the partial, whose counts do not fit the policy and its baselines,".to_owned(),
            ));
        }
        panes.put_back(version, group as usize, pane, sealed);
    }
    Ok(Pipeline::counted(Arc::clone(policy), intake, panes))
}

/// All names, in the order of their codes.
fn names(partial: &Partial) -> Fresh {
    let mut all = partial.plan.names();
    let of = |lists: &[Vec<String>], domain: fn(usize) -> Domain, all: &mut Fresh| {
        for (at, list) in lists.iter().enumerate() {
            all.extend(list.iter().map(|name| (domain(at), name.as_str().into())));
        }
    };
    of(&partial.names.segments, Domain::Segmentation, &mut all);
    of(&partial.names.categories, Domain::Categorical, &mut all);
    all
}
