//! No allocation an inference: reading its halves, joining and decoding them reuse their memory, and what waits takes little beside its own.

use std::sync::Mutex;

use driftgate_core::decode::decoder::Format;
use driftgate_core::event::Limits;
use driftgate_core::kserve::pairs::Pairs;
use driftgate_core::kserve::{Halves, Logged, Settings, Version};
use driftgate_core::pipeline::batch::decode;

use super::{BATCH, EVENTS, Feed};
use crate::counting::{allocations, live_bytes};
use crate::mlserver::field;

/// Makes the request or the response of a number.
type Make = fn(is_response: bool, i: usize) -> Vec<u8>;

fn body(is_response: bool, i: usize) -> String {
    if is_response {
        let score = 1 + i % 89;
        return format!(
            r#"{{"id":"e{i:09}","model_version":"1","outputs":[{{"name":"p","shape":[1],"datatype":"FP64","data":[0.{score}]}}]}}"#
        );
    }
    let (x, c) = (i % 900, i % 40);
    format!(
        r#"{{"id":"e{i:09}","inputs":[{{"name":"x","shape":[1,1],"datatype":"FP64","data":[[{x}.5]]}},{{"name":"c","shape":[1],"datatype":"BYTES","data":["c{c}"]}}]}}"#
    )
}

fn oip(is_response: bool, i: usize) -> Vec<u8> {
    body(is_response, i).into_bytes()
}

fn kserve(is_response: bool, i: usize) -> Vec<u8> {
    let kind = if is_response { "response" } else { "request" };
    let body = body(is_response, i);
    let kind = format!("org.kubeflow.serving.inference.{kind}");
    format!(
        r#"{{"specversion":"1.0","id":"e{i:09}","source":"a","type":"{kind}","time":"1970-01-01T00:10:00Z","data":{body}}}"#
    )
    .into_bytes()
}

/// As Seldon Core 1's logger posts its messages.
fn seldon_logger(is_response: bool, i: usize) -> Vec<u8> {
    let (kind, data) = if is_response {
        ("response", format!(r#"{{"names":["p"],"tensor":{{"shape":[1,1],"values":[0.{}]}}}}"#, 1 + i % 89))
    } else {
        ("request", format!(r#"{{"names":["x","c"],"ndarray":[[{}.5,"c{}"]]}}"#, i % 900, i % 40))
    };
    format!(
        r#"{{"specversion":"1.0","id":"a","source":"a","type":"io.seldon.serving.inference.{kind}","time":"1970-01-01T00:10:00Z","requestid":"e{i:09}","endpoint":"1","data":{{"data":{data},"meta":{{}}}}}}"#
    )
    .into_bytes()
}

/// As the Protobuf messages of the protocol.
fn seldon(is_response: bool, i: usize) -> Vec<u8> {
    let tensor = |name: &str, datatype: &str, contents: &[u8]| {
        let named = [field(1, name.as_bytes()), field(2, datatype.as_bytes()), field(3, &[1])].concat();
        field(5, &[named, field(5, contents)].concat())
    };
    let number = |n: usize, of: f64| field(7, &(f64::from(u16::try_from(n).unwrap()) / of).to_le_bytes());
    let id = field(3, format!("e{i:09}").as_bytes());
    if is_response {
        return [id, field(2, b"1"), tensor("p", "FP64", &number(1 + i % 89, 100.0))].concat();
    }
    let category = field(8, format!("c{}", i % 40).as_bytes());
    [id, tensor("x", "FP64", &number(i % 900, 2.0)), tensor("c", "BYTES", &category)].concat()
}

/// Requests and responses, each with its side; every second response comes before its request.
fn messages(make: Make, first: usize) -> Vec<(bool, Vec<u8>)> {
    let pair = |i: usize| [i % 2 == 1, i % 2 != 1].map(|is_response| (is_response, make(is_response, i)));
    (first..first + EVENTS).flat_map(pair).collect()
}

/// What reads both sides of a source, and what waits of it.
struct Source {
    sides: [Halves; 2],
    pairs: Mutex<Pairs>,
    rows: Vec<u8>,
}

impl Source {
    fn new(sides: [Logged; 2]) -> Self {
        let settings = |logged| {
            let version = match logged {
                Logged::SeldonLogger => Version::Attribute("endpoint".to_owned()),
                _ => Version::Response,
            };
            Settings { logged, version, most_bytes: usize::MAX, ..Settings::default() }
        };
        let pairs = Mutex::new(Pairs::new(600_000, usize::MAX));
        Self { sides: sides.map(|side| Halves::new(settings(side), Limits::default())), pairs, rows: Vec::new() }
    }

    fn offer(&mut self, is_response: bool, message: &[u8]) {
        self.rows.clear();
        let side = &mut self.sides[usize::from(is_response)];
        side.offer(&self.pairs, 0, message, None, Some(600_000), &mut self.rows).unwrap();
    }

    fn feed(&mut self, feed: &mut Feed, messages: &[(bool, Vec<u8>)]) {
        for messages in messages.chunks(BATCH) {
            for (is_response, message) in messages {
                self.offer(*is_response, message);
                for row in self.rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                    decode(&mut feed.decoder, row, i64::MAX / 2, &mut feed.batch).unwrap();
                }
            }
            feed.count();
        }
    }
}

#[test]
fn joining_and_decoding_requests_and_responses_allocates_nothing_once_all_was_seen() {
    let both = |logged: Logged| [logged.clone(), logged];
    let cases: [([Logged; 2], Make); 5] = [
        (both(Logged::Oip { time: None }), oip),
        (both(Logged::Mlserver), oip),
        (both(Logged::Kserve), kserve),
        (both(Logged::SeldonLogger), seldon_logger),
        ([false, true].map(|is_responses| Logged::Seldon { is_responses }), seldon),
    ];
    for (sides, make) in cases {
        let name = format!("{sides:?}");
        let mut feed = Feed::with("", &Format { model: Some(0), ..Format::default() });
        let mut source = Source::new(sides);
        source.feed(&mut feed, &messages(make, 0));
        let fresh = messages(make, EVENTS);
        let made = allocations(|| source.feed(&mut feed, &fresh));
        assert_eq!(made, 0, "{name}: joined, decoded, admitted and counted {EVENTS} inferences");
        let counters = feed.pipeline.counters();
        assert_eq!((counters.predictions, counters.late, counters.after_close), (2 * EVENTS as u64, 0, 0), "{name}");
    }
}

#[test]
fn a_half_that_waits_takes_at_most_64_bytes_beside_its_own() {
    const HALVES: i64 = 1_000_000;
    let mut source = Source::new([Logged::Oip { time: None }, Logged::Oip { time: None }]);
    let mut own = 0;
    let held = live_bytes(|| {
        for i in 0..HALVES {
            let body = format!(r#"{{"id":"{i}","inputs":[{{"name":"x","shape":[1],"data":[{i}]}}]}}"#);
            source.offer(false, body.as_bytes());
            // The id and {"x":i} with the end of its line; the side and the lengths of three texts.
            own += 2 * i.to_string().len() + 7 + 4;
        }
    });
    let each = (held - i64::try_from(own).unwrap()) / HALVES;
    assert!((40..=64).contains(&each), "{each} bytes each beside their own");
    let counts = source.pairs.lock().unwrap().counts();
    assert_eq!((counts.waiting, counts.joined), (1_000_000, 0));
}
