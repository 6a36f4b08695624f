//! A stand-in for MLflow: answers requests with what a test gives it, in order, and keeps what was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::client::{Auth, Mlflow};

pub struct Stub {
    pub url: String,
    served: JoinHandle<Vec<Asked>>,
}

/// A request.
#[derive(Debug)]
pub struct Asked {
    /// Method, path and query, below `/api/2.0/mlflow/`.
    pub line: String,
    /// In lower case.
    pub headers: String,
    pub body: Value,
}

impl Stub {
    /// Serves so many requests as there are answers: status and body.
    pub fn answering<B: Into<String>>(answers: impl IntoIterator<Item = (u16, B)>) -> Self {
        let answers: Vec<(u16, String)> = answers.into_iter().map(|(status, body)| (status, body.into())).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
        Self { url, served }
    }

    pub fn client(&self) -> Mlflow {
        Mlflow::new(&self.url, Auth::None, Duration::from_secs(5)).unwrap()
    }

    /// What was asked, once every answer was given.
    pub fn asked(self) -> Vec<Asked> {
        self.served.join().unwrap()
    }

    /// The requests' lines, once every answer was given.
    pub fn lines(self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn serve(listener: &TcpListener, (status, body): &(u16, String)) -> Asked {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the request ended early: {head}");
    }
    let (line, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.to_ascii_lowercase();
    let length = headers.lines().find_map(|h| h.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
    Asked {
        line: line.trim_end_matches(" HTTP/1.1").replacen(" /api/2.0/mlflow/", " ", 1),
        headers,
        body: serde_json::from_slice(&sent).unwrap_or_default(),
    }
}
