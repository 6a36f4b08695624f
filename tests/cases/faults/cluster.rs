//! Three processes of one cluster for long: five hundred kills, and brokers that are killed as well.

use crate::cluster::{Chaos, Mode, run, seed};

#[test]
#[ignore = "takes most of an hour: make soak"]
fn three_processes_under_five_hundred_kills_say_what_the_replay_says() {
    run(&Chaos {
        seed: seed(),
        kills: 500,
        names: &["a", "b", "c"],
        mode: Mode::Models,
        broker_kills: 20,
        brokers: 3,
        cuts: 0,
    });
}

#[test]
#[ignore = "takes minutes: make soak"]
fn one_process_and_its_broker_under_forty_kills_say_what_the_replay_says() {
    run(&Chaos { seed: seed(), kills: 40, names: &["one"], mode: Mode::Alone, broker_kills: 3, brokers: 1, cuts: 0 });
}

#[test]
#[ignore = "takes a quarter of an hour: make soak"]
fn three_processes_that_divide_partitions_say_under_a_hundred_kills_what_the_replay_says() {
    run(&Chaos {
        seed: seed(),
        kills: 100,
        names: &["a", "b", "c"],
        mode: Mode::Partitions,
        broker_kills: 8,
        brokers: 3,
        cuts: 0,
    });
}

#[test]
#[ignore = "takes minutes: make soak"]
fn three_processes_of_which_one_is_cut_off_one_way_say_what_the_replay_says() {
    run(&Chaos {
        seed: seed(),
        kills: 40,
        names: &["a", "b", "c"],
        mode: Mode::Models,
        broker_kills: 0,
        brokers: 1,
        cuts: 20,
    });
}
