//! A broker of one test, which that test may stop, kill and start again with what it has stored.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use super::relay::Relay;

pub struct OwnBroker {
    pub folder: tempfile::TempDir,
    pub port: u16,
    /// Options of its start.
    options: &'static [&'static str],
    /// What its start is told for a port: the first one's, where it is one of three.
    base: u16,
}

/// The brokers of one test: one, or three that keep copies of all there is.
pub struct OwnBrokers {
    each: Vec<OwnBroker>,
    relay: Option<Relay>,
}

impl OwnBrokers {
    pub fn start(n: usize) -> Self {
        assert!(matches!(n, 1 | 3), "one or three");
        if n == 1 {
            return Self { each: vec![OwnBroker::start()], relay: None };
        }
        let base = free_ports(30);
        let nodes: [(u16, &'static [&'static str]); 3] =
            [(0, &["--node", "1"]), (10, &["--node", "2"]), (20, &["--node", "3"])];
        // None answers before another one does.
        let starts = nodes.map(|(at, options)| {
            std::thread::spawn(move || {
                let broker = OwnBroker { folder: tempfile::tempdir().unwrap(), port: base + at, options, base };
                broker.start_again();
                broker
            })
        });
        Self { each: starts.into_iter().map(|start| start.join().unwrap()).collect(), relay: None }
    }

    /// One, with a relay for a client that is cut off.
    pub fn start_relayed() -> Self {
        let broker = OwnBroker::start_with(4, &["--relayed"]);
        let relay = Relay::start(broker.port + 3, broker.port + 2);
        Self { each: vec![broker], relay: Some(relay) }
    }

    /// The relay, and the address of the broker through it.
    pub fn relay(&self) -> Option<(&Relay, String)> {
        let relay = self.relay.as_ref()?;
        Some((relay, format!("127.0.0.1:{}", self.each.first()?.port + 3)))
    }

    pub fn address(&self) -> String {
        self.each.iter().map(OwnBroker::address).collect::<Vec<_>>().join(",")
    }

    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// What the brokers logged last of groups: who joined, who was expelled, when a group settled.
    pub fn of_groups(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for broker in &self.each {
            let log = std::fs::read_to_string(broker.folder.path().join("server.log")).unwrap_or_default();
            lines.extend(log.lines().filter(|line| line.contains("GroupMetadataManager")).map(str::to_owned));
        }
        lines.sort();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    pub fn get(&self, i: usize) -> &OwnBroker {
        &self.each[i % self.each.len()]
    }
}

/// So many free ports in a row, below those that connections take, and for each broker of this process others.
fn free_ports(n: u16) -> u16 {
    static BEGUN: AtomicU16 = AtomicU16::new(0);
    let free = |port: u16| (port..port + n).all(|p| std::net::TcpListener::bind(("127.0.0.1", p)).is_ok());
    let from = 24_000 + u16::try_from(std::process::id() % 300).unwrap() * 10;
    std::iter::repeat_with(|| from + BEGUN.fetch_add(n, Ordering::Relaxed))
        .take(100)
        .find(|port| free(*port))
        .expect("free ports in a row")
}

impl OwnBroker {
    /// The controller takes the port that follows its own.
    pub fn start() -> Self {
        Self::start_with(2, &[])
    }

    /// With secured listeners on the two ports that follow the controller's.
    pub fn start_secured() -> Self {
        Self::start_with(4, &["--secure"])
    }

    fn start_with(ports: u16, options: &'static [&'static str]) -> Self {
        let port = free_ports(ports);
        let broker = Self { folder: tempfile::tempdir().unwrap(), port, options, base: port };
        broker.start_again();
        broker
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn make_topic(&self, name: &str, partitions: i32) {
        self.script(&["create-topic"], &[name, &partitions.to_string()]);
    }

    pub fn start_again(&self) {
        let port = self.base.to_string();
        self.script(&["start"], &[&[port.as_str()], self.options].concat());
    }

    pub fn stop(&self) {
        self.script(&["stop"], &[]);
    }

    fn id(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("pid")).unwrap().trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([format!("-{name}"), self.id()]).status().unwrap().success());
    }

    /// SIGKILL, as when its machine dies.
    pub fn kill(&self) {
        let id = self.id();
        self.signal("KILL");
        while std::path::Path::new("/proc").join(&id).exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// What was written last of a topic with one partition is lost, as after a power cut; the broker must not run.
    pub fn lose_tail(&self, topic: &str) {
        let folder = self.folder.path().join(format!("data/{topic}-0"));
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "snapshot") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let log = std::fs::OpenOptions::new().write(true).open(folder.join("00000000000000000000.log")).unwrap();
        // A batch that is not whole is cut off when the broker comes back.
        log.set_len(log.metadata().unwrap().len() - 10).unwrap();
    }

    /// What became of the cluster's ledger, batch by batch, and what else the broker complained of: for a test that fails.
    fn evidence(&self) -> String {
        let said = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        let is_odd = |line: &&str| [" WARN ", " ERROR ", " FATAL "].iter().any(|level| line.contains(level));
        let odd: Vec<&str> = said.lines().filter(is_odd).collect();
        let mut told = format!("its last warnings:\n{}\n", odd[odd.len().saturating_sub(60)..].join("\n"));
        let topics = std::fs::read_dir(self.folder.path().join("data")).into_iter().flatten().flatten();
        for topic in topics.filter(|topic| topic.file_name().to_string_lossy().ends_with(".ledger-0")) {
            let segments = std::fs::read_dir(topic.path()).into_iter().flatten().flatten().map(|file| file.path());
            for segment in segments.filter(|path| path.extension().is_some_and(|kind| kind == "log")) {
                let dumped = Command::new("java")
                    .args([
                        "-cp",
                        &format!("{}/*", libs().display()),
                        "kafka.tools.DumpLogSegments",
                        "--deep-iteration",
                    ])
                    .arg("--files")
                    .arg(&segment)
                    .output();
                let text = dumped.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                told += &format!("{}:\n{}\n", segment.display(), lines[lines.len().saturating_sub(200)..].join("\n"));
            }
        }
        told
    }

    fn script(&self, before: &[&str], after: &[&str]) {
        let run = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/kafka.sh"))
            .args(before)
            .arg(self.folder.path())
            .args(after)
            .env("KAFKA_LIBS", libs())
            .env("KEEP", "1")
            .env("START_TIMEOUT", "180")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

/// Where Kafka's libraries are.
fn libs() -> PathBuf {
    let of_tests = std::env::var("DRIFTGATE_TEST_KAFKA_DIR")
        .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/kafka"), PathBuf::from);
    of_tests.join("libs")
}

impl Drop for OwnBroker {
    /// Where the test fails, what the broker said last is shown: its folder is gone afterwards.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            eprintln!(
                "the log of the test's own broker, its end:\n{}\n{}",
                lines[lines.len().saturating_sub(30)..].join("\n"),
                self.evidence()
            );
        }
        self.stop();
    }
}
