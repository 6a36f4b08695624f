//! Processes of one configuration, each with a state folder, a registry and a port of its own. Who ends by itself is started again, as
//! a supervisor does.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::claims::{Claim, Claims};
use super::oracle::{self, Kept};
use super::stream::{MODELS, PARTITIONS, TOPICS, UNITS, write_policies};
use crate::broker::wait_for;
use crate::faults::clock::Clock;
use crate::service::token;
use crate::support::Folder;

/// The session of the group's members, and how often the state is committed.
pub const SESSION: Duration = Duration::from_secs(3);

/// Where processes run: brokers, topics and a folder.
pub struct Site {
    pub folder: Folder,
    pub brokers: String,
    /// On how many brokers each topic lies.
    pub copies: usize,
    /// The name of a process that reaches the brokers another way, and their address for it.
    pub relayed: Option<(String, String)>,
    /// Before the name of each topic, and the group.
    pub prefix: String,
    pub mode: Mode,
}

/// What processes divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: one process without `cluster:`.
    Alone,
    Models,
    Partitions,
}

/// A topic to make: name, partitions, settings.
pub type NewOne<'t> = (String, i32, &'t [(&'t str, &'t str)]);

/// Makes topics that are not there.
pub fn make_topics(brokers: &str, copies: usize, topics: &[NewOne<'_>]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let new = topics.iter().map(|(name, partitions, settings)| {
        let new = NewTopic::new(name, *partitions, TopicReplication::Fixed(i32::try_from(copies).unwrap()));
        settings.iter().fold(new, |new, (key, value)| new.set(key, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(admin.create_topics(&new, &AdminOptions::new())).unwrap();
    made.into_iter().for_each(|topic| drop(topic.unwrap()));
    // A process that starts before their leaders answer takes what it reads first for the rest of something.
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for (name, partition) in topics.iter().flat_map(|(name, n, _)| (0..*n).map(move |p| (name, p))) {
        wait_for("leaders of new topics", || consumer.fetch_watermarks(name, partition, Duration::from_secs(5)).ok());
    }
}

impl Site {
    /// With the topics of events and results. `prefix` is nobody else's on these brokers.
    pub fn new(brokers: String, prefix: String, mode: Mode) -> Self {
        Self::with_copies(brokers, prefix, mode, 1)
    }

    /// The same on several brokers.
    pub fn with_copies(brokers: String, prefix: String, mode: Mode, copies: usize) -> Self {
        let site = Self { folder: Folder::new(), brokers, copies, relayed: None, prefix, mode };
        write_policies(&site.folder);
        let tokens = [("op", "operator", "ci@company"), ("owner", "approver:owner", "owner@company")];
        let tokens = tokens.map(|(name, role, actor)| format!("{} {role} * {actor}\n", token(name)));
        site.folder.write_secret("tokens", tokens.concat());
        if mode != Mode::Alone {
            site.folder.write_audit_key("audit.key");
        }
        let mut topics: Vec<NewOne<'_>> =
            TOPICS.iter().map(|(name, _)| (site.topic(name), PARTITIONS, &[] as &[_])).collect();
        topics.extend(["verdicts", "signals"].map(|name| (site.topic(name), 1, &[] as &[_])));
        make_topics(&site.brokers, site.copies, &topics);
        site
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn group(&self) -> String {
        self.topic("group")
    }

    /// The prefix of the internal topics.
    pub fn internal(&self, name: &str) -> String {
        self.topic(&format!("in.{name}"))
    }

    /// The internal topics, as an operator makes them.
    pub fn make_internal_topics(&self, config: &str) {
        self.folder.driftgate(&format!("cluster topics --create --config {config}")).exits(0);
    }

    pub fn claims(&self) -> Claims {
        Claims::of(&self.brokers, &self.group(), &self.internal("units"), self.slots())
    }

    /// How many slots there are: of the ledger, and of each unit or its parts.
    pub fn slots(&self) -> usize {
        let each = if self.mode == Mode::Partitions { 1 + PARTITIONS as usize } else { 1 };
        1 + UNITS.len() * each
    }

    /// The configuration of a process with files of this name.
    fn config(&self, name: &str, instance: &str, port: u16) -> String {
        let mut text = String::from("policies: [");
        MODELS.iter().for_each(|(model, ..)| text += &format!("{model}.yaml, "));
        text += "paper.yaml]\nsources:\n";
        for (topic, kind) in TOPICS {
            let models = MODELS.iter().filter(|(_, p, l)| *p == topic || *l == topic);
            let models: Vec<&str> = models.map(|(model, ..)| *model).collect();
            let (name, models) = (self.topic(topic), models.join(", "));
            let _ = writeln!(text, "- {{topic: \"{name}\", kind: {kind}, models: [{models}], http: /events/{topic}}}");
        }
        let relayed = self.relayed.as_ref().filter(|(of, _)| of == name).map(|(_, address)| address);
        let (verdicts, signals) = (self.topic("verdicts"), self.topic("signals"));
        let _ = write!(
            text,
            "kafka: {{brokers: \"{}\", group: \"{}\"}}\nidle_after: 1s\n\
             registry: {{embedded: {{path: \"{name}.db\"}}}}\n\
             publish: {{verdicts: \"{verdicts}\", signals: \"{signals}\"}}\n\
             state: {{path: \"state-{name}\", every: 1s}}\n\
             http: {{listen: \"127.0.0.1:{port}\", tokens_file: tokens}}\n",
            relayed.unwrap_or(&self.brokers),
            self.group()
        );
        if self.mode != Mode::Alone {
            let split = if self.mode == Mode::Partitions { "partitions" } else { "models" };
            let _ = write!(
                text,
                "cluster:\n  split: {split}\n  instance: {instance}\n  session: {}s\n  commit: 1s\n  advertise: \"http://127.0.0.1:{port}\"\n\
                 \x20 topics: {{prefix: \"{}\", replication: {}}}\n  audit_key: audit.key\n",
                SESSION.as_secs(),
                self.internal(""),
                self.copies
            );
        }
        text
    }
}

/// What is wanted of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Running,
    Frozen,
    Down,
}

struct Process {
    child: Option<Child>,
    wanted: Wanted,
    /// Since when it is not as it was.
    since: Instant,
    /// Exit codes of those that ended by themselves.
    ended: Vec<Option<i32>>,
}

/// One of the processes.
pub struct Member {
    pub name: String,
    pub url: String,
    clock: Clock,
    process: Mutex<Process>,
}

/// Where what is written finds no room; it does again once this is dropped.
pub struct Full(Vec<PathBuf>);

impl Drop for Full {
    fn drop(&mut self) {
        self.0.iter().for_each(|link| drop(std::fs::remove_file(link)));
    }
}

/// All of them.
pub struct Fleet {
    pub site: Site,
    pub members: Vec<Member>,
    pub http: reqwest::blocking::Client,
    /// Ends after SIGTERM that were no success.
    pub odd_ends: Mutex<Vec<String>>,
    begun: Instant,
    diary: Mutex<String>,
}

/// A port that nobody has now, and that no connection takes by itself.
pub fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let from = 20_000 + u16::try_from(std::process::id() % 390).unwrap() * 10;
    let ports = std::iter::repeat_with(|| from + NEXT.fetch_add(1, Ordering::Relaxed)).take(100);
    ports.into_iter().find(|p| std::net::TcpListener::bind(("127.0.0.1", *p)).is_ok()).expect("a free port")
}

impl Fleet {
    /// Configures processes of these names, which are their instances; none is started.
    pub fn new(site: Site, names: &[&str]) -> Arc<Self> {
        Self::of_instances(site, &names.iter().map(|name| (*name, *name)).collect::<Vec<_>>())
    }

    /// The same by names of their files and instances.
    pub fn of_instances(site: Site, names: &[(&str, &str)]) -> Arc<Self> {
        let member = |(name, instance): &(&str, &str)| {
            let port = free_port();
            site.folder.write(&format!("{name}.yaml"), site.config(name, instance, port));
            let process = Process { child: None, wanted: Wanted::Down, since: Instant::now(), ended: Vec::new() };
            let (name, url) = ((*name).to_owned(), format!("http://127.0.0.1:{port}"));
            Member {
                clock: Clock::new(&site.folder, &format!("clock-{name}")),
                name,
                url,
                process: Mutex::new(process),
            }
        };
        let members = names.iter().map(member).collect();
        let http = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(3))
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Arc::new(Self {
            site,
            members,
            http,
            odd_ends: Mutex::default(),
            begun: Instant::now(),
            diary: Mutex::default(),
        })
    }

    /// Writes into the diary, which is told when a test fails.
    pub fn note(&self, text: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        let _ = writeln!(self.diary.lock().unwrap(), "{at:8.3} {text}");
    }

    fn process(&self, i: usize) -> MutexGuard<'_, Process> {
        self.members[i].process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn spawn(&self, i: usize) -> Child {
        let name = &self.members[i].name;
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(i)).unwrap();
        let config = format!("{name}.yaml");
        Command::new(env!("CARGO_BIN_EXE_driftgate"))
            .args(["run", "--threads", "2", "--config", &config])
            .current_dir(self.site.folder.path(""))
            .envs(self.members[i].clock.environment())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log_path(&self, i: usize) -> PathBuf {
        self.site.folder.path(&format!("{}.log", self.members[i].name))
    }

    pub fn log(&self, i: usize) -> String {
        std::fs::read_to_string(self.log_path(i)).unwrap_or_default()
    }

    /// Starts a process that is down, or lets one go on that is frozen.
    pub fn start(&self, i: usize) {
        let mut process = self.process(i);
        match process.wanted {
            Wanted::Running => return,
            Wanted::Frozen => signal(process.child.as_ref().unwrap(), "CONT"),
            Wanted::Down => process.child = Some(self.spawn(i)),
        }
        process.wanted = Wanted::Running;
        process.since = Instant::now();
        self.note(&format!("{} runs", self.members[i].name));
    }

    /// SIGKILL; it stays down.
    pub fn kill(&self, i: usize) {
        let mut process = self.process(i);
        if let Some(mut child) = process.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        process.wanted = Wanted::Down;
        process.since = Instant::now();
        self.note(&format!("{} is killed", self.members[i].name));
    }

    fn end(&self, i: usize) {
        let mut process = self.process(i);
        process.wanted = Wanted::Down;
        if let Some(mut child) = process.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP, until it is started.
    pub fn freeze(&self, i: usize) {
        let mut process = self.process(i);
        if process.wanted == Wanted::Running
            && let Some(child) = process.child.as_ref()
        {
            signal(child, "STOP");
            process.wanted = Wanted::Frozen;
            process.since = Instant::now();
            self.note(&format!("{} is frozen", self.members[i].name));
        }
    }

    /// Sets the clock of a process so many ms forwards.
    pub fn step_clock(&self, i: usize, ms: i64) {
        self.members[i].clock.step(ms);
        self.note(&format!("the clock of {} is {ms} ms off", self.members[i].name));
    }

    /// Fills the disk under the checkpoints of a process, as far as there are some.
    pub fn fill_disk(&self, i: usize) -> Full {
        self.note(&format!("the disk of {} is full", self.members[i].name));
        let state = self.site.folder.path(&format!("state-{}", self.members[i].name));
        let units = std::fs::read_dir(&state).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let folders = units.filter(|path| path.is_dir()).chain([state]).filter(|f| f.join("checkpoint.bin").exists());
        // One that is just written has the name for a moment.
        let link = |folder: PathBuf| {
            let fresh = folder.join("checkpoint.bin.new");
            let until = Instant::now() + Duration::from_secs(2);
            let linked = || std::os::unix::fs::symlink("/dev/full", &fresh).is_ok();
            while !linked() {
                if Instant::now() > until {
                    return None;
                }
            }
            Some(fresh)
        };
        Full(folders.filter_map(link).collect())
    }

    /// SIGTERM, and the exit code; it stays down.
    pub fn stop(&self, i: usize) -> Option<i32> {
        let mut child = {
            let mut process = self.process(i);
            process.wanted = Wanted::Down;
            process.since = Instant::now();
            process.child.take()?
        };
        self.note(&format!("{} is to end", self.members[i].name));
        signal(&child, "TERM");
        let code = wait_for("a process to end", || child.try_wait().unwrap()).code();
        self.process(i).since = Instant::now();
        self.note(&format!("{} has ended with {code:?}", self.members[i].name));
        code
    }

    /// Starts those again that ended by themselves.
    fn look_after(&self) {
        for i in 0..self.members.len() {
            let mut process = self.process(i);
            let Some(code) = process.child.as_mut().and_then(|child| child.try_wait().unwrap()) else { continue };
            self.note(&format!("{} ended by itself with {:?}", self.members[i].name, code.code()));
            process.ended.push(code.code());
            process.child = (process.wanted != Wanted::Down).then(|| self.spawn(i));
            process.wanted = if process.child.is_some() { Wanted::Running } else { Wanted::Down };
            process.since = Instant::now();
        }
    }

    /// How many ended by themselves, by process.
    pub fn ended(&self) -> Vec<usize> {
        (0..self.members.len()).map(|i| self.process(i).ended.len()).collect()
    }

    pub fn wanted(&self, i: usize) -> Wanted {
        self.process(i).wanted
    }

    /// Since when a process does not run; `None` while it does.
    pub fn away_since(&self, i: usize) -> Option<Instant> {
        let process = self.process(i);
        (process.wanted != Wanted::Running).then_some(process.since)
    }

    /// The process that a transactional id is of.
    pub fn of_writer(&self, writer: &str) -> Option<usize> {
        let group = self.site.group();
        let rest = writer.strip_prefix(&group)?.strip_prefix('-')?;
        let (instance, _) = rest.split_once("-u.").or_else(|| rest.rsplit_once("-ledger"))?;
        self.members.iter().position(|m| m.name == instance)
    }

    /// What a process's state folder holds of a unit: of the whole where there is no cluster.
    pub fn kept(&self, i: usize, unit: &str) -> Option<Kept> {
        let name = &self.members[i].name;
        let state =
            if self.site.mode == Mode::Alone { format!("state-{name}") } else { format!("state-{name}/{unit}") };
        oracle::kept(&self.site.folder, &state)
    }

    /// What the owners' state folders hold together; `claim` tells that of a slot.
    pub fn all_kept(&self, claim: impl Fn(u32) -> Option<Claim>) -> Option<Kept> {
        if self.site.mode == Mode::Alone {
            return self.kept(0, "");
        }
        let mut all = Kept::default();
        for slot in 1..self.site.slots() as u32 {
            let claim = claim(slot)?;
            let of = self.kept(self.of_writer(&claim.writer)?, claim.folder())?;
            all.next.extend(of.next);
            // What judges has seen what the shards have counted.
            if !claim.judges() {
                of.predictions.into_iter().for_each(|(of, n)| *all.predictions.entry(of).or_default() += n);
            }
        }
        Some(all)
    }

    /// Status and body of a GET, if the process answers.
    pub fn get(&self, i: usize, path: &str) -> Option<(u16, String)> {
        let answer = self.http.get(format!("{}{path}", self.members[i].url)).send().ok()?;
        Some((answer.status().as_u16(), answer.text().ok()?))
    }

    /// The value of a metric's series, by the start of its line.
    pub fn metric(&self, i: usize, series: &str) -> Option<f64> {
        let (_, text) = self.get(i, "/metrics")?;
        text.lines().find(|l| l.starts_with(series)).and_then(|l| l.rsplit(' ').next()?.parse().ok())
    }

    pub fn wait_until_ready(&self, i: usize) {
        wait_for(&format!("{} to be ready", self.members[i].name), || {
            self.get(i, "/ready").filter(|(status, _)| *status == 200)
        });
    }

    /// How each process stands, in a few lines: what is wanted of it, what it answers, and what it complained of last.
    pub fn standing(&self) -> String {
        let mut text = String::new();
        for (i, member) in self.members.iter().enumerate() {
            let ready = self.get(i, "/ready").map(|(status, body)| format!("{status} {body:.600}"));
            let (log, ended) = (self.log(i), self.ended()[i]);
            let complaints: Vec<&str> =
                log.lines().filter(|l| l.contains("\"ERROR\"") || l.contains("\"WARN\"")).collect();
            let last = &complaints[complaints.len().saturating_sub(4)..];
            let _ = writeln!(
                text,
                "{}: {:?}, ended by itself {ended} times; /ready: {}\n  {}",
                member.name,
                self.wanted(i),
                ready.unwrap_or_else(|| "no answer".to_owned()),
                last.join("\n  ")
            );
        }
        text
    }

    /// What happened, and the ends of the logs.
    pub fn told(&self) -> String {
        let mut text =
            format!("what happened:\n{}", self.diary.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for i in 0..self.members.len() {
            let log = self.log(i);
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(30);
            let _ = write!(
                text,
                "the log of {}, {} lines:\n{}\n",
                self.members[i].name,
                lines.len(),
                lines[last..].join("\n")
            );
        }
        text
    }
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

impl Drop for Fleet {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|i| self.end(i));
    }
}

/// Ends all processes when a test is over, even where a thread still looks at them, and tells what happened if it failed.
pub struct Guard(pub Arc<Fleet>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.told());
            if let Ok(keep) = std::env::var("DRIFTGATE_SIMULATION_KEEP") {
                let _ = std::fs::write(self.0.site.folder.path("what-happened"), self.0.told());
                let _ = Command::new("cp").arg("-r").arg(self.0.site.folder.path("")).arg(keep).status();
            }
        }
        (0..self.0.members.len()).for_each(|i| self.0.end(i));
    }
}

/// Starts processes again that end by themselves, until it is dropped.
pub struct Supervisor {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Supervisor {
    pub fn start(fleet: &Arc<Fleet>) -> Self {
        let (stop, fleet) = (Arc::<AtomicBool>::default(), Arc::clone(fleet));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                fleet.look_after();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}
