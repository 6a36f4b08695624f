//! Everything together: processes, events, people and faults; then what they say, held against the replay.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::claims::{Claim, Watch};
use super::fleet::{Fleet, Guard, Mode, Site, Supervisor};
use super::oracle::{self, Expected, Kept};
use super::people::{self, People, Said};
use super::schedule::{self, Fault};
use super::stream::{PARTITIONS, Stream, TOPICS};
use crate::faults::own_broker::OwnBrokers;
use crate::support::Random;

/// What is done to whom.
pub struct Chaos {
    pub seed: u64,
    /// SIGKILLs at least.
    pub kills: usize,
    /// Names of the processes.
    pub names: &'static [&'static str],
    pub mode: Mode,
    /// A broker is killed, too, so often at least.
    pub broker_kills: usize,
    /// Brokers, where they are killed: one, or three.
    pub brokers: usize,
    /// The first process is cut off from the broker in one direction, so often at least; then no broker is killed.
    pub cuts: usize,
}

/// Seconds of the stream for each kill.
const SECONDS_EACH: usize = 4;

/// A seed from the environment, or from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("DRIFTGATE_SIMULATION_SEED").ok().and_then(|s| s.parse().ok());
    given.unwrap_or_else(|| crate::kafka::now_ms().unsigned_abs())
}

/// Looks at the owners' state folders meanwhile: positions never go back, whoever counts.
struct Positions {
    wrong: Vec<String>,
    /// By slot.
    last: BTreeMap<u32, Kept>,
}

impl Positions {
    fn look(&mut self, fleet: &Fleet, watch: Option<&Watch>) {
        for slot in 1..fleet.site.slots() as u32 {
            let owner = || {
                let Some(watch) = watch else { return Some((0, String::new())) };
                let claim = watch.last(slot).filter(|c| !c.is_released)?;
                Some((fleet.of_writer(&claim.writer)?, claim.folder().to_owned()))
            };
            let Some((i, folder)) = owner() else { continue };
            let Some(kept) = fleet.kept(i, &folder) else { continue };
            // It was the owner's all the time.
            if owner() != Some((i, folder)) {
                continue;
            }
            let last = self.last.entry(slot).or_default();
            self.wrong.extend(oracle::went_back(last, &kept));
            *last = kept;
        }
    }
}

struct Running<'a> {
    chaos: &'a Chaos,
    fleet: Arc<Fleet>,
    stream: Arc<Stream>,
    watch: Option<Watch>,
    brokers: Option<OwnBrokers>,
    random: Random,
    befallen: BTreeMap<Fault, usize>,
    positions: Positions,
    /// From the kill of an owner to the first claim after it.
    failovers: Vec<Duration>,
}

