//! The wall clock of the machine is set forwards and backwards by an hour while the daemon runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop};
use super::super::support::Folder;
use super::{Events, complete, replayed};

pub const HOUR: i64 = 3_600_000;
/// Everything goes on within this after a step.
const SOON: Duration = Duration::from_secs(10);

/// A clock that can be since, built from `tests/support/step.c`.
pub struct Clock {
    library: String,
    file: String,
}

impl Clock {
    /// With files of this name in a folder.
    pub fn new(folder: &Folder, name: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/step.c");
        let clock = Self {
            library: folder.path(&format!("{name}.so")).display().to_string(),
            file: folder.path(name).display().to_string(),
        };
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o", &clock.library]).arg(source).arg("-ldl").status();
        assert!(built.unwrap().success());
        std::fs::write(&clock.file, [0; 8]).unwrap();
        clock
    }

    /// The environment of a process that goes by it.
    pub fn environment(&self) -> [(&'static str, &str); 2] {
        [("LD_PRELOAD", &self.library), ("CLOCK_STEP", &self.file)]
    }

    /// In place, since the daemon has the file in its memory.
    pub fn step(&self, ms: i64) {
        let mut file = std::fs::OpenOptions::new().write(true).open(&self.file).unwrap();
        file.write_all(&ms.to_le_bytes()).unwrap();
    }
}

fn part(start: i64, windows: std::ops::Range<i64>) -> Events {
    let event = |i: i64| {
        let json = json!({"prediction_id": i.to_string(), "model": "shop", "version": "1", "ts": start + i * 20, "score": 0.3, "features": {"x": i * 2 % 1000}});
        ((i % 2) as i32, i.to_string(), json.to_string().into_bytes())
    };
    (windows.start * 500..windows.end * 500).map(event).collect()
}

#[test]
fn a_clock_that_is_stepped_by_an_hour_stops_nothing_and_changes_no_verdict() {
    let (folder, topics) = (Folder::new(), Topics::new("clock", 2));
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
    folder.write_secret("tokens", "secret-of-these-tests-0123456789 operator * ops\n");
    folder.write_secret("token", "secret-of-these-tests-0123456789");
    // A webhook where nobody listens at first.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = topics
        .config("shop.yaml", "2s")
        .replace("listen: \"127.0.0.1:0\"", "listen: \"127.0.0.1:0\", tokens_file: tokens");
    let hook = format!("publish: {{webhooks: [{{url: \"http://127.0.0.1:{port}/hook\"}}], ");
    folder.write("driftgate.yaml", text.replace("publish: {", &hook));
    let clock = Clock::new(&folder, "step");
    let daemon = Daemon::start(&config, &clock.environment());
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));

    let start = now_ms() / 10_000 * 10_000 - 300_000;
    let mut published = Events::new();
    let checkpoints = || daemon.metric("driftgate_checkpoint_written_total").unwrap_or(0.0);
    let written_at = || daemon.metric("driftgate_checkpoint_last_timestamp_seconds").unwrap_or(0.0);
    for (at, step) in (0_i64..).zip([0, HOUR, 0, -HOUR, HOUR, -HOUR]) {
        clock.step(step);
        let since = Instant::now();
        let chunk = part(start, at * 3..at * 3 + 3);
        publish(&topics.predictions, chunk.clone());
        published.extend(chunk);
        let before = checkpoints();
        let closed = (start + (at * 3 + 2) * 10_000) as f64 / 1000.0;
        wait_for("the windows to close", || {
            daemon.metric("driftgate_watermark_timestamp_seconds").filter(|s| *s >= closed)
        });
        wait_for("their verdicts", || (read(&topics.verdicts).len() as i64 >= at * 3 + 2).then_some(()));
        wait_for("two checkpoints", || (checkpoints() >= before + 2.0).then_some(()));
        assert!(since.elapsed() < SOON, "{step}: {:?}", since.elapsed());
        // That the clock is since indeed.
        let ahead = written_at() - now_ms() as f64 / 1000.0;
        assert!((ahead - step as f64 / 1000.0).abs() < 30.0, "{step}: {ahead}");
        assert_eq!(daemon.get("/ready").0, 200, "{step}: {}", daemon.get("/ready").1);
    }
    assert_eq!(daemon.metric("driftgate_late_events_total{model=\"shop\"}"), Some(0.0));
    assert_eq!(complete(read(&topics.verdicts)), replayed(&folder, "shop.yaml", "", &[&published]));

    // What failed before a step is tried again after it; a token holds on.
    let server = &daemon.url;
    folder.driftgate(&format!("register shop 1 --stage prod --server {server} --token-file token")).exits(0);
    std::thread::sleep(Duration::from_secs(2));
    clock.step(HOUR);
    std::thread::sleep(Duration::from_secs(1));
    clock.step(-HOUR);
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        send.send(String::from_utf8(body).unwrap()).unwrap();
    });
    let told = receive.recv_timeout(Duration::from_secs(20)).expect("the webhook is tried again");
    assert!(told.contains("prod"), "{told}");
    folder.driftgate(&format!("freeze shop --reason drill --server {server} --token-file token")).exits(0);
    assert_eq!(daemon.stop(), Some(0));
}
