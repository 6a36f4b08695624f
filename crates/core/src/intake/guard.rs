//! Which names of versions the intake takes on, and which versions' baselines events wait for.

use super::names::Translation;
use super::newcomers::{Newcomers, Refused};
use super::starts::Cause;
use super::versions::Version;
use super::{DecoderId, Intake};
use crate::event::{EventKind, Fresh, code};

/// So many versions that are not registered are counted at a time.
pub const MOST_LIVE: usize = 1000;

impl Version {
    /// Counted without being registered.
    fn is_uninvited(&self) -> bool {
        !self.registered && self.last_ts.max(self.measured_ts).is_some() && !self.known.spec.layouts.is_empty()
    }
}

impl Intake {
    /// Names of versions are taken on by this rule from now on.
    pub fn guard(&mut self, newcomers: Newcomers) {
        self.newcomers = Some(newcomers);
    }

    /// Takes over what a batch's codes mean for the first time, and translates its versions.
    pub(super) fn learn_names(&mut self, decoder: DecoderId, fresh: &mut Fresh, versions: &mut [u32]) {
        let is_guarded = self.newcomers.is_some();
        let Some(t) = self.translations.get_mut(decoder.0) else { return };
        t.learn(&mut self.names, fresh, is_guarded);
        let refuses = t.refuses();
        if refuses {
            self.choose(decoder, versions);
        }
        let Some(t) = self.translations.get_mut(decoder.0) else { return };
        t.translate_versions(versions);
        if let Some(newcomers) = self.newcomers.as_mut().filter(|_| refuses) {
            newcomers.refused.events += versions.iter().filter(|v| **v == code::OVERFLOW).count() as u64;
        }
    }

