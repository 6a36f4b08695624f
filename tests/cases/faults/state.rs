//! The state folder damaged, lost, or brought back from a copy that was made while a daemon ran: what follows is what a replay says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

/// A shop without labels whose checkpoints are written at its stops alone.
struct State {
    folder: Folder,
    topics: Topics,
    windows: Vec<Events>,
    published: usize,
}

impl State {
    fn new(name: &str, shifts: &[i64]) -> Self {
        let topics = Topics::new(name, 2);
        let folder = Folder::new();
        shop(&folder, &topics);
        folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
        let first = now_ms() / 10_000 * 10_000 - 300_000;
        let windows = (0..).zip(shifts).map(|(n, shift)| window("1", first + n * 10_000, *shift)).collect();
        Self { folder, topics, windows, published: 0 }
    }

    fn every(&self, span: &str) {
        let text = self.folder.read("driftgate.yaml");
        self.folder.write("driftgate.yaml", text.replace("every: 1s", &format!("every: {span}")));
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.folder.path("driftgate.yaml"), &[])
    }

    fn publish(&mut self, windows: usize) {
        for events in &self.windows[self.published..self.published + windows] {
            publish(&self.topics.predictions, events.clone());
        }
        self.published += windows;
    }

    fn wait_counted(&self, daemon: &Daemon) {
        wait_counted(daemon, "1", (self.published * 1000) as f64);
    }

    /// Waits for all verdicts but the last window's, of which each id has one content, and compares them with the replay's.
    fn assert_replayed(&self) {
        let published: Vec<&Events> = self.windows[..self.published].iter().collect();
        let expected = replayed(&self.folder, "shop.yaml", "", &published);
        let found = wait_for("all verdicts", || {
            let found = complete(read(&self.topics.verdicts));
            (found.len() + 1 >= self.published).then_some(found)
        });
        assert_known(&found, &expected);
    }

    fn actions(&self) -> Vec<String> {
        let mut told: Vec<(String, String)> = Vec::new();
        for signal in read(&self.topics.signals) {
            let [id, action] = ["signal_id", "action"].map(|key| signal[key].as_str().unwrap().to_owned());
            if !told.iter().any(|(known, _)| *known == id) {
                told.push((id, action));
            }
        }
        told.into_iter().map(|(_, action)| action).collect()
    }

    /// The first partition's next offset in a checkpoint of the folder.
    fn position(&self, which: &str) -> i64 {
        let shown = self.folder.driftgate("state show --state state --json").exits(0).json();
        let positions = shown[which]["positions"].as_array().unwrap_or_else(|| panic!("{shown}")).clone();
        let of = |p: &&Value| p["topic"] == self.topics.predictions.as_str() && p["partition"] == 0;
        positions.iter().find(of).unwrap()["next_offset"].as_i64().unwrap()
    }
}

const SHIFTS: [i64; 9] = [0, 0, 900, 900, 0, 0, 900, 0, 0];