impl Running<'_> {
    fn claim(&self, slot: u32) -> Option<Claim> {
        self.watch.as_ref().and_then(|watch| watch.last(slot))
    }

    fn owner(&self, slot: u32) -> usize {
        self.claim(slot).and_then(|c| self.fleet.of_writer(&c.writer)).unwrap_or(0)
    }

    /// Who judges the model `shop`.
    fn judge_of_shop(&self) -> usize {
        let is_shop = |slot: &u32| self.claim(*slot).is_some_and(|c| c.folder().split('~').next() == Some("shop"));
        (1..self.fleet.site.slots() as u32).find(is_shop).map_or(0, |slot| self.owner(slot))
    }

    fn kills(&self) -> usize {
        self.befallen.iter().map(|(fault, n)| fault.kills(self.fleet.members.len()) * n).sum()
    }

    fn next_fault(&mut self) -> Fault {
        let (done, broker_kills) = (self.kills(), self.befallen.get(&Fault::KillBroker).copied().unwrap_or(0));
        // Spread over the run.
        if broker_kills < self.chaos.broker_kills
            && done > self.chaos.kills * (broker_kills + 1) / (self.chaos.broker_kills + 1)
        {
            return Fault::KillBroker;
        }
        let cuts = self.befallen.get(&Fault::CutOff).copied().unwrap_or(0);
        if cuts < self.chaos.cuts && done >= self.chaos.kills * cuts / self.chaos.cuts {
            return Fault::CutOff;
        }
        let fault = schedule::draw(&mut self.random, self.fleet.members.len(), self.chaos.broker_kills > 0);
        let is_session = matches!(fault, Fault::Freeze | Fault::Leave | Fault::Pause);
        // One process alone: nobody takes over, so there is nothing to see but the wait.
        if is_session && self.fleet.members.len() == 1 { Fault::Restart } else { fault }
    }

    fn befall(&mut self) {
        while self.kills() < self.chaos.kills {
            std::thread::sleep(Duration::from_millis(self.random.below(if self.watch.is_some() {
                1500
            } else {
                4000
            })));
            // Of many parts that takes long.
            if self.chaos.mode != Mode::Partitions {
                self.positions.look(&self.fleet, self.watch.as_ref());
            }
            let slot = self.random.below(self.fleet.site.slots() as u64) as u32;
            let (owner, fault, at) = (self.owner(slot), self.next_fault(), Instant::now());
            schedule::befall(&self.fleet, self.brokers.as_ref(), owner, fault, &mut self.random);
            *self.befallen.entry(fault).or_default() += 1;
            if fault == Fault::KillOwner
                && let Some(watch) = &self.watch
            {
                // Somebody counts again before the next fault, mostly.
                let until = Instant::now() + Duration::from_millis(self.random.below(6000));
                let next = || watch.of(slot, |notes| notes.next_after(at).map(|(seen, _)| seen));
                while next().is_none() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(50));
                }
                self.failovers.extend(next().map(|seen| seen - at));
            }
        }
        self.fleet.note("the faults are over");
    }

    /// Every verdict and signal is there, and nothing more.
    fn assert_said(&self, expected: &Expected) {
        let site = &self.fleet.site;
        let look = |topic: &str, expected: &BTreeMap<String, String>, key: &str| {
            let topic = site.topic(topic);
            let found = || oracle::compare(expected, &oracle::read_committed(&site.brokers, &topic), key);
            let until = Instant::now() + Duration::from_secs(150);
            let mut difference = found();
            while !difference.is_none() && Instant::now() < until {
                // What is wrong stays wrong.
                if !difference.other.is_empty() || !difference.unknown.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_secs(1));
                difference = found();
            }
            // What comes after the last one that is waited for.
            std::thread::sleep(Duration::from_secs(2));
            let difference = if difference.is_none() { found() } else { difference };
            println!(
                "{topic}: {} as replayed, {} of them repeated",
                expected.len() - difference.missing.len(),
                difference.repeated
            );
            assert!(
                difference.is_none(),
                "seed {}: {topic}\n{}\nthe ledger is claimed by {:?}\n{}\nof groups the brokers logged last:\n{}",
                self.chaos.seed,
                difference.told(expected.len()),
                self.claim(0),
                self.fleet.standing(),
                self.brokers.as_ref().map(OwnBrokers::of_groups).unwrap_or_default()
            );
        };
        look("verdicts", &expected.verdicts, "verdict_id");
        look("signals", &expected.signals, "signal_id");
    }

    /// Every record of every partition was counted once.
    fn assert_tiled(&self) {
        let site = &self.fleet.site;
        let ends: BTreeMap<(String, i64), i64> = TOPICS
            .iter()
            .flat_map(|(topic, _)| (0..PARTITIONS).map(|p| (site.topic(topic), p)))
            .map(|(topic, p)| ((topic.clone(), i64::from(p)), oracle::log_range(&site.brokers, &topic, p).1))
            .filter(|(_, end)| *end > 0)
            .collect();
        let published: i64 = self.stream.records().values().sum();
        assert_eq!(ends.values().sum::<i64>(), published, "the log has what was published");
        let mut last = Kept::default();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            last = self.fleet.all_kept(|slot| self.claim(slot)).unwrap_or_default();
            last.next.retain(|_, next| *next > 0);
            if last.next == ends && last.predictions == self.stream.predictions() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(last.next, ends, "positions");
        assert_eq!(last.predictions, self.stream.predictions(), "counted predictions");
    }

    /// Registries are equal, and hold what was answered with success.
    fn assert_kept(&self, said: &Said) {
        let of = |i: usize| oracle::tables(&self.fleet.site.folder.path(&format!("{}.db", self.fleet.members[i].name)));
        let mut differing = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            differing = (1..self.fleet.members.len()).flat_map(|i| oracle::tables_differ(&of(0), &of(i))).collect();
            if differing.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!(differing.is_empty(), "registries differ: {differing:#?}");
        let tables = of(0);
        for (versions, table) in [(&said.registered, "versions"), (&said.approved, "approvals")] {
            let rows = &tables[table];
            let lost: Vec<&String> =
                versions.iter().filter(|v| !rows.iter().any(|row| row.contains(&format!("|paper|{v}|")))).collect();
            assert!(lost.is_empty(), "answered with success, and not in {table}: {lost:?}");
        }
    }

    fn stop_all(&self) {
        for (i, member) in self.fleet.members.iter().enumerate() {
            assert_eq!(self.fleet.stop(i), Some(0), "{}", member.name);
            let verify = format!("audit verify --no-anchors --config {}.yaml", member.name);
            self.fleet.site.folder.driftgate(&verify).exits(0).prints("intact");
        }
    }
}