    /// Decides over the names of a batch that are not known.
    fn choose(&mut self, decoder: DecoderId, versions: &[u32]) {
        let (Some(mut newcomers), Some(t)) = (self.newcomers.take(), self.translations.get(decoder.0)) else { return };
        let now = (newcomers.clock)();
        let fresh = t.undecided();
        let again = t.refused_in(versions);
        let registered = if fresh.is_empty() { None } else { newcomers.registry.registered(&self.policy.model) };
        let registered = registered.unwrap_or_default();
        let is_fresh = fresh.len();
        for (at, name) in fresh.into_iter().chain(again).enumerate() {
            let is_registered = registered.contains(&*name);
            let has_room = || self.versions.iter().filter(|v| v.is_uninvited()).count() < MOST_LIVE;
            let is_known = is_registered || self.names.version_code(&name).is_some();
            if is_known || (newcomers.has_place(now) && has_room() && newcomers.take_place(now)) {
                self.take_on(&name, is_registered);
            } else if at >= is_fresh {
                newcomers.comes_again(name);
            } else if !self.is_refused_elsewhere(decoder, &name) {
                newcomers.refuse(name);
            }
        }
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.decided();
        }
        self.newcomers = Some(newcomers);
    }

    fn is_refused_elsewhere(&self, decoder: DecoderId, name: &str) -> bool {
        self.translations.iter().enumerate().any(|(at, t)| at != decoder.0 && t.is_refused(name))
    }

    /// Up to which time events of versions were not taken on, for the next process, which does not know whose they were.
    pub(super) fn refused_to(&self) -> Option<i64> {
        let now = self.newcomers.as_ref().is_some_and(|newcomers| newcomers.refused.events > 0);
        let reached = self.sources.iter().filter_map(|s| s.front.claimed()).max();
        if now { reached.max(self.refused_before) } else { self.refused_before }
    }

    /// Takes on a version: its events count from here on.
    pub fn take_on(&mut self, version: &str, registered: bool) {
        let is_new = self.names.version_code(version).is_none();
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        let missed = self.translations.iter_mut().fold(false, |missed, t| t.take_on(version, at) | missed);
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.registered |= registered;
            if let Some(ts) = self.refused_before.filter(|_| is_new) {
                EventKind::ALL
                    .into_iter()
                    .for_each(|kind| v.known.starts.raise(kind, ts.saturating_add(1), Cause::Refused));
                self.stale = true;
            }
        }
        if missed {
            self.begin_version(at, Cause::Refused);
        }
    }

    /// A version is registered.
    pub fn note_registered(&mut self, version: &str) {
        if let Some(v) = self.names.version_code(version).and_then(|at| self.versions.get_mut(at as usize)) {
            v.registered = true;
        } else if self.translations.iter().any(|t| t.is_refused(version)) {
            self.take_on(version, true);
        }
    }

    /// Whether a version is known to be registered.
    #[must_use]
    pub fn is_registered(&self, version: &str) -> bool {
        self.names.version_code(version).and_then(|at| self.versions.get(at as usize)).is_some_and(|v| v.registered)
    }

    /// The next of the refused names whose snapshot is to be looked for.
    pub fn next_sought(&mut self) -> Option<Box<str>> {
        let newcomers = self.newcomers.as_mut()?;
        while let Some(name) = newcomers.sought.pop_front() {
            if self.translations.iter().any(|t: &Translation| t.is_refused(&name)) {
                return Some(name);
            }
        }
        None
    }

    /// What was not taken on.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.newcomers.as_ref().map_or_else(Refused::default, |newcomers| newcomers.refused)
    }

    /// Whether events wait for the baseline of a version: for a registered one always where that holds up no other model, else
    /// while there is patience.
    pub fn waits_for(&mut self, version: &str) -> bool {
        let registered = self.is_registered(version);
        match &mut self.newcomers {
            Some(newcomers) if !registered => newcomers.waits.for_one(version, (newcomers.clock)()),
            Some(Newcomers { shared: Some(waits), clock, .. }) => waits.for_one(version, clock()),
            _ => true,
        }
    }

    /// A version's reference is there, or it is not waited for any more.
    pub(super) fn wait_ended(&mut self, version: &str) {
        if let Some(newcomers) = &mut self.newcomers {
            let now = (newcomers.clock)();
            newcomers.waits.end(version, now);
            newcomers.shared.iter_mut().for_each(|waits| waits.end(version, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::newcomers::{PATIENCE, Registered};
    use super::*;

    struct One;

    impl Registered for One {
        fn registered(&self, _: &str) -> Option<BTreeSet<String>> {
            Some(["known".to_owned()].into())
        }
    }

    const POLICY: &str = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: s.csv}\nfeatures: {numeric: [x], categorical: []}\n\
                          min_samples: 1\nchecks: {g: {window: {size: 10s, slide: 10s}, rules: [{psi: {of: [x], lt: 1}}]}}\n";

    /// What the codes of a batch with these new names and codes come to.
    fn learn(intake: &mut Intake, decoder: DecoderId, names: &[&str], codes: &[u32]) -> Vec<Option<String>> {
        let mut fresh: Fresh = names.iter().map(|&name| (crate::event::Domain::Version, name.into())).collect();
        let mut versions = codes.to_vec();
        intake.learn_names(decoder, &mut fresh, &mut versions);
        versions.iter().map(|v| intake.names().version(*v).map(str::to_owned)).collect()
    }

    #[test]
    fn names_are_taken_on_as_far_as_there_is_room_and_registered_ones_always() {
        let policy = crate::policy::parse(POLICY, std::path::Path::new("p.yaml")).unwrap();
        let mut intake = Intake::new(Arc::new(policy), super::super::Setup::default());
        intake.guard(Newcomers::new(1, Arc::new(One), Instant::now));
        let (a, b) = (intake.add_decoder(), intake.add_decoder());
        let some = |name: &str| Some(name.to_owned());
        let found = learn(&mut intake, a, &["first", "second", "known"], &[0, 1, 2, 1]);
        assert_eq!(found, [some("first"), None, some("known"), None]);
        assert_eq!(intake.refused(), Refused { names: 1, events: 2 });
        // Another partition meets the same names: none is counted twice.
        assert_eq!(learn(&mut intake, b, &["second", "first", "third"], &[0, 1, 2]), [None, some("first"), None]);
        assert_eq!(intake.refused(), Refused { names: 2, events: 4 });
        // One that comes again is looked for first, and one that is registered is known to all partitions from then on.
        assert_eq!(learn(&mut intake, b, &[], &[2]), [None]);
        assert_eq!(intake.next_sought().as_deref(), Some("third"));
        intake.note_registered("second");
        assert!(intake.is_registered("second"));
        assert_eq!(learn(&mut intake, a, &[], &[1]), [some("second")]);
        assert_eq!(learn(&mut intake, b, &[], &[0, 2]), [some("second"), None]);
        intake.pin("third", true);
        assert_eq!(learn(&mut intake, b, &[], &[2]), [some("third")]);
    }

    #[test]
    fn a_registered_version_is_waited_for_as_long_as_that_holds_up_no_other_model_for_long() {
        let policy = Arc::new(crate::policy::parse(POLICY, std::path::Path::new("p.yaml")).unwrap());
        for shares in [false, true] {
            let mut intake = Intake::new(Arc::clone(&policy), super::super::Setup::default());
            intake.guard(Newcomers::new(1, Arc::new(One), Instant::now).sharing(shares));
            intake.take_on("known", true);
            assert!(intake.is_registered("known") && intake.waits_for("known"));
            // A minute later.
            let long_ago = Instant::now().checked_sub(PATIENCE).unwrap();
            if let Some(waits) = intake.newcomers.as_mut().and_then(|n| n.shared.as_mut()) {
                waits.since = long_ago;
            }
            assert_eq!(intake.waits_for("known"), !shares);
            intake.wait_ended("known");
            intake.take_on("next", true);
            assert_eq!(intake.waits_for("next"), !shares);
        }
    }
}
