//! People at work meanwhile: versions registered and approved at any process, as somebody would who follows what the answers say; and
//! the gate, asked at each process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::claims::Notes;
use super::fleet::{Fleet, SESSION, Wanted};
use crate::broker::wait_for;
use crate::service::token;
use crate::support::Random;

/// Beyond the session: how often members are asked for, and a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// What they were told.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Versions whose registration was answered with success.
    pub registered: Vec<String>,
    /// Versions whose approval was answered with success.
    pub approved: Vec<String>,
    /// Answers 307 that were followed.
    pub followed: usize,
    /// Nobody answered, 503, or an answer that says that it is not known whether the change was made.
    pub put_off: usize,
    /// Answers that say that something is wrong.
    pub wrong: Vec<String>,
    /// Answers of the gate: pass, something else, none.
    pub gate: [usize; 3],
}

/// A POST to a process; where it says who is the owner, to that one.
fn post(fleet: &Fleet, i: usize, path: &str, who: &str, body: &Value) -> Result<(u16, String, usize), reqwest::Error> {
    let mut url = format!("{}{path}", fleet.members[i].url);
    let mut followed = 0;
    loop {
        let answer = fleet.http.post(&url).bearer_auth(token(who)).body(body.to_string());
        let answer = answer.header("content-type", "application/json").send()?;
        let status = answer.status().as_u16();
        let to = answer.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
        match to {
            Some(to) if status == 307 && followed < 4 => {
                assert!(to.ends_with(path), "{to} is not the same path as {path}");
                url = to;
                followed += 1;
            }
            _ => return Ok((status, answer.text()?, followed)),
        }
    }
}

/// The gate's verdict of a process on the version that passes.
pub fn gate(fleet: &Fleet, i: usize) -> Option<String> {
    let (status, body) = fleet.get(i, "/api/v1/gate/paper/n0?to=staging")?;
    let answer: Value = serde_json::from_str(&body).ok()?;
    (status == 200).then(|| answer["verdict"].as_str().unwrap_or_default().to_owned())
}

const EVIDENCE: &str = "git:1234abcd";

/// Registers a version and approves it, at two processes.
pub fn one(fleet: &Fleet, said: &mut Said, version: &str, at: [usize; 2]) {
    let path = format!("/api/v1/models/paper/versions/{version}");
    let register = (path.clone(), "op", json!({"evidence": {"code_commit": EVIDENCE}}));
    let approve = (path + "/approvals", "owner", json!({"to": "staging"}));
    for (step, (i, (path, who, body))) in at.into_iter().zip([register, approve]).enumerate() {
        match post(fleet, i, &path, who, &body) {
            Ok((200 | 201, _, followed)) => {
                said.followed += followed;
                if step == 0 { &mut said.registered } else { &mut said.approved }.push(version.to_owned());
            }
            // Who is the owner may change while it is told, or while the log is asked.
            Ok((status, body, followed))
                if matches!(status, 503 | 307) || (status == 500 && body.contains("may or may not have been made")) =>
            {
                said.followed += followed;
                said.put_off += 1;
                return;
            }
            Ok((status, body, _)) => {
                said.wrong.push(format!("{path} at {}: {status} {body}", fleet.members[i].name));
                return;
            }
            Err(_) => {
                said.put_off += 1;
                return;
            }
        }
    }
}

/// Registers and approves the version that the gate is asked about.
pub fn set_up(fleet: &Fleet) {
    wait_for("a version that passes", || {
        let mut said = Said::default();
        one(fleet, &mut said, "n0", [0, 0]);
        assert!(said.wrong.is_empty(), "{:?}", said.wrong);
        (said.approved.len() == 1).then_some(())
    });
    for i in (0..fleet.members.len()).filter(|i| fleet.wanted(*i) == Wanted::Running) {
        wait_for("the gate to pass everywhere", || (gate(fleet, i)? == "pass").then_some(()));
    }
}

/// Since when the process that the claim to the ledger names does not run.
fn ownerless_since(fleet: &Fleet, notes: Option<&Mutex<Vec<Notes>>>) -> Option<Instant> {
    let owner = match notes {
        Some(notes) => fleet.of_writer(&notes.lock().unwrap()[0].last()?.writer)?,
        None => 0,
    };
    fleet.away_since(owner)
}

/// Looks at the gate of each process once.
fn ask(fleet: &Fleet, said: &mut Said, notes: Option<&Mutex<Vec<Notes>>>) {
    for i in 0..fleet.members.len() {
        if fleet.wanted(i) != Wanted::Running {
            continue;
        }
        let before = ownerless_since(fleet, notes).filter(|since| since.elapsed() > SESSION + SEEN_WITHIN);
        let verdict = gate(fleet, i);
        // The owner of before is still away: nobody was the owner when the gate was asked, nor when it answered.
        let after = ownerless_since(fleet, notes);
        match verdict.as_deref() {
            Some("pass") => {
                said.gate[0] += 1;
                if let Some(since) = before.filter(|since| after == Some(*since)) {
                    let (name, away) = (&fleet.members[i].name, since.elapsed());
                    said.wrong.push(format!("the gate of {name} passes, {away:?} after the owner was last seen alive"));
                }
            }
            Some(_) => said.gate[1] += 1,
            None => said.gate[2] += 1,
        }
    }
}

/// People and pipelines at work until they are told to stop.
pub struct People {
    said: Arc<Mutex<Said>>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl People {
    pub fn start(fleet: &Arc<Fleet>, notes: Option<Arc<Mutex<Vec<Notes>>>>, seed: u64) -> Self {
        let (said, stop) = (Arc::<Mutex<Said>>::default(), Arc::<AtomicBool>::default());
        let work = {
            let (fleet, said, stop) = (Arc::clone(fleet), Arc::clone(&said), Arc::clone(&stop));
            move || {
                let (random, mut n) = (&mut Random(seed), 0);
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let all = fleet.members.len() as u64;
                    let mut told = Said::default();
                    one(&fleet, &mut told, &format!("n{n}"), [(); 2].map(|()| random.below(all) as usize));
                    let mut said = said.lock().unwrap();
                    said.registered.append(&mut told.registered);
                    said.approved.append(&mut told.approved);
                    said.wrong.append(&mut told.wrong);
                    said.followed += told.followed;
                    said.put_off += told.put_off;
                    drop(said);
                    std::thread::sleep(Duration::from_millis(300));
                }
            }
        };
        let ask = {
            let (fleet, said, stop) = (Arc::clone(fleet), Arc::clone(&said), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut told = Said::default();
                    ask(&fleet, &mut told, notes.as_deref());
                    let mut said = said.lock().unwrap();
                    said.wrong.append(&mut told.wrong);
                    said.gate.iter_mut().zip(told.gate).for_each(|(all, n)| *all += n);
                    drop(said);
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        };
        Self { said, stop, threads: vec![std::thread::spawn(work), std::thread::spawn(ask)] }
    }

    /// Stops them; what they were told.
    pub fn stop(mut self) -> Said {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.said.lock().unwrap().clone()
    }
}

impl Drop for People {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
