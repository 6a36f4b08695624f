//! Whoever reaches the port is slow, silent or many: others are answered, checkpoints go on, and what nobody needs is closed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::raw::{ask, connect, lives, status};
use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving, token};

/// A daemon with few descriptors.
fn daemon(service: &Service) -> Daemon {
    let daemon = Daemon::start_limited(&service.config(), "-n 256");
    service.minutes(0, 2, &[serving("1", "prod")]);
    wait_for("a start", || (daemon.get("/ready").0 == 200).then_some(()));
    daemon
}

fn checkpoints(daemon: &Daemon) -> f64 {
    daemon.metric("driftgate_checkpoint_written_total ").unwrap()
}

/// Checkpoints are written still, and `/live` is answered meanwhile.
#[track_caller]
fn goes_on(daemon: &Daemon) {
    let before = checkpoints(daemon);
    let until = Instant::now() + Duration::from_secs(10);
    while checkpoints(daemon) < before + 2.0 {
        lives(&daemon.url);
        assert!(Instant::now() < until, "no checkpoint in 10 s");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(daemon.metric("driftgate_checkpoint_failed_total "), Some(0.0), "{}", daemon.log());
}

/// Whether the other side has closed a connection on which nothing is to come.
fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    !matches!(stream.read(&mut [0; 64]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn idle_and_quick_connections_stop_neither_probes_nor_checkpoints() {
    let service = Service::new("crowd", "", CANARY, "");
    let daemon = daemon(&service);
    assert!(daemon.log().contains("leaves fewer connections than 256"), "{}", daemon.log());
    let mut idle: Vec<TcpStream> = (0..250).map(|_| connect(&daemon.url)).collect();
    lives(&daemon.url);
    goes_on(&daemon);
    let limit = daemon.metric("driftgate_http_connections_limit ").unwrap();
    assert!((32.0..=128.0).contains(&limit), "{limit}");
    assert!(daemon.metric("driftgate_http_connections ").unwrap() <= limit);
    assert!(daemon.metric("driftgate_http_refused_total{reason=\"made_room\"}").unwrap() >= 250.0 - limit);
    assert!(daemon.log().contains("too many connections"), "{}", daemon.log());
    assert!(is_closed(&mut idle[0], Duration::from_millis(500)), "the oldest made room");

    // Another 10,000, each gone at once or after a request that nobody reads.
    let is_over = Arc::new(AtomicBool::new(false));
    let (url, over) = (daemon.url.clone(), Arc::clone(&is_over));
    let flood = thread::spawn(move || {
        for n in 0..10_000 {
            let mut stream = connect(&url);
            if n % 2 == 0 {
                let _ = stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    while !is_over.load(Ordering::Relaxed) {
        lives(&daemon.url);
        thread::sleep(Duration::from_millis(50));
    }
    flood.join().unwrap();
    goes_on(&daemon);
    // What was never asked is closed.
    wait_for("the connections to be closed", || (daemon.metric("driftgate_http_connections ")? <= 3.0).then_some(()));
    let lines = daemon.log().lines().filter(|l| l.contains("too many connections")).count();
    assert!(lines <= 10, "{lines} lines");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn slow_heads_bodies_and_readers_are_cut_off() {
    let service = Service::new("slow", "", CANARY, "");
    let daemon = daemon(&service);
    let url = daemon.url.clone();
    // A head of which a byte comes each second.
    let mut heads: Vec<TcpStream> = (0..40).map(|_| connect(&url)).collect();
    // A body of which a byte comes each second.
    let path = "/api/v1/models/slow/versions/1/evidence";
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n",
        token("op")
    );
    let mut bodies: Vec<TcpStream> = (0..20).map(|_| connect(&url)).collect();
    bodies.iter_mut().for_each(|s| s.write_all(head.as_bytes()).unwrap());
    // A reader that takes nothing of many answers.
    let readers: Vec<TcpStream> = (0..5).map(|_| connect(&url)).collect();
    for reader in &readers {
        let mut reader = reader.try_clone().unwrap();
        reader.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        thread::spawn(move || while reader.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok() {});
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(13) {
        heads.iter_mut().chain(&mut bodies).for_each(|s| drop(s.write_all(b"x")));
        goes_on(&daemon);
    }
    for head in &mut heads {
        assert!(is_closed(head, Duration::from_millis(100)), "a head may take 10 s");
    }
    for body in &mut bodies {
        let mut answer = String::new();
        let _ = body.read_to_string(&mut answer);
        assert_eq!(status(&answer), 408, "{answer}");
        assert!(answer.contains("the body did not come within 10 s"), "{answer}");
    }
    let late = |phase: &str| daemon.metric(&format!("driftgate_http_timeouts_total{{phase=\"{phase}\"}}")).unwrap();
    assert_eq!((late("head"), late("body")), (40.0, 20.0));
    wait_for("the end of what is not read", || (late("answer") >= 5.0).then_some(()));
    assert!(daemon.log().lines().filter(|l| l.contains("this took too long")).count() <= 5, "{}", daemon.log());
    // A body that is there is taken, however it comes.
    let mut stream = connect(&url);
    let body = "{\"tests\": \"pass\"}";
    let head = head.replace("1000", &body.len().to_string()).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    service.run(&daemon, "op", "register slow 1").exits(0);
    stream.write_all(head.as_bytes()).unwrap();
    for part in body.as_bytes().chunks(6) {
        thread::sleep(Duration::from_millis(500));
        stream.write_all(part).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn heads_are_bounded_and_a_flood_of_reads_holds_up_no_change() {
    let service = Service::new("flood", "", CANARY, "");
    let daemon = daemon(&service);
    let url = daemon.url.clone();
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(status(&ask(&url, &format!("GET /live HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"))), 431);
    let long = "y".repeat(40_000);
    assert_eq!(status(&ask(&url, &format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"))), 431);
    service.run(&daemon, "op", "register flood 1").exits(0);

    let is_over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..60)
        .map(|n| {
            let (url, over) = (url.clone(), Arc::clone(&is_over));
            thread::spawn(move || {
                let paths =
                    ["/api/v1/status", "/metrics", "/api/v1/models/flood/history", "/api/v1/gate/flood/1?to=prod"];
                let mut answers = 0;
                while !over.load(Ordering::Relaxed) {
                    let path = paths[n % paths.len()];
                    let answer =
                        ask(&url, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
                    answers += usize::from(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 503"));
                }
                answers
            })
        })
        .collect();
    thread::sleep(Duration::from_secs(1));
    let body = "{\"tests\": \"pass\"}";
    let change = format!(
        "POST /api/v1/models/flood/versions/1/evidence HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        token("op"),
        body.len()
    );
    for _ in 0..5 {
        lives(&url);
        let begun = Instant::now();
        let answer = ask(&url, &change);
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(3), "a change took {:?}", begun.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    let answered = asking.into_iter().map(|t| t.join().unwrap()).min();
    assert!(answered > Some(0), "each of them was answered");
    goes_on(&daemon);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn descriptors_are_raised_to_what_the_system_allows() {
    let service = Service::new("descriptors", "", CANARY, "");
    let daemon = Daemon::start_limited(&service.config(), "-Sn 64");
    assert!(!daemon.log().contains("leaves fewer connections"), "{}", daemon.log());
    let held: Vec<TcpStream> = (0..150).map(|_| connect(&daemon.url)).collect();
    lives(&daemon.url);
    assert!(daemon.metric("driftgate_http_connections ").unwrap() > 150.0);
    drop(held);
    assert_eq!(daemon.stop(), Some(0));
}
