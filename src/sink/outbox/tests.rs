//! Tests of items that are held.

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn verdict(end_ms: i64) -> Item {
    let text = |text: &str| text.to_owned();
    Item::Verdict { model: text("m"), version: text("1"), group: text("g"), end_ms, json: text("{}") }
}

fn outbox(folder: &std::path::Path) -> Outbox {
    let registry = Arc::new(crate::ledger::Embedded::open(&folder.join("registry.db")).unwrap());
    Outbox::start(Outlets { registry: Some(registry), verdicts: None, view: Shared::default(), history: None })
}

#[test]
fn held_items_go_once_a_checkpoint_that_has_them_is_written_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = outbox(folder.path()).holding();
    assert!(!outbox.holds());
    outbox.put(verdict(1));
    outbox.put(verdict(2));
    let (mark, checkpoint) = (outbox.mark(), outbox.pending());
    assert_eq!(checkpoint, [verdict(1), verdict(2)]);
    // Judged while the checkpoint is being written: not in it.
    outbox.put(verdict(3));
    assert!(!outbox.flush(Duration::from_millis(200)) && outbox.waiting().items == 3 && outbox.holds());
    outbox.released(mark);
    let until = Instant::now() + SOON;
    while outbox.settle().items > 1 && Instant::now() < until {
        thread::sleep(TICK);
    }
    assert!(!outbox.flush(Duration::from_millis(200)));
    assert_eq!(outbox.pending(), [verdict(3)]);
    // An older mark releases nothing more, the next one the rest.
    outbox.released(mark);
    assert!(outbox.holds());
    outbox.released(outbox.mark());
    assert!(!outbox.holds() && outbox.flush(SOON));
}

#[test]
fn what_waits_is_full_also_where_it_is_held_and_alone_it_is_sent_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = outbox(folder.path()).holding();
    (0..20_000).for_each(|end| held.put(verdict(end)));
    assert!(held.settle().is_full() && held.holds());
    let folder = tempfile::tempdir().unwrap();
    let mut alone = outbox(folder.path());
    alone.put(verdict(1));
    assert!(!alone.holds() && alone.flush(SOON));
}
