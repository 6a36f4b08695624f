//! HTTP as bytes, for what no client would send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection to a daemon by its URL.
pub fn connect(url: &str) -> TcpStream {
    let address = url.split_once("://").unwrap().1;
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// All that comes back of a request, up to the end of the connection.
pub fn ask(url: &str, request: &str) -> String {
    let mut stream = connect(url);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // What was answered before a reset counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer.
#[track_caller]
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// `/live` is answered within a second.
#[track_caller]
pub fn lives(url: &str) {
    let begun = Instant::now();
    let answer = ask(url, "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nlive"), "{answer:?} after {:?}", begun.elapsed());
    // Beside thousands of connections the kernel may drop the first packet of one, which is sent again after a second.
    assert!(begun.elapsed() < Duration::from_secs(2), "/live took {:?}", begun.elapsed());
}
