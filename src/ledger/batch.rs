//! What the stream hands over, as much as waits, in one transaction: all of it is on disk afterwards, or nothing, and the same
//! again changes nothing. Signals are applied in order. Of a version and group the registry keeps the last verdict, so that
//! earlier ones of the batch are passed over; but a rollout under way, and a rollback that is to be confirmed, see every window.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::gate::{RequestContext, StreamState};
use super::promotions::{automatic, follow};
use super::results;
use super::versions::keep_verdict;
use super::{rollout_rows, rollouts, signals};
use crate::artifact::PATIENCE;
use crate::telemetry::events::registry::VerdictNotFollowed;
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::fact::Fact;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::Signal;
use driftgate_core::policy::{Approvals, Policy};
use driftgate_core::promotion::version::Applied;

/// A verdict, as JSON.
#[derive(Clone, Copy, Debug)]
pub struct GivenVerdict<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub group: &'a str,
    pub end_ms: i64,
    pub json: &'a str,
}

/// Something of the stream.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    Verdict(GivenVerdict<'a>),
    Signal(&'a Signal),
}

/// What is known beside the registry.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    /// By model.
    pub policy: &'a dyn Fn(&str) -> Option<Arc<Policy>>,
    /// By model and version.
    pub live: &'a dyn Fn(&str, &str) -> StreamState,
    pub now_ms: i64,
    /// Whether verdicts wait here for their topic.
    pub queue_verdicts: bool,
    /// Where they came by the results' topic: how far it is applied with them.
    pub applied: Option<results::Applied>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    Verdict,
    Signal(Applied),
    /// It does not go with what is there, and would not later; nothing of it was done, the rest of the batch was.
    Failed(String),
}

impl Embedded {
    /// Takes verdicts and signals in one transaction; the answers are in the order of what was given.
    ///
    /// # Errors
    /// A registry that fails; nothing was taken then.
    pub fn take_all(&self, given: &[Given<'_>], stream: &Stream<'_>) -> Result<Vec<Taken>, RegistryError> {
        let versions: BTreeSet<(&str, &str)> = given
            .iter()
            .filter_map(|given| match given {
                Given::Verdict(v) => Some((v.model, v.version)),
                Given::Signal(_) => None,
            })
            .collect();
        let policies: Vec<_> = versions.iter().map(|(model, version)| ((stream.policy)(model), *version)).collect();
        let promoted = policies.iter().filter_map(|(policy, version)| Some((policy.as_deref()?, *version)));
        let promoted: Vec<_> = promoted.filter(|(policy, _)| !policy.transitions.is_empty()).collect();
        self.look_at_artifacts(PATIENCE, &promoted)?;
        self.write(stream.now_ms, |change| {
            let mut batch = Batch { change, stream, latest: BTreeMap::new(), driven: HashMap::new() };
            let taken = given.iter().map(|given| batch.take(given)).collect::<Result<_, _>>()?;
            batch.finish()?;
            if stream.queue_verdicts {
                for given in given {
                    let Given::Verdict(GivenVerdict { model, version, json, .. }) = given else { continue };
                    change.happened(&Fact::Verdict { model, version, json })?;
                }
            }
            if let Some(applied) = stream.applied {
                results::set(change, applied)?;
            }
            Ok(taken)
        })
    }
}

impl Embedded {
    /// Asks the gates again that could not answer when their rollouts asked, since an artifact was being read. Where no rollout
    /// waits so, which is nearly always, it reads a row or none.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn ask_waiting_gates(&self, stream: &Stream<'_>) -> Result<(), RegistryError> {
        for state in self.read_checked(|tx| rollouts::waiting_for_the_gate(tx))? {
            let Some(policy) = (stream.policy)(&state.model) else { continue };
            self.look_at_artifacts(PATIENCE, &[(&policy, &state.candidate)])?;
            let live = |version: &str| (stream.live)(&policy.model, version);
            let context = RequestContext { policy: &policy, live: &live, actor: DRIFTGATE, now_ms: stream.now_ms };
            self.write(stream.now_ms, |change| rollouts::ask_again(change, &context))?;
        }
        Ok(())
    }
}

