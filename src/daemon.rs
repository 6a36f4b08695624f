//! The daemon: a configuration becomes running parts, and these end in order. `run` composes them; `control` stops it.
//!
//! | module | holds |
//! |---|---|
//! | `options`, `control`, `threads` | what it is started with; stop and reload; what the daemon waits for at its end |
//! | `base`, `counting`, `clustered` | what is opened first; one run from a checkpoint; a process among several |
//! | `policies`, `sources` | the files it is started with; the configuration as decoders take it |
//! | `topics`, `starts`, `health`, `claim` | its inputs; where they start; whether the brokers answer; one daemon per consumer group |
//! | `loader`, `restore`, `blocks` | baselines; what a checkpoint comes to; active blocks |
//! | `engine` | the threads that read, count and judge |
//! | `rejections`, `sink_threads` | what is said of rejected messages; facts to outside systems |
//! | `serving`, `ports`, `descriptors`, `reload`, `ledger` | HTTP; files that are read again; whether the registry is the one of before |

mod base;
mod blocks;
pub mod claim;
mod clustered;
mod control;
mod counting;
pub mod descriptors;
pub mod division;
pub mod engine;
pub mod health;
pub mod ledger;
pub mod loader;
mod options;
mod policies;
mod ports;
pub mod rejections;
pub mod reload;
mod restore;
mod serving;
mod share;
pub mod sink_threads;
pub mod sources;
pub mod starts;
mod threads;
pub mod topics;

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use crate::config::Config;
use crate::http::Access;
use crate::telemetry::events::lifecycle::Stopped;
use crate::telemetry::otlp::LAST_EXPORT;
use base::Base;
use counting::Daemon;
use serving::{Seen, Serving};
use starts::Accepted;
use threads::Threads;

pub use control::{Control, End};
pub use options::Options;
pub use policies::{read_config, read_policies};
pub use restore::show;

/// How long threads that end by themselves are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);

/// Runs a daemon until `control` stops it or it gives way to another one. When this returns, its threads have ended and its files
/// are closed, but for calls to other systems that take longer than `LAST_THREADS`.
///
/// # Errors
/// A configuration, registry or state that cannot be used.
pub fn run(config: &Config, options: &Options, control: &Control) -> anyhow::Result<End> {
    known_topics(config, &options.accepted)?;
    // Sources that cannot be read are told before brokers are asked.
    config.sources.iter().try_for_each(|source| sources::wire(source, None).map(drop))?;
    let policies = read_policies(config)?;
    let kafka = config.kafka.as_ref().ok_or_else(|| {
        anyhow!("the configuration has no kafka section, so there is nothing to run; replay reads files")
    })?;
    if let Some(cluster) = &config.cluster {
        let daemon = Daemon { config, options, control, policies: &policies };
        return clustered::run(&daemon, cluster, kafka);
    }
    let access = Arc::new(Access::load(config.http.rules())?);
    let descriptors = descriptors::raise();
    let (base, checkpoint) = Base::open(config, kafka, &options.accepted)?;
    base.view.write().restoring = policies.iter().map(|policy| policy.model.clone()).collect();
    let seen = Seen { registry: &base.registry, view: &base.view, history: base.history.as_ref() };
    let serving = Serving::start(config, descriptors, access, seen, control)?;
    if let Some(export) = &options.export {
        serving.export(export, &base.view)?;
    }
    let daemon = Daemon { config, options, control, policies: &policies };
    let mut threads = Threads::default();
    let done = daemon.run(base, checkpoint, Some(serving), &mut threads);
    // Also after an error nothing goes on.
    control.stop();
    threads.join(LAST_THREADS);
    if let Some(export) = &options.export {
        export.end(LAST_EXPORT);
    }
    if matches!(done, Ok(End::Stopped)) {
        Stopped.emit();
    }
    done
}

/// A topic that is to be accepted is one that is read.
fn known_topics(config: &Config, accepted: &Accepted) -> anyhow::Result<()> {
    let topics = accepted.topics.iter().map(|a| ("--accept-new-topic", &a.topic));
    let mut named = topics.chain(accepted.gaps.iter().map(|g| ("--accept-gap", &g.topic)));
    match named.find(|(_, topic)| config.sources.iter().all(|s| s.topic != **topic)) {
        None => Ok(()),
        Some((option, topic)) => {
            let topics: Vec<&str> = config.sources.iter().map(|s| s.topic.as_str()).collect();
            Err(anyhow!("{option} names {topic:?}, which is no source's topic; they are {}", topics.join(", ")))
        }
    }
}
