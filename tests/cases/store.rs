//! An object store that is slow: it takes requests, and answers none until it is told to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a daemon reaches a store of S3 by.
pub fn variables(url: &str) -> [(&str, &str); 5] {
    [
        ("AWS_ENDPOINT", url),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "eu-west-1"),
    ]
}

/// A store whose every object is this text.
pub struct Store {
    url: String,
    answers: Arc<AtomicBool>,
}

impl Store {
    pub fn start(object: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&answers);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (told, object) = (Arc::clone(&told), object.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(connection.unwrap());
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        line.clear();
                    }
                    while !told.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    let head = "HTTP/1.1 200 OK\r\netag: \"1\"\r\nlast-modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nconnection: close";
                    let _ = write!(reader.get_mut(), "{head}\r\ncontent-length: {}\r\n\r\n{object}", object.len());
                });
            }
        });
        Self { url, answers }
    }

    /// What a daemon reaches it by.
    pub fn variables(&self) -> [(&str, &str); 5] {
        variables(&self.url)
    }

    /// It answers from now on.
    pub fn answer(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }
}
