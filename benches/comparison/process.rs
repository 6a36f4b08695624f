//! Whole processes: run to their end, or watched while they run. What they use is read from /proc.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::results::Sample;
use crate::settings::BINARY;

/// How often a process's memory is looked at: often enough for its peak, seldom enough to take nothing from what runs on
/// every core.
const LOOK: Duration = Duration::from_millis(20);
/// Ticks of /proc's processor times in per second, on every Linux there is.
const TICKS: f64 = 100.0;

/// What a process uses: the most memory resident so far, what is resident now (MiB), and processor time (s).
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub peak: f64,
    pub resident: f64,
    pub cpu: f64,
}

impl Usage {
    /// `None` once the process has ended.
    pub fn of(pid: u32) -> Option<Self> {
        let (peak, resident) = memory(pid)?;
        Some(Self { peak, resident, cpu: cpu(pid)? })
    }
}

/// The most memory of a process so far, and what is resident now, in MiB.
fn memory(pid: u32) -> Option<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mib = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
    };
    Some((mib("VmHWM:")?, mib("VmRSS:")?))
}

/// Processor time of a process and its threads, user's and kernel's, in seconds.
pub fn cpu(pid: u32) -> Option<f64> {
    times_of(&pid.to_string(), 11)
}

/// The same of all children of this process that have ended.
fn ended_children_cpu() -> f64 {
    times_of("self", 13).expect("this process's times")
}

/// The sum of two processor times, of the user and of the kernel, in /proc's `stat` of a process: `field` is the first of
/// them, counted behind the process's name.
fn times_of(process: &str, field: usize) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(field);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Processor time of this thread, in seconds: unlike the clock's, it is nearly the same on a machine that is busy.
pub fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel with scheduler statistics");
    let nanoseconds = stat.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.expect("processor time") / 1e9
}

/// Runs a command to its end, which must be a success; gives what it used and what it printed.
pub fn run(command: &mut Command) -> (Sample, String) {
    let mut printed = tempfile::tempfile().expect("a scratch file");
    let mut said = tempfile::tempfile().expect("a scratch file");
    let handle = |f: &File| Stdio::from(f.try_clone().expect("a file handle"));
    command.stdin(Stdio::null()).stdout(handle(&printed)).stderr(handle(&said));
    let cpu = ended_children_cpu();
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not run: {e}"));
    let pid = child.id();
    let ended = AtomicBool::new(false);
    let (status, seconds, peak) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0.0;
            while !ended.load(Ordering::Relaxed) {
                peak = memory(pid).map_or(peak, |(peak, _)| peak);
                thread::park_timeout(LOOK);
            }
            peak
        });
        let status = child.wait().expect("a child");
        let seconds = begun.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        (status, seconds, watcher.join().expect("the watcher"))
    });
    let text = |file: &mut File| {
        let mut text = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("what was printed");
        text
    };
    let printed = text(&mut printed);
    assert!(status.success(), "{command:?} failed: {status}\n{printed}{}", text(&mut said));
    (Sample { seconds, after_start: None, resident: peak, cpu: ended_children_cpu() - cpu }, printed)
}

/// Ends a child that must not outlive a failure.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `driftgate run` whose log is read line by line.
pub struct Daemon {
    child: Ended,
    pub begun: Instant,
    log: Receiver<(Instant, Value)>,
    /// What its log said so far, with the time.
    pub said: Vec<(Instant, String)>,
    pub url: String,
    client: reqwest::blocking::Client,
}

impl Daemon {
    /// Starts it; returns once it listens.
    pub fn start(config: &Path) -> Self {
        let client = reqwest::blocking::Client::new();
        let begun = Instant::now();
        let mut child = Command::new(BINARY)
            .args(["run", "--config"])
            .arg(config)
            .env("DRIFTGATE_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("driftgate run runs");
        let lines = BufReader::new(child.stderr.take().expect("a log")).lines().map_while(Result::ok);
        let (send, log) = channel();
        thread::spawn(move || {
            for line in lines {
                let at = Instant::now();
                // Nobody listens once the run is over.
                let _ = send.send((at, serde_json::from_str(&line).unwrap_or(Value::String(line))));
            }
        });
        let mut daemon = Self { child: Ended(child), begun, log, said: Vec::new(), url: String::new(), client };
        let deadline = begun + Duration::from_secs(60);
        while daemon.url.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match daemon.log.recv_timeout(left) {
                Ok((at, line)) => daemon.hear(at, &line),
                Err(e) => panic!("the daemon does not listen ({e}): {:?}", daemon.said),
            }
        }
        daemon
    }

    fn hear(&mut self, at: Instant, line: &Value) {
        if let Some(address) = line["address"].as_str() {
            self.url = format!("http://{address}");
        }
        let message = line["message"].as_str().map_or_else(|| line.to_string(), str::to_owned);
        self.said.push((at, message));
    }

    /// Reads what the log says meanwhile; fails if it ended.
    pub fn listen(&mut self) {
        loop {
            match self.log.recv_timeout(Duration::ZERO) {
                Ok((at, line)) => self.hear(at, &line),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => panic!("the daemon ended: {:?}", self.said),
            }
        }
    }

    /// When its log said something for the `n`th time.
    pub fn heard(&self, message: &str, n: usize) -> Option<Instant> {
        self.said.iter().filter(|(_, m)| m == message).nth(n - 1).map(|(at, _)| *at)
    }

    /// An answer's text; `None` unless it is a success.
    pub fn get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().ok()?;
        answer.status().is_success().then(|| answer.text().ok())?
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }
}