/// One at a time: several beside each other are one machine that is too slow for its brokers, and say nothing of anything else.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it; fails where anything differs. What failed is printed once more below what happened: of a long output the end is what people see.
pub fn run(chaos: &Chaos) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_once(chaos)));
    if let Err(panic) = done {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        eprintln!("DRIFTGATE_SIMULATION_SEED={} failed: {}", chaos.seed, text.unwrap_or("a panic without text"));
        std::panic::resume_unwind(panic);
    }
}

fn run_once(chaos: &Chaos) {
    println!("DRIFTGATE_SIMULATION_SEED={}", chaos.seed);
    let begun = Instant::now();
    assert!(chaos.cuts == 0 || chaos.broker_kills == 0, "one or the other");
    let own = match chaos {
        Chaos { cuts: 1.., .. } => Some(OwnBrokers::start_relayed()),
        Chaos { broker_kills: 1.., .. } => Some(OwnBrokers::start(chaos.brokers)),
        _ => None,
    };
    let address = own.as_ref().map_or_else(crate::broker::brokers, OwnBrokers::address);
    let prefix = format!("chaos-{:x}-{:x}.", std::process::id(), crate::kafka::now_ms());
    let copies = own.as_ref().map_or(1, OwnBrokers::len);
    let mut site = Site::with_copies(address, prefix, chaos.mode, copies);
    let relay = own.as_ref().and_then(OwnBrokers::relay);
    site.relayed = relay.map(|(_, address)| (chaos.names[0].to_owned(), address));
    let fleet = Fleet::new(site, chaos.names);
    if chaos.mode != Mode::Alone {
        fleet.site.make_internal_topics(&format!("{}.yaml", chaos.names[0]));
    }
    let _guard = Guard(Arc::clone(&fleet));
    let supervisor = Supervisor::start(&fleet);
    (0..chaos.names.len()).for_each(|i| fleet.start(i));
    (0..chaos.names.len()).for_each(|i| fleet.wait_until_ready(i));
    let watch = (chaos.mode != Mode::Alone).then(|| Watch::start(fleet.site.claims()));
    people::set_up(&fleet);

    let seconds = (chaos.kills * SECONDS_EACH).max(20) as i64;
    let of = if chaos.mode == Mode::Partitions { Stream::keyed } else { Stream::new };
    let stream = Arc::new(of(chaos.seed, seconds));
    let hurry = Arc::new(AtomicBool::new(false));
    let publisher = {
        let (fleet, stream, hurry) = (Arc::clone(&fleet), Arc::clone(&stream), Arc::clone(&hurry));
        std::thread::spawn(move || {
            stream.publish(&fleet.site.brokers, &fleet.site.prefix, &|| hurry.load(Ordering::Relaxed));
            fleet.note("everything is published");
        })
    };
    let people = People::start(&fleet, watch.as_ref().map(|w| Arc::clone(&w.notes)), chaos.seed);
    let random = Random(chaos.seed ^ 0x5eed);
    let positions = Positions { wrong: Vec::new(), last: BTreeMap::new() };
    let (befallen, failovers) = (BTreeMap::new(), Vec::new());
    let mut running = Running { chaos, fleet, stream, watch, brokers: own, random, befallen, positions, failovers };
    running.befall();
    println!("{} kills in {:?}", running.kills(), begun.elapsed());
    hurry.store(true, Ordering::Relaxed);
    publisher.join().unwrap();

    let expected = oracle::replayed(&running.fleet.site.folder, &running.stream);
    assert!(expected.verdicts.len() > 30 && !expected.signals.is_empty(), "{}", expected.verdicts.len());
    running.assert_said(&expected);
    running.assert_tiled();
    running.positions.look(&running.fleet, running.watch.as_ref());
    let said = people.stop();
    running.assert_kept(&said);
    told(&running, &said);
    let after_close = running.fleet.metric(running.judge_of_shop(), "driftgate_after_close_total{model=\"shop\"}");
    assert_eq!(after_close, Some(0.0));
    running.stop_all();
    drop(supervisor);
    let none = Vec::<String>::new();
    assert_eq!(running.positions.wrong, none, "positions went back");
    assert_eq!(said.wrong, none, "answers");
    if let Some(watch) = &running.watch {
        for notes in watch.notes.lock().unwrap().iter() {
            assert_eq!(notes.wrong, none, "claims");
        }
    }
    let odd_ends = running.fleet.odd_ends.lock().unwrap().clone();
    assert!(odd_ends.is_empty() || chaos.broker_kills > 0, "{odd_ends:?}");
}

