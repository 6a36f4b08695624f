//! Rejected messages with their origin and reason, to a topic or a file. The message itself goes along only if the
//! configuration says so. A dead letter is told at least once per run, not kept over a crash.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::json;

use super::topics::DeadLetter;
use crate::publish::topic::TopicWriter;

/// Where dead letters go.
pub enum DeadLetters {
    Topic { writer: TopicWriter, topic: String },
    File(BufWriter<File>),
}

impl DeadLetters {
    /// Dead letters appended to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn to_file(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self::File(BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    /// Sends dead letters on.
    pub fn send(&mut self, letters: impl Iterator<Item = DeadLetter>) {
        let mut any = false;
        for letter in letters {
            any = true;
            let mut text = json!({
                "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
                "reason": letter.reject.reason.name(), "detail": letter.reject.detail,
            });
            if let (false, Some(fields)) = (letter.payload.is_empty(), text.as_object_mut()) {
                fields.insert("payload".into(), String::from_utf8_lossy(&letter.payload).into());
            }
            let text = text.to_string();
            let sent = match self {
                Self::Topic { writer, topic } => {
                    let key = format!("{}/{}", letter.topic, letter.partition);
                    writer.send(topic, &key, text.as_bytes(), 0).map_err(|e| e.to_string())
                }
                Self::File(file) => writeln!(file, "{text}").map_err(|e| e.to_string()),
            };
            if let Err(e) = sent {
                tracing::warn!(error = e, "a dead letter was not kept");
            }
        }
        match self {
            Self::Topic { writer, .. } => {
                for delivery in writer.poll(std::time::Duration::ZERO) {
                    if let Err(e) = delivery.result {
                        tracing::warn!(error = %e, "a dead letter was not delivered");
                    }
                }
            }
            Self::File(file) if any => {
                if let Err(e) = file.flush() {
                    tracing::warn!(error = %e, "a dead letter was not kept");
                }
            }
            Self::File(_) => {}
        }
    }
}
