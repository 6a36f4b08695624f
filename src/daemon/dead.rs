//! Rejected messages with their origin and reason, to a topic or a file. The message itself goes along only if the
//! configuration says so. A dead letter is told at least once per run, not kept over a crash.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::json;

use super::topics::DeadLetter;
use crate::publish::topic::TopicWriter;
use crate::view::failing::Part;
use crate::view::{Shared, View};

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
    pub fn send(&mut self, letters: impl Iterator<Item = DeadLetter>, view: &Shared) {
        for letter in letters {
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
                lost(view, &e);
            }
        }
        self.serve(view);
    }

    /// Hears what became of those that are on their way.
    pub fn serve(&mut self, view: &Shared) {
        match self {
            Self::Topic { writer, .. } => {
                for delivery in writer.poll(std::time::Duration::ZERO) {
                    match delivery.result {
                        Ok(()) => view.works(&Part::DeadLetters),
                        Err(e) => lost(view, &e.to_string()),
                    }
                }
            }
            Self::File(file) if file.buffer().is_empty() => {}
            Self::File(file) => match file.flush() {
                Ok(()) => view.works(&Part::DeadLetters),
                Err(e) => fails(&mut view.write(), &e.to_string()),
            },
        }
    }
}

/// One that could not be kept.
fn lost(view: &Shared, why: &str) {
    let mut view = view.write();
    view.dead_letters_lost += 1;
    fails(&mut view, why);
}

fn fails(view: &mut View, why: &str) {
    if view.failing.insert(Part::DeadLetters, why.to_owned()).as_deref() != Some(why) {
        tracing::warn!(error = why, "dead letters are not kept");
    }
}
