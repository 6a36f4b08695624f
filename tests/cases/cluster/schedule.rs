//! Faults from a seed.

use std::time::Duration;

use super::fleet::{Fleet, SESSION, Wanted};
use crate::faults::clock::HOUR;
use crate::faults::own_broker::OwnBrokers;
use crate::faults::relay::Cut;
use crate::support::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillOwner,
    KillStandby,
    KillAll,
    /// SIGSTOP for longer than the session.
    Freeze,
    /// SIGSTOP for less than the session.
    Pause,
    /// SIGTERM, and started again at once.
    Restart,
    /// SIGTERM, and away for longer than the session.
    Leave,
    /// All processes one after the other: SIGTERM, started again, ready.
    Upgrade,
    /// The disk under a process's state is full for a while.
    FullDisk,
    /// The clock of a process's machine is an hour off for a while.
    WrongClock,
    KillBroker,
    /// The broker is stopped for longer than a commit may take, and answers everything late.
    FreezeBroker,
    /// The first process reaches the broker, and gets no answers, or the other way round, for longer than the session.
    CutOff,
}

impl Fault {
    /// Kills with SIGKILL that it stands for, of so many processes.
    pub fn kills(self, members: usize) -> usize {
        match self {
            Self::KillOwner | Self::KillStandby => 1,
            Self::KillAll => members,
            _ => 0,
        }
    }
}

/// The faults that `DRIFTGATE_SIMULATION_FAULTS` names, separated by commas; all where it is not set.
fn named() -> Vec<Fault> {
    use Fault::{
        Freeze, FreezeBroker, FullDisk, KillAll, KillBroker, KillOwner, KillStandby, Leave, Pause, Restart, Upgrade,
        WrongClock,
    };
    let all = [
        Freeze,
        FreezeBroker,
        FullDisk,
        KillAll,
        KillBroker,
        KillOwner,
        KillStandby,
        Leave,
        Pause,
        Restart,
        Upgrade,
        WrongClock,
    ];
    let names = std::env::var("DRIFTGATE_SIMULATION_FAULTS").unwrap_or_default();
    let of =
        |name: &str| all.into_iter().find(|f| format!("{f:?}") == name).unwrap_or_else(|| panic!("no fault {name}"));
    names.split(',').filter(|name| !name.is_empty()).map(of).collect()
}

/// Draws a fault.
pub fn draw(random: &mut Random, members: usize, has_broker: bool) -> Fault {
    let named = named();
    if !named.is_empty() {
        return named[random.below(named.len() as u64) as usize];
    }
    match random.below(100) {
        37..41 => Fault::FullDisk,
        41..45 => Fault::WrongClock,
        45..62 if members > 1 => Fault::KillStandby,
        62..66 if members > 1 => Fault::KillAll,
        66..75 => Fault::Freeze,
        75..81 => Fault::Pause,
        81..88 => Fault::Restart,
        88..91 if members > 1 => Fault::Upgrade,
        91..96 => Fault::Leave,
        96..98 if has_broker => Fault::FreezeBroker,
        98.. if has_broker => Fault::KillBroker,
        // More often than not.
        _ => Fault::KillOwner,
    }
}

fn moment(random: &mut Random, up_to: Duration) -> Duration {
    Duration::from_millis(random.below(u64::try_from(up_to.as_millis()).unwrap().max(1)))
}

/// How long a killed process stays away: mostly it is back at once, as under systemd, sometimes it is another machine's turn.
fn away(random: &mut Random) -> Duration {
    match random.below(3) {
        0 => Duration::ZERO,
        1 => moment(random, Duration::from_secs(1)),
        _ => SESSION + moment(random, Duration::from_secs(2)),
    }
}

/// SIGTERM; an end that is no success is noted.
fn end(fleet: &Fleet, i: usize) {
    if let Some(code) = fleet.stop(i).filter(|code| *code != 0) {
        fleet.odd_ends.lock().unwrap().push(format!("{} ended with {code} after SIGTERM", fleet.members[i].name));
    }
}

/// Lets a fault happen to the owner, or to another, and waits until the process runs again; all others run meanwhile.
pub fn befall(fleet: &Fleet, brokers: Option<&OwnBrokers>, owner: usize, fault: Fault, random: &mut Random) {
    let members = fleet.members.len();
    let other = (owner + 1 + random.below(members.max(2) as u64 - 1) as usize) % members;
    // Standbys are frozen and restarted as well.
    let any = if random.below(3) == 0 { other } else { owner };
    match fault {
        Fault::KillOwner | Fault::KillStandby => {
            let i = if fault == Fault::KillOwner { owner } else { other };
            fleet.kill(i);
            std::thread::sleep(away(random));
            fleet.start(i);
        }
        Fault::KillAll => {
            (0..members).for_each(|i| fleet.kill(i));
            std::thread::sleep(moment(random, Duration::from_secs(1)));
            (0..members).for_each(|i| fleet.start(i));
        }
        Fault::Freeze | Fault::Pause => {
            fleet.freeze(any);
            let least = if fault == Fault::Freeze { SESSION + Duration::from_secs(1) } else { Duration::ZERO };
            std::thread::sleep(least + moment(random, Duration::from_secs(2)));
            if fleet.wanted(any) == Wanted::Frozen {
                fleet.start(any);
            }
        }
        Fault::Restart | Fault::Leave => {
            end(fleet, any);
            if fault == Fault::Leave {
                std::thread::sleep(SESSION + moment(random, Duration::from_secs(2)));
            }
            fleet.start(any);
        }
        Fault::Upgrade => (0..members).for_each(|i| {
            end(fleet, i);
            fleet.start(i);
            fleet.wait_until_ready(i);
        }),
        Fault::FullDisk => {
            let full = fleet.fill_disk(any);
            std::thread::sleep(Duration::from_secs(1) + moment(random, Duration::from_secs(4)));
            drop(full);
            fleet.note("there is room on the disk");
        }
        Fault::WrongClock => {
            fleet.step_clock(any, if random.below(2) == 0 { HOUR } else { -HOUR });
            std::thread::sleep(Duration::from_secs(1) + moment(random, SESSION));
            fleet.step_clock(any, 0);
        }
        Fault::KillBroker => {
            let brokers = brokers.expect("brokers of this test");
            let i = random.below(brokers.len() as u64) as usize;
            let broker = brokers.get(i);
            fleet.note(&format!("broker {} of {} is killed", i + 1, brokers.len()));
            broker.kill();
            std::thread::sleep(moment(random, Duration::from_secs(4)));
            broker.start_again();
            fleet.note("the broker is back");
        }
        Fault::FreezeBroker => {
            let brokers = brokers.expect("brokers of this test");
            let broker = brokers.get(random.below(brokers.len() as u64) as usize);
            fleet.note("a broker is frozen");
            broker.signal("STOP");
            std::thread::sleep(Duration::from_secs(6) + moment(random, Duration::from_secs(4)));
            broker.signal("CONT");
            fleet.note("no broker is frozen");
        }
        Fault::CutOff => {
            let (relay, _) = brokers.and_then(OwnBrokers::relay).expect("a relay of this test");
            let cut = if random.below(2) == 0 { Cut::ToBroker } else { Cut::ToClient };
            fleet.note(&format!("{} is cut off: {cut:?}", fleet.members[0].name));
            relay.set(cut, true);
            std::thread::sleep(SESSION + moment(random, Duration::from_secs(5)));
            relay.set(cut, false);
            fleet.note("nothing is cut off");
        }
    }
}