#[test]
fn behind_a_damaged_checkpoint_the_one_before_is_used_and_no_verdict_changes() {
    let mut state = State::new("damaged", &SHIFTS);
    state.every("1h");
    for windows in [2, 4] {
        let daemon = state.start();
        state.publish(windows);
        state.wait_counted(&daemon);
        assert_eq!(daemon.stop(), Some(0));
    }
    assert!((state.position("before"), state.position("checkpoint")) == (1000, 3000));
    state.folder.driftgate("state verify --state state").exits(0).prints("intact");
    let path = state.folder.path("state/checkpoint.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    state.folder.driftgate("state verify --config driftgate.yaml").exits(1).prints("goes on from what is whole");

    let daemon = state.start();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    let said = format!("{}/0 from offset 1000", state.topics.predictions);
    let problems = state.folder.driftgate(&format!("status --problems --server {}", daemon.url)).stdout;
    for text in [&problems, &daemon.log()] {
        assert!(text.contains("the last checkpoint cannot be used") && text.contains(&said), "{text}");
    }
    assert_eq!(daemon.metric("driftgate_checkpoint_fallback"), Some(1.0));
    state.publish(3);
    state.assert_replayed();
    wait_for("all signals", || (state.actions() == ["block", "clear", "block", "clear"]).then_some(()));
    assert_eq!(daemon.stop(), Some(0));

    state.folder.driftgate("state verify --state state").exits(0);
    assert!(state.folder.path("state/checkpoint.unusable.bin").exists());
    let daemon = state.start();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.metric("driftgate_checkpoint_fallback"), Some(0.0));
    assert!(!daemon.log().contains("cannot be used"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_new_machine_with_the_registry_alone_counts_from_the_beginning_and_signals_nothing_twice() {
    let mut state = State::new("new-machine", &SHIFTS);
    let daemon = state.start();
    state.folder.driftgate("register shop 1 --stage prod --config driftgate.yaml").exits(0);
    state.publish(6);
    state.wait_counted(&daemon);
    wait_for("a clear", || (state.actions() == ["block", "clear"]).then_some(()));
    // As its machine dies.
    daemon.signal("KILL");
    drop(daemon);
    std::fs::remove_dir_all(state.folder.path("state")).unwrap();
    // The registry was made a while ago, as it is where a machine dies.
    let registry = rusqlite::Connection::open(state.folder.path("registry.db")).unwrap();
    registry.execute("UPDATE likeness SET made_ms = made_ms - 3600000", []).unwrap();
    drop(registry);

    let begun = Instant::now();
    let daemon = state.start();
    state.wait_counted(&daemon);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    println!("a new machine counted {} events again within {:?}", state.published * 1000, begun.elapsed());
    state.publish(3);
    state.assert_replayed();
    wait_for("all signals", || (state.actions() == ["block", "clear", "block", "clear"]).then_some(()));
    assert_eq!(daemon.metric("driftgate_registry_doubted"), Some(0.0));
    state.folder.driftgate(&format!("history shop --server {}", daemon.url)).exits(0).prints("prod: – → 1");
    assert_eq!(daemon.stop(), Some(0));
    state.folder.driftgate("audit verify --config driftgate.yaml").exits(0).prints("intact");
}

/// Puts a backup back as its RESTORE.txt says.
fn put_back(folder: &Folder, backup: &str) {
    std::fs::remove_dir_all(folder.path("state")).unwrap();
    for name in ["registry.db", "registry.db-wal", "registry.db-shm", "registry.audit-key"] {
        let _ = std::fs::remove_file(folder.path(name));
    }
    let copy = |from: &str, to: &str| {
        let done = std::process::Command::new("cp").arg("-a").args([folder.path(from), folder.path(to)]).status();
        assert!(done.unwrap().success());
    };
    copy(&format!("{backup}/state"), "state");
    for name in ["registry.db", "registry.audit-key"] {
        copy(&format!("{backup}/registry/{name}"), name);
    }
}

fn assert_private(path: &Path) {
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    if path.is_dir() {
        assert_eq!(mode, 0o700, "{}", path.display());
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    } else {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn a_backup_that_was_made_while_a_daemon_ran_brings_back_everything_on_a_new_machine() {
    let mut state = State::new("backup", &SHIFTS);
    let daemon = state.start();
    let folder = |state: &State, arguments: &str| state.folder.driftgate(arguments);
    folder(&state, "register shop 1 --stage prod --config driftgate.yaml").exits(0);
    state.publish(3);
    state.wait_counted(&daemon);
    wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n > 0.0));
    // One after the other while it counts and writes checkpoints.
    for n in 0..8 {
        if n % 2 == 0 && state.published < 6 {
            state.publish(1);
        }
        folder(&state, &format!("state backup b{n} --config driftgate.yaml --with-audit-key")).exits(0);
        folder(&state, &format!("state verify --state b{n}/state")).exits(0).prints("intact");
        folder(&state, &format!("audit verify --registry b{n}/registry/registry.db")).exits(0).prints("intact");
        assert_private(&state.folder.path(&format!("b{n}")));
        assert!(!state.folder.path(&format!("b{n}.partial")).exists());
    }
    folder(&state, "state backup b0 --config driftgate.yaml").exits(2).says("is not empty");
    let said = folder(&state, "state backup bare --config driftgate.yaml --json").exits(0).json();
    assert!(said["audit_key"] == false && !state.folder.path("bare/registry/registry.audit-key").exists());
    assert_eq!(said["restore"].as_array().unwrap().len(), 7);
    assert_eq!(
        state.folder.read("bare/RESTORE.txt").lines().collect::<Vec<_>>(),
        said["restore"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect::<Vec<_>>()
    );
    state.publish(1);
    state.wait_counted(&daemon);
    daemon.signal("KILL");
    drop(daemon);

    put_back(&state.folder, "b7");
    let daemon = state.start();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.metric("driftgate_registry_doubted"), Some(0.0));
    state.publish(2);
    state.assert_replayed();
    wait_for("all signals", || (state.actions() == ["block", "clear", "block", "clear"]).then_some(()));
    folder(&state, &format!("history shop --server {}", daemon.url)).exits(0).prints("prod: – → 1");
    assert_eq!(daemon.stop(), Some(0));
    folder(&state, "audit verify --config driftgate.yaml").exits(0).prints("intact");
}

#[test]
fn a_damaged_state_is_not_backed_up_and_nothing_is_left_of_the_attempt() {
    let mut state = State::new("damaged-backup", &SHIFTS);
    let daemon = state.start();
    state.publish(1);
    state.wait_counted(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let path = state.folder.path("state/checkpoint.bin");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let backup = || state.folder.driftgate("state backup copy --config driftgate.yaml");
    backup().exits(1).says("cut short").says("state verify");
    assert!(!state.folder.path("copy").exists() && !state.folder.path("copy.partial").exists());
    std::fs::write(&path, &bytes).unwrap();
    std::fs::rename(state.folder.path("registry.db"), state.folder.path("elsewhere.db")).unwrap();
    backup().exits(2).says("there is no registry");
    assert!(!state.folder.path("copy").exists() && !state.folder.path("copy.partial").exists());
    std::fs::rename(state.folder.path("elsewhere.db"), state.folder.path("registry.db")).unwrap();
    backup().exits(0);
    state.folder.driftgate("state show --state copy/state").exits(0).prints("format 6");
    state.folder.driftgate("state show --state nowhere").exits(2).says("there is no state folder");
    state.folder.driftgate("state verify --state .").exits(2).says("holds no checkpoint");
}
