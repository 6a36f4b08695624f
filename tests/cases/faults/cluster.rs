//! One process and its broker under kills for long.

use crate::cluster::{Chaos, run, seed};

#[test]
#[ignore = "takes minutes: make soak"]
fn one_process_and_its_broker_under_forty_kills_say_what_the_replay_says() {
    run(&Chaos { seed: seed(), kills: 40, names: &["one"], is_cluster: false, broker_kills: 3 });
}
