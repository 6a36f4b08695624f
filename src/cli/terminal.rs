//! What commands print. A reader that has gone away (`driftgate gate … | head -1`) changes nothing: the command goes on
//! without a word and ends with the code that it would have had. `println!` would panic there, and lints refuse it.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::color;

/// Something printed did not get where it should, and its reader has not just gone away.
static LOST: AtomicBool = AtomicBool::new(false);

/// Nobody reads standard output any more.
static GONE: AtomicBool = AtomicBool::new(false);

/// Whether the reader of standard output has gone away: a command without an end ends then.
pub fn is_gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

/// Whether anything that was printed is lost: a command that says so has not succeeded.
pub fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Prints to standard output.
pub fn print(text: fmt::Arguments<'_>) {
    write(&mut io::stdout().lock(), text);
}

/// Prints a text for people to standard output, its statuses coloured where the terminal takes colours.
pub fn print_statuses(text: &str) {
    if !color::is_on() {
        return print(format_args!("{text}"));
    }
    let mut escaped = Steered::new(Vec::new());
    // Memory takes everything.
    let _ = escaped.write_all(text.as_bytes());
    let painted = color::painted(&String::from_utf8_lossy(&escaped.out));
    written(io::stdout().lock().write_all(painted.as_bytes()).and_then(|()| io::stdout().flush()));
}

/// Clears the screen, for what is printed again and again.
pub fn clear() {
    written(io::stdout().lock().write_all(b"\x1b[2J\x1b[3J\x1b[H"));
}

/// Prints a line to standard error.
pub fn print_error(text: fmt::Arguments<'_>) {
    let _ = writeln!(Steered::new(io::stderr().lock()), "{text}");
}

fn write(out: &mut impl Write, text: fmt::Arguments<'_>) {
    written(Steered::new(&mut *out).write_fmt(text).and_then(|()| out.flush()));
}

fn written(result: io::Result<()>) {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => GONE.store(true, Ordering::Relaxed),
        Err(error) => {
            LOST.store(true, Ordering::Relaxed);
            print_error(format_args!("driftgate: standard output cannot be written: {error}"));
        }
        Ok(()) => {}
    }
}

/// Names and texts come from outside and must not steer a terminal, nor look like others: characters that would are written
/// as JSON escapes them, so that JSON stays the same JSON. Everything that commands print and log goes through here.
pub struct Steered<W> {
    out: W,
    /// The first bytes of a character whose last ones are still to come.
    cut: Vec<u8>,
}

impl<W: Write> Steered<W> {
    pub fn new(out: W) -> Self {
        Self { out, cut: Vec::new() }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(|c| steers(c) && !matches!(c, '\n' | '\t')) {
            let (before, from) = rest.split_at(at);
            self.out.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(c) = characters.next() {
                self.out.write_all(escaped(c).as_bytes())?;
            }
            rest = characters.as_str();
        }
        self.out.write_all(rest.as_bytes())
    }
}

impl<W: Write> Write for Steered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nearly everything is plain, and results are many.
        if self.cut.is_empty() && bytes.iter().all(|b| matches!(b, 0x20..=0x7e | b'\n' | b'\t')) {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(bytes);
        let mut rest = all.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text(text)?;
                    return Ok(bytes.len());
                }
                Err(e) => {
                    let (text, after) = rest.split_at(e.valid_up_to());
                    self.text(&String::from_utf8_lossy(text))?;
                    let Some(bad) = e.error_len() else {
                        self.cut = after.to_vec();
                        return Ok(bytes.len());
                    };
                    self.text("\u{fffd}")?;
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A name as it is shown on a line or in a cell of its own: it must neither steer a terminal nor look like two.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(steers) {
        text.chars().map(|c| if steers(c) { escaped(c) } else { c.to_string() }).collect::<String>().into()
    } else {
        text.into()
    }
}

/// As JSON escapes a character.
fn escaped(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        _ => c.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}")),
    }
}

pub use driftgate_core::text::steers;

/// Standard output as a file of results: what comes after its reader has gone away is dropped.
pub fn results() -> impl Write {
    Steered::new(until_closed(io::stdout()))
}

/// A file of results, which may be a pipe.
pub fn until_closed(out: impl Write) -> impl Write {
    UntilClosed { out: Some(out) }
}

/// A writer that ends quietly when its reader goes away.
struct UntilClosed<W> {
    out: Option<W>,
}

impl<W: Write> UntilClosed<W> {
    fn unless_closed<T>(&mut self, closed: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        let Some(out) = &mut self.out else { return Ok(closed) };
        match write(out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(closed)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}

/// `print!` without its panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::terminal::print(format_args!($($text)*)) };
}

/// `println!` without its panic.
macro_rules! outln {
    () => { $crate::cli::terminal::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::terminal::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// `eprintln!` without its panic.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::terminal::print_error(format_args!($($text)*)) };
}

pub(crate) use {errln, out, outln};

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes, then its reader goes away.
    struct Pipe(usize, ErrorKind);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn results_end_quietly_where_nobody_reads_and_other_errors_are_told() {
        let mut out = UntilClosed { out: Some(Pipe(3, ErrorKind::BrokenPipe)) };
        assert!(out.write_all(b"abcdef").is_ok() && out.out.is_none());
        assert!(out.write_all(b"gh").is_ok() && out.flush().is_ok());
        let mut full = UntilClosed { out: Some(Pipe(3, ErrorKind::StorageFull)) };
        assert_eq!(full.write_all(b"abcdef").unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn what_comes_from_outside_steers_no_terminal_and_json_stays_the_same() {
        let name = "a\u{1b}[2J\r\u{202e}b\u{9b}1A\tä\u{200b}\u{e0041}\u{7f}\n";
        let printed = |text: &str| {
            let mut out = Vec::new();
            write(&mut out, format_args!("{text}"));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(name), "a\\u001b[2J\\u000d\\u202eb\\u009b1A\tä\\u200b\\udb40\\udc41\\u007f\n");
        let json = serde_json::json!({"name": name}).to_string();
        assert_ne!(printed(&json), json);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed(&json)).unwrap()["name"], name);
        assert_eq!(shown("a\nb\tc\u{1b}"), "a\\nb\\tc\\u001b");
        // However it is cut into pieces; what is no text is shown as such.
        for size in 1..6 {
            let mut out = Steered::new(Vec::new());
            name.as_bytes().chunks(size).for_each(|piece| out.write_all(piece).unwrap());
            assert_eq!(String::from_utf8(out.out).unwrap(), printed(name));
        }
        let mut out = Steered::new(Vec::new());
        out.write_all(b"a\xffb\x9b1A").unwrap();
        assert_eq!(String::from_utf8(out.out).unwrap(), "a\u{fffd}b\u{fffd}1A");
    }
}