/// Prints what happened, in figures.
fn told(running: &Running<'_>, said: &Said) {
    let (fleet, mut failovers) = (&running.fleet, running.failovers.clone());
    failovers.sort_unstable();
    let again = |i: usize| fleet.log(i).matches("takes it over again").count();
    println!(
        "faults: {:?}; ended by themselves: {:?}; units taken over again: {:?}",
        running.befallen,
        fleet.ended(),
        (0..fleet.members.len()).map(again).collect::<Vec<_>>()
    );
    if let Some(watch) = &running.watch {
        for (slot, notes) in watch.notes.lock().unwrap().iter().enumerate() {
            let (seen, last) = (notes.seen.len(), notes.last());
            println!("slot {slot}: {seen} claims seen, the last one {last:?}; {} takeovers", notes.takeovers());
        }
        println!(
            "from a kill of an owner to the next claim of its slot: median {:?}, most {:?}",
            failovers.get(failovers.len() / 2),
            failovers.last()
        );
    }
    println!(
        "people: {} registered, {} approved, {} redirects followed, {} put off; gate: {} passes, {} other answers, {} times none",
        said.registered.len(),
        said.approved.len(),
        said.followed,
        said.put_off,
        said.gate[0],
        said.gate[1],
        said.gate[2]
    );
}

#[test]
fn three_processes_under_thirty_kills_say_what_the_replay_says() {
    run(&Chaos {
        seed: seed(),
        kills: 30,
        names: &["a", "b", "c"],
        mode: Mode::Models,
        broker_kills: 1,
        brokers: 1,
        cuts: 0,
    });
}

#[test]
#[ignore = "takes minutes: run it by name"]
fn three_processes_that_divide_partitions_say_under_kills_what_the_replay_says() {
    run(&Chaos {
        seed: seed(),
        kills: 4,
        names: &["a", "b", "c"],
        mode: Mode::Partitions,
        broker_kills: 1,
        brokers: 1,
        cuts: 0,
    });
}