/// A batch on its way into a transaction.
struct Batch<'b, 'g> {
    change: &'b Change<'b>,
    stream: &'b Stream<'b>,
    /// Verdicts that are not written yet, by model, version and group.
    latest: BTreeMap<(&'g str, &'g str, &'g str), GivenVerdict<'g>>,
    /// By model: whether something follows from each of its windows.
    driven: HashMap<&'g str, bool>,
}

impl<'g> Batch<'_, 'g> {
    fn take(&mut self, given: &Given<'g>) -> Result<Taken, RegistryError> {
        match *given {
            Given::Signal(signal) => {
                self.driven.remove(signal.model.as_str());
                self.signal(signal)
            }
            Given::Verdict(verdict) if self.is_driven(verdict.model)? => {
                self.write_latest(Some(verdict.model))?;
                self.driven.remove(verdict.model);
                self.each(&verdict)?;
                Ok(Taken::Verdict)
            }
            Given::Verdict(verdict) => {
                let GivenVerdict { model, version, group, end_ms, .. } = verdict;
                let kept = self.latest.entry((model, version, group)).or_insert(verdict);
                if kept.end_ms <= end_ms {
                    *kept = verdict;
                }
                Ok(Taken::Verdict)
            }
        }
    }

    /// Writes what is left, and promotes what may be now.
    fn finish(mut self) -> Result<(), RegistryError> {
        let versions: BTreeSet<(&str, &str)> =
            self.latest.keys().map(|(model, version, _)| (*model, *version)).collect();
        self.write_latest(None)?;
        for (model, version) in versions {
            let Some(policy) = (self.stream.policy)(model) else { continue };
            if policy.transitions.iter().any(|t| t.approvals == Approvals::Auto) {
                let promoted =
                    self.apart(|batch| batch.in_context(&policy, |context| automatic(batch.change, context, version)))?;
                if let Err(why) = promoted {
                    VerdictNotFollowed { model, version, error: &why }.emit();
                }
            }
        }
        Ok(())
    }

    /// Whether something follows from every window of a model: a rollout is under way, or a rollback waits for its
    /// confirmation.
    fn is_driven(&mut self, model: &'g str) -> Result<bool, RegistryError> {
        if let Some(driven) = self.driven.get(model) {
            return Ok(*driven);
        }
        let driven = rollout_rows::is_active(self.change, model)?
            || self.change.prepare_cached("SELECT 1 FROM pending_rollbacks WHERE model = ?1")?.exists([model])?;
        self.driven.insert(model, driven);
        Ok(driven)
    }

    /// Writes the verdicts that wait, of one model or of all.
    fn write_latest(&mut self, model: Option<&str>) -> Result<(), RegistryError> {
        let (now, later) = std::mem::take(&mut self.latest)
            .into_iter()
            .partition(|((m, ..), _)| model.is_none_or(|model| *m == model));
        self.latest = later;
        let now: BTreeMap<_, GivenVerdict<'g>> = now;
        now.values().try_for_each(|verdict| self.keep(verdict))
    }

    fn keep(&self, verdict: &GivenVerdict<'_>) -> Result<(), RegistryError> {
        let GivenVerdict { model, version, group, end_ms, json } = *verdict;
        Ok(keep_verdict(self.change, model, version, group, end_ms, json)?)
    }

    /// A verdict that something follows from.
    fn each(&self, verdict: &GivenVerdict<'_>) -> Result<(), RegistryError> {
        let Some(policy) = (self.stream.policy)(verdict.model) else { return self.keep(verdict) };
        let GivenVerdict { model, version, .. } = *verdict;
        let followed = match verdict_from_json(verdict.json) {
            Ok(read) => self.apart(|batch| {
                batch.in_context(&policy, |context| follow(batch.change, context, &read, verdict.json))
            })?,
            Err(e) => {
                let why = e.to_string();
                let paused = self.apart(|batch| {
                    batch.in_context(&policy, |context| rollouts::pause_unread(batch.change, context, version, &why))
                })?;
                paused.and(Err(why))
            }
        };
        if let Err(why) = followed {
            VerdictNotFollowed { model, version, error: &why }.emit();
            self.keep(verdict)?;
        }
        Ok(())
    }

    fn signal(&self, signal: &Signal) -> Result<Taken, RegistryError> {
        Ok(self.apart(|batch| signals::apply(batch.change, signal))?.map_or_else(Taken::Failed, Taken::Signal))
    }

    fn in_context<T>(&self, policy: &Policy, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let live = |version: &str| (self.stream.live)(&policy.model, version);
        work(&RequestContext { policy, live: &live, actor: DRIFTGATE, now_ms: self.stream.now_ms })
    }

    /// Does something as a whole or not at all; where it does not go with what is there, why.
    fn apart<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RegistryError>,
    ) -> Result<Result<T, String>, RegistryError> {
        self.change.execute_batch("SAVEPOINT one")?;
        let (done, end) = match work(self) {
            Ok(done) => (Ok(done), "RELEASE one"),
            Err(e @ RegistryError::Sql(_)) => return Err(e),
            Err(e) => (Err(e.to_string()), "ROLLBACK TO one; RELEASE one"),
        };
        self.change.execute_batch(end)?;
        Ok(done)
    }
}
