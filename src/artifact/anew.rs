//! What a promotion takes of an artifact: a reading that began after the promotion was asked for. Size, times and inode of a file
//! stay while another process writes to it through a shared mapping, so that a result that is kept by them proves less.

use std::time::{Duration, Instant};

use super::Artifacts;
use super::part::shown;
use super::work::{Task, Work};
use driftgate_core::policy::Policy;
use driftgate_core::promotion::types::Recomputed;

impl Artifacts {
    /// Has artifacts on this machine read whatever is known of them, and waits so long for them.
    pub fn read_anew<'a>(&self, patience: Duration, asked: &[(&'a Policy, &'a str, &'a Task)]) {
        // A reading that is under way began before.
        self.look(patience, asked.iter().copied());
        let begin = |(policy, location, task): &(&Policy, &str, &Task)| self.begin(policy, location, task, true).ok();
        self.wait(patience, &asked.iter().filter_map(begin).collect::<Vec<_>>());
    }

    /// What is known of an artifact for a promotion that was asked for then.
    #[must_use]
    pub fn known_since(&self, policy: &Policy, location: &str, task: &Task, asked: Instant) -> Recomputed {
        let Ok(path) = self.allowed(policy, location) else { return self.known(policy, location, task) };
        let works = self.works.lock();
        let again = match works.get(&(path, task.name())) {
            // Progress is reported as ever; objects are kept by their tags and versions.
            Some(Work { under_way, last: Some(last) }) if !last.remote && last.found.is_ok() => {
                let counts = last.reading.is_some_and(|reading| reading.counts(asked));
                match under_way {
                    _ if counts => return last.recomputed(),
                    Some((_, progress)) => Some(task.say(location, progress)),
                    None => Some(format!("{} has to be read anew for the promotion: ask again", shown(location))),
                }
            }
            _ => None,
        };
        drop(works);
        again.map_or_else(|| self.known(policy, location, task), Recomputed::Computing)
    }
}
