//! Membership of a group of the mock brokers of librdkafka.

use std::sync::mpsc::channel;

use rdkafka::mocking::MockCluster;

use super::*;

#[test]
fn what_is_not_committed_in_time_is_lost_and_keeps_the_group_no_longer() {
    let (changes, decided) = channel();
    let changes = Mutex::new(changes);
    let own = Assignments {
        units_topic: "units".into(),
        on_change: Box::new(move |change| drop(lock(&changes).send(change))),
        held: (Mutex::default(), Condvar::new()),
        leaving: Arc::default(),
    };
    own.assigned(&[1, 2, 3].into());
    own.set_free(|slot| slot == 1);
    own.give_back(&[1, 2].into(), Duration::from_millis(20));
    own.give_back(&[1].into(), Duration::from_secs(60));
    let said: Vec<Change> = decided.try_iter().collect();
    assert_eq!(said, [Change::Revoked([1, 2].into()), Change::Lost([2].into()), Change::Revoked([1].into())]);
}

#[test]
fn what_is_assigned_while_the_group_is_left_is_not_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("units", 3, 1).unwrap();
    let properties = [("bootstrap.servers".to_owned(), cluster.bootstrap_servers())].into();
    let identity = Identity {
        group: "g".into(),
        instance: "a".into(),
        advertise: "http://a".into(),
        units_topic: "units".into(),
        session: Duration::from_secs(6),
        layout: "l".into(),
    };
    let (changes, decided) = channel();
    let changes = Mutex::new(changes);
    let listener = Box::new(move |change| drop(lock(&changes).send(change)));
    let membership = Membership::join(&properties, identity, listener).unwrap();
    assert_eq!(decided.recv_timeout(Duration::from_secs(30)), Ok(Change::Assigned([0, 1, 2].into())));
    // One is given back, and the others are as where the assignment comes between the last look at it and the end.
    membership.give_back(1);
    let busy = || lock(&membership.consumer.context().own.held.0).busy.clone();
    assert_eq!(busy(), [0, 2].into());
    assert!(membership.take_again(1) && !membership.take_again(3));
    assert_eq!(busy(), [0, 1, 2].into());
    let begun = Instant::now();
    membership.leave();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
