//! Several processes count different units at the same time: one that joins gets a share, one that leaves gives its own to others, and what stays
//! where it is goes on meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::claims::{Claim, Watch};
use super::fleet::{Fleet, Guard, Mode, Site};
use super::oracle;
use super::stream::Stream;
use crate::broker::{brokers, wait_for};

/// Between two commits of a unit that goes on: they are made every second, and the machine may be busy.
const NO_PAUSE: Duration = Duration::from_millis(3500);

struct Shared {
    fleet: Arc<Fleet>,
    watch: Watch,
    _guard: Guard,
}

impl Shared {
    fn new(name: &str, names: &[&str]) -> Self {
        let prefix = format!("{name}-{:x}-{:x}.", std::process::id(), crate::kafka::now_ms());
        let fleet = Fleet::new(Site::new(brokers(), prefix, Mode::Models), names);
        fleet.site.make_internal_topics(&format!("{}.yaml", names[0]));
        let watch = Watch::start(fleet.site.claims());
        let guard = Guard(Arc::clone(&fleet));
        Self { fleet, watch, _guard: guard }
    }

    fn last(&self) -> Vec<Option<Claim>> {
        (0..self.fleet.site.slots() as u32).map(|slot| self.watch.last(slot)).collect()
    }

    /// The owner of each slot, once each has one of these processes, and each of these has one.
    fn divided(&self, among: &[usize]) -> BTreeMap<u32, usize> {
        wait_for("everything to be divided", || {
            let owner = |claim: &Option<Claim>| self.fleet.of_writer(&claim.as_ref()?.writer);
            let owners: BTreeMap<u32, usize> =
                (0..).zip(self.last()).map(|(slot, claim)| Some((slot, owner(&claim)?))).collect::<Option<_>>()?;
            let shares = |i: &usize| owners.values().filter(|of| *of == i).count();
            let (all, each) = (owners.len(), owners.len() / among.len());
            let is_divided = among.iter().map(shares).sum::<usize>() == all && among.iter().all(|i| shares(i) >= each);
            is_divided.then_some(owners)
        })
    }

    /// Every unit is committed by the owner that it has, twice at least from now on.
    fn all_count(&self, owners: &BTreeMap<u32, usize>) {
        let before = self.last();
        wait_for("commits of every unit", || {
            let now = self.last();
            (1..self.fleet.site.slots())
                .all(|slot| {
                    let (Some(before), Some(now)) = (&before[slot], &now[slot]) else { return false };
                    now.seq >= before.seq + 2 && self.fleet.of_writer(&now.writer) == Some(owners[&(slot as u32)])
                })
                .then_some(())
        });
    }

    /// The longest time between two claims to a slot that one process made since `at`, up to now.
    fn longest_pause(&self, slot: u32, at: Instant) -> Duration {
        let seen: Vec<Instant> =
            self.watch.of(slot, |notes| notes.seen.iter().map(|(seen, _)| *seen).filter(|seen| *seen > at).collect());
        let ends = seen.iter().copied().chain([Instant::now()]);
        [at].into_iter().chain(seen.iter().copied()).zip(ends).map(|(one, next)| next - one).max().unwrap_or_default()
    }

    fn takeovers(&self, i: usize) -> f64 {
        self.fleet.metric(i, "driftgate_cluster_takeovers_total").unwrap_or(-1.0)
    }

    fn assert_replayed(&self, stream: &Stream) {
        let site = &self.fleet.site;
        let expected = oracle::replayed(&site.folder, stream);
        for (topic, expected, key) in
            [("verdicts", &expected.verdicts, "verdict_id"), ("signals", &expected.signals, "signal_id")]
        {
            let topic = site.topic(topic);
            let compared = || oracle::compare(expected, &oracle::read_committed(&site.brokers, &topic), key);
            wait_for(&topic, || compared().missing.is_empty().then_some(()));
            assert!(compared().is_none(), "{topic}: {}", compared().told(expected.len()));
        }
    }
}

#[test]
fn a_process_that_joins_gets_a_share_and_one_that_leaves_gives_it_to_others_who_go_on() {
    let shared = Shared::new("sharing", &["a", "b", "c"]);
    let fleet = &shared.fleet;
    fleet.start(0);
    fleet.wait_until_ready(0);
    let alone = shared.divided(&[0]);
    assert!(alone.values().all(|owner| *owner == 0));
    let stream = Stream::new(11, 60);
    let hurry = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publish = || stream.publish(&fleet.site.brokers, &fleet.site.prefix, &|| hurry.load(Ordering::Relaxed));
        scope.spawn(publish);
        shared.all_count(&alone);

        // Two join: each gets a share, and all count at once.
        fleet.start(1);
        fleet.wait_until_ready(1);
        let owners = shared.divided(&[0, 1]);
        println!("of two: {owners:?}");
        shared.all_count(&owners);
        fleet.start(2);
        fleet.wait_until_ready(2);
        let owners = shared.divided(&[0, 1, 2]);
        println!("of three: {owners:?}");
        shared.all_count(&owners);

        // One leaves: what it had is others' within seconds, and the rest goes on as if nothing was.
        let leaves = owners[&3];
        let stay: Vec<u32> =
            owners.iter().filter(|(slot, i)| **i != leaves && **slot > 0).map(|(slot, _)| *slot).collect();
        let before: Vec<f64> = (0..3).map(|i| shared.takeovers(i)).collect();
        let at = Instant::now();
        assert_eq!(fleet.stop(leaves), Some(0));
        let rest: Vec<usize> = (0..3).filter(|i| *i != leaves).collect();
        let after = wait_for("what it had to be others'", || {
            let owners: Option<BTreeMap<u32, usize>> =
                (0..).zip(shared.last()).map(|(slot, claim)| Some((slot, fleet.of_writer(&claim?.writer)?))).collect();
            owners.filter(|owners| owners.values().all(|i| rest.contains(i)))
        });
        let moved = at.elapsed();
        shared.all_count(&after);
        println!("moved within {moved:?}: {after:?}");
        assert!(moved < Duration::from_secs(15), "{moved:?}");
        for slot in stay {
            assert_eq!(after[&slot], owners[&slot], "slot {slot} stays where it was");
            let pause = shared.longest_pause(slot, at);
            println!("slot {slot} stays, longest pause {pause:?}");
            assert!(pause < NO_PAUSE, "slot {slot}: {pause:?}");
        }
        // Nobody was started again, and each took over what it got, and nothing else.
        assert_eq!(fleet.ended(), [0, 0, 0]);
        let got = |i: usize| after.iter().filter(|(slot, of)| **of == i && owners[*slot] != i).count();
        for i in rest {
            assert_eq!(shared.takeovers(i), before[i] + got(i) as f64, "{}", fleet.members[i].name);
        }
        hurry.store(true, Ordering::Relaxed);
    });
    shared.assert_replayed(&stream);
    (0..3)
        .filter(|i| fleet.wanted(*i) == super::fleet::Wanted::Running)
        .for_each(|i| assert_eq!(fleet.stop(i), Some(0)));
}
