//! A block outlives its cause nowhere: not where what is counted changes, not where the state is lost, not where no window comes
//! any more and a person ends it.

use super::super::broker::{Daemon, delete_before, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;

const TOKENS: (&str, &str) = ("DRIFTGATE_TOKENS", "s3cret-of-these-tests-0123456789 operator * alice");

struct Shop {
    folder: Folder,
    topics: Topics,
    first: i64,
    /// Windows that were published.
    windows: i64,
}

impl Shop {
    /// Windows of ten seconds that lie elsewhere than in training by `shifts`.
    fn publish(&mut self, shifts: &[i64]) {
        for shift in shifts {
            publish(&self.topics.predictions, window("1", self.first + self.windows * 10_000, *shift));
            self.windows += 1;
        }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.folder.path("driftgate.yaml"), &[TOKENS])
    }

    fn gate(&self, daemon: &Daemon) -> Option<i32> {
        self.folder.driftgate(&format!("gate shop 1 --to prod --server {}", daemon.url)).code
    }

    fn wait_blocked(&self, daemon: &Daemon, blocked: bool) {
        let series = "driftgate_block_active{group=\"drift\",model=\"shop\",version=\"1\"}";
        let code = i32::from(blocked);
        wait_for(if blocked { "the block" } else { "the end of the block" }, || {
            (daemon.metric(series) == Some(f64::from(code)) && self.gate(daemon) == Some(code)).then_some(())
        });
    }

    fn actions(&self) -> Vec<String> {
        read(&self.topics.signals).iter().map(|s| s["action"].as_str().unwrap().to_owned()).collect()
    }
}

fn open(name: &str) -> Shop {
    let topics = Topics::new(name, 2);
    let folder = Folder::new();
    shop(&folder, &topics);
    folder.write_secret("token", "s3cret-of-these-tests-0123456789");
    Shop { folder, topics, first: now_ms() / 10_000 * 10_000 - 400_000, windows: 0 }
}

#[test]
fn a_block_ends_with_the_next_window_that_passes_after_counts_began_anew() {
    let mut shop = open("block-anew");
    let daemon = shop.start();
    shop.publish(&[0, 900, 900]);
    shop.wait_blocked(&daemon, true);
    // What is counted changes.
    let policy = SHOP.replace("psi: {of: features", "psi: {of: features, bins: 20");
    shop.folder.write("shop.yaml", &policy);
    daemon.signal("HUP");
    wait_for("the new policy", || daemon.log().contains("counts start anew").then_some(()));
    shop.wait_blocked(&daemon, true);
    shop.publish(&[0, 0, 0]);
    shop.wait_blocked(&daemon, false);
    shop.publish(&[900, 900]);
    shop.wait_blocked(&daemon, true);
    assert_eq!(daemon.stop(), Some(0));

    // So it does at a restart.
    shop.folder.write("shop.yaml", policy.replace("lateness: 1s\nmin", "lateness: 2s\nmin"));
    let daemon = shop.start();
    shop.wait_blocked(&daemon, true);
    shop.publish(&[0, 0, 0]);
    shop.wait_blocked(&daemon, false);
    shop.publish(&[900, 900]);
    shop.wait_blocked(&daemon, true);
    assert_eq!(daemon.stop(), Some(0));

    // The state is lost, and the log begins later.
    std::fs::remove_dir_all(shop.folder.path("state")).unwrap();
    (0..2).for_each(|partition| delete_before(&shop.topics.predictions, partition, shop.windows * 500));
    let daemon = shop.start();
    shop.wait_blocked(&daemon, true);
    shop.publish(&[900, 900, 0, 0, 0]);
    shop.wait_blocked(&daemon, false);
    // No block is told twice.
    let all = ["block", "clear", "block", "clear", "block", "clear"];
    wait_for("all signals", || (shop.actions() == all).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_person_ends_a_block_which_is_written_down_and_the_next_breach_blocks_again() {
    let mut shop = open("unblock");
    let daemon = shop.start();
    let unblock =
        |shop: &Shop, more: &str| shop.folder.driftgate(&format!("unblock shop 1 --server {} {more}", daemon.url));
    shop.publish(&[0, 900, 900]);
    shop.wait_blocked(&daemon, true);
    unblock(&shop, "--reason renamed").exits(2).says("token");
    unblock(&shop, "--token-file token").exits(2).says("--reason");
    unblock(&shop, "--token-file token --reason renamed --group slo").exits(2).says("it is blocked by drift");
    unblock(&shop, "--token-file token --reason renamed --group drift")
        .exits(0)
        .prints("drift no longer blocks shop version 1");
    unblock(&shop, "--token-file token --reason renamed").exits(2).says("has no active block: it has none");
    assert_eq!(daemon.metric("driftgate_block_active{group=\"drift\",model=\"shop\",version=\"1\"}"), Some(0.0));
    let history = shop.folder.driftgate(&format!("history shop --server {}", daemon.url)).stdout;
    assert!(
        history.contains("the block of drift was ended by hand: renamed") && history.contains("alice"),
        "{history}"
    );
    let told = wait_for("the clear", || read(&shop.topics.signals).into_iter().find(|s| s["action"] == "clear"));
    assert_eq!(told["reasons"][0], "unblocked by alice: renamed");
    wait_for("word to those who count", || daemon.log().contains("a block was ended by a person").then_some(()));
    shop.publish(&[900, 900]);
    shop.wait_blocked(&daemon, true);
    assert_eq!(daemon.stop(), Some(0));

    // Without a daemon, by whoever may write the file; the daemon heeds it when it starts.
    shop.folder.driftgate("unblock shop 1 --config driftgate.yaml --reason test").exits(0);
    let daemon = shop.start();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    shop.publish(&[900, 900]);
    shop.wait_blocked(&daemon, true);
    // A group that left the policy: nothing clears its block but a person, who is told so.
    shop.folder.write("shop.yaml", SHOP.replace("  drift:", "  input:"));
    daemon.signal("HUP");
    let server = format!("--server {}", daemon.url);
    wait_for("advice", || {
        let status = shop.folder.driftgate(&format!("status --problems {server}")).stdout;
        status.contains("driftgate unblock shop 1 --group drift").then_some(())
    });
    shop.folder.driftgate(&format!("unblock shop 1 --token-file token --reason renamed {server}")).exits(0);
    let all = ["block", "clear", "block", "clear", "block", "clear"];
    wait_for("all signals", || (shop.actions() == all).then_some(()));
    shop.folder.driftgate("audit verify --registry registry.db").exits(0);
    assert_eq!(daemon.stop(), Some(0));
}
