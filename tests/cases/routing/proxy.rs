//! Two model servers behind a proxy that divides its traffic as an `HTTPRoute` says, and writes what it served to Kafka.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kubernetes::kubectl;
use crate::broker::publish;
use crate::service::now_ms;
use crate::support::Random;

/// Requests a second.
const RATE: u64 = 40;
/// How often the proxy asks for its route.
const WATCH: Duration = Duration::from_millis(100);
/// How often what it served is written to Kafka.
const FLUSH: Duration = Duration::from_millis(100);

/// Answers after a time that can be set.
pub struct Model {
    pub latency_ms: Arc<AtomicU64>,
    address: std::net::SocketAddr,
}

impl Model {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let latency_ms = Arc::new(AtomicU64::new(5));
        let latency = Arc::clone(&latency_ms);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let latency = Arc::clone(&latency);
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {}
                    thread::sleep(Duration::from_millis(latency.load(Ordering::Relaxed)));
                    let _ = reader
                        .get_mut()
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n0.9");
                });
            }
        });
        Self { latency_ms, address }
    }

    /// A request, and how long it took in ms.
    fn ask(&self) -> f64 {
        let since = Instant::now();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"POST /predict HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("200"), "{answer}");
        since.elapsed().as_secs_f64() * 1000.0
    }
}

/// The candidate's weight in the route, and since when.
pub type Seen = Arc<Mutex<Vec<(Instant, i64)>>>;

/// What runs until it is dropped.
pub struct Proxy {
    pub seen: Seen,
    stops: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Serves version 6 and version 7 by their weights in the route at a path; what they answer goes to a topic as events of a model.
    pub fn start(route: &str, [old, new]: [Model; 2], topic: &str, model: &str) -> Self {
        let (seen, stops): (Seen, _) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let served: Arc<Mutex<Vec<(i64, Value)>>> = Arc::default();
        let weight = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        let running = |stops: &Arc<AtomicBool>| {
            let stops = Arc::clone(stops);
            move || !stops.load(Ordering::Relaxed)
        };

        let (goes_on, now, to, path) = (running(&stops), Arc::clone(&weight), Arc::clone(&seen), route.to_owned());
        threads.push(thread::spawn(move || {
            while goes_on() {
                let object: Value = serde_json::from_str(&kubectl(&format!("get --raw {path}"), "")).unwrap();
                let found = object.pointer("/spec/rules/0/backendRefs/1/weight").and_then(Value::as_i64).unwrap();
                now.store(found as u64, Ordering::Relaxed);
                let mut to = to.lock().unwrap();
                if to.last().is_none_or(|(_, last)| *last != found) {
                    to.push((Instant::now(), found));
                }
                drop(to);
                thread::sleep(WATCH);
            }
        }));

        let models = Arc::new([old, new]);
        let (goes_on, to, model) = (running(&stops), Arc::clone(&served), model.to_owned());
        threads.push(thread::spawn(move || {
            let mut random = Random(7);
            let mut due = Instant::now();
            let (mut request, mut is_shadowed) = (0_u64, true);
            while goes_on() {
                let is_new = random.below(100) < weight.load(Ordering::Relaxed);
                let prod_moved = weight.load(Ordering::Relaxed) == 100;
                request += 1;
                is_shadowed &= weight.load(Ordering::Relaxed) == 0;
                let ask = |is_new: bool, stage: &'static str| {
                    let (models, to, model) = (Arc::clone(&models), Arc::clone(&to), model.clone());
                    thread::spawn(move || {
                        let took = models[usize::from(is_new)].ask();
                        let mut served = to.lock().unwrap();
                        let ts = now_ms();
                        let event = json!({
                            "prediction_id": format!("{model}-{request}"), "model": model, "version": if is_new { "7" } else { "6" }, "ts": ts,
                            "stage": stage, "score": 0.9, "features": {"x": request % 10}, "latency_ms": took, "error": false,
                            "segments": {"region": "eu"},
                        });
                        served.push((ts, event));
                    });
                };
                ask(is_new, if !is_new || prod_moved { "prod" } else { "canary" });
                // Before its rollout the candidate gets a copy of each request.
                if is_shadowed {
                    ask(true, "staging");
                }
                due += Duration::from_millis(1000 / RATE);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }));

        let (goes_on, topic) = (running(&stops), topic.to_owned());
        threads.push(thread::spawn(move || {
            while goes_on() {
                let events = std::mem::take(&mut *served.lock().unwrap());
                let record =
                    |(_, event): (i64, Value)| (0, event["prediction_id"].to_string(), event.to_string().into_bytes());
                publish(&topic, events.into_iter().map(record));
                thread::sleep(FLUSH);
            }
        }));
        Self { seen, stops, threads }
    }

    /// The weights that it had, one after the other.
    pub fn weights(&self) -> Vec<i64> {
        self.seen.lock().unwrap().iter().map(|(_, weight)| *weight).collect()
    }

    /// Since when it has its present weight.
    pub fn since(&self) -> (Instant, i64) {
        *self.seen.lock().unwrap().last().expect("it has seen no route yet")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
