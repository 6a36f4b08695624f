//! Three processes of one cluster for long: five hundred kills, and a broker that is killed as well.

use crate::cluster::{Chaos, Mode, run, seed};

#[test]
#[ignore = "takes most of an hour: make soak"]
fn three_processes_under_five_hundred_kills_say_what_the_replay_says() {
    run(&Chaos { seed: seed(), kills: 500, names: &["a", "b", "c"], mode: Mode::Models, broker_kills: 10 });
}

#[test]
#[ignore = "takes minutes: make soak"]
fn one_process_and_its_broker_under_forty_kills_say_what_the_replay_says() {
    run(&Chaos { seed: seed(), kills: 40, names: &["one"], mode: Mode::Alone, broker_kills: 3 });
}
