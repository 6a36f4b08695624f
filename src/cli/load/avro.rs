//! The values of an Avro container file as JSON lines. A time is in milliseconds where it is the event's, and in its own unit anywhere
//! else, as the daemon reads it in Avro.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use apache_avro::Reader;
use apache_avro::types::Value;

use crate::source::avro::bound_blocks;
use crate::source::columns::guard;
use driftgate_core::codec::hash::push_hex;
use driftgate_core::decode::narrow;

/// The name of the event's time in the default format.
const TIME: &str = "ts";

/// Reads an Avro file as text: a line for each of its values.
pub struct AvroLines {
    values: Reader<'static, BufReader<File>>,
    /// Of the value read last, from 0.
    row: u64,
    line: Vec<u8>,
    /// How much of the line was read.
    given: usize,
}

impl AvroLines {
    /// # Errors
    /// A file that cannot be opened, or is no Avro container file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        bound_blocks();
        let name = path.display();
        let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
        let values = guard(|| Reader::new(BufReader::with_capacity(1 << 18, file)).map_err(|e| e.to_string()));
        let values = values.map_err(|why| anyhow::anyhow!("{name} cannot be read as an Avro container file: {why}"))?;
        Ok(Self { values, row: 0, line: Vec::new(), given: 0 })
    }

    /// Writes the next value as a line; false at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        let failed = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("row {}: {why}", self.row));
        // A file that is damaged is not read on.
        let value = guard(|| self.values.next().transpose().map_err(|e| e.to_string()));
        let Some(value) = value.map_err(failed)? else { return Ok(false) };
        self.line.clear();
        self.given = 0;
        write(&value, false, &mut self.line).map_err(failed)?;
        self.line.push(b'\n');
        self.row += 1;
        Ok(true)
    }
}

impl Read for AvroLines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() && !self.next_line()? {
            return Ok(0);
        }
        let mut left = self.line.get(self.given..).unwrap_or(&[]);
        let read = left.read(into)?;
        self.given += read;
        Ok(read)
    }
}

/// A value as JSON, its times in their own units.
///
/// # Errors
/// A type that has no JSON, or what is none then.
pub fn tree(value: &Value) -> Result<serde_json::Value, String> {
    let mut line = Vec::new();
    write(value, false, &mut line)?;
    serde_json::from_slice(&line).map_err(|e| e.to_string())
}

/// Writes a value as JSON; `is_time` for the event's time.
fn write(value: &Value, is_time: bool, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(yes) => json(yes, out),
        Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => json(number, out),
        Value::Long(number) | Value::TimeMicros(number) => json(number, out),
        Value::Float(number) => float(narrow::single(*number), out),
        Value::Double(number) => float(*number, out),
        Value::String(text) | Value::Enum(_, text) => json(text, out),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                json(text, out);
            } else {
                let mut digits = String::with_capacity(2 * bytes.len());
                push_hex(&mut digits, bytes);
                json(&digits, out);
            }
        }
        Value::Uuid(id) => json(&id.to_string(), out),
        Value::TimestampMillis(ticks) => json(ticks, out),
        Value::TimestampMicros(ticks) => json(&if is_time { ticks.div_euclid(1_000) } else { *ticks }, out),
        Value::TimestampNanos(ticks) => json(&if is_time { ticks.div_euclid(1_000_000) } else { *ticks }, out),
        Value::LocalTimestampMillis(_) | Value::LocalTimestampMicros(_) | Value::LocalTimestampNanos(_) if is_time => {
            return Err("its time is what a clock shows, with no time zone: write it as timestamp-millis".to_owned());
        }
        Value::LocalTimestampMillis(ticks) | Value::LocalTimestampMicros(ticks) | Value::LocalTimestampNanos(ticks) => {
            json(ticks, out);
        }
        Value::Union(_, value) => write(value, is_time, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"" } else { b"," });
                write(item, false, out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            // The order of a map is none: the same file gives the same lines.
            let entries: BTreeMap<&String, &Value> = entries.iter().collect();
            object(entries.into_iter().map(|(name, value)| (name.as_str(), value, false)), out)?;
        }
        Value::Record(fields) => {
            object(fields.iter().map(|(name, value)| (name.as_str(), value, name == TIME)), out)?;
        }
        Value::Decimal(_) | Value::BigDecimal(_) | Value::Duration(_) => {
            return Err("it has a decimal or a duration, which are not published: write it as double".to_owned());
        }
    }
    Ok(())
}

fn object<'v>(members: impl Iterator<Item = (&'v str, &'v Value, bool)>, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(b'{');
    for (at, (name, value, is_time)) in members.enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        json(name, out);
        out.push(b':');
        write(value, is_time, out).map_err(|why| format!("{name}: {why}"))?;
    }
    out.push(b'}');
    Ok(())
}

fn json(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing texts and numbers to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

/// NaN is missing, and an infinity overflows again when it is read.
fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"null");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"1e999" } else { b"-1e999" });
    } else {
        json(&number, out);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use apache_avro::types::Record;
    use apache_avro::{Codec, Schema, Writer, ZstandardSettings};

    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "E", "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "x", "type": "float"}, {"name": "y", "type": ["null", "double"]}, {"name": "id", "type": "string"}]}"#;

    fn file(codec: Codec, rows: u8) -> tempfile::NamedTempFile {
        let schema = Schema::parse_str(SCHEMA).unwrap();
        let mut writer = Writer::with_codec(&schema, Vec::new(), codec).unwrap();
        for row in 0..rows {
            let mut record = Record::new(&schema).unwrap();
            record.put("ts", Value::TimestampMicros(1_700_000_000_123_456));
            record.put("seen", Value::TimestampMicros(5));
            record.put("x", 0.1_f32);
            record.put("y", Value::Union(1, Box::new(Value::Double(if row == 0 { f64::NAN } else { 2.5 }))));
            record.put("id", format!("a\"{row}"));
            writer.append_value(record).unwrap();
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&writer.into_inner().unwrap()).unwrap();
        file
    }

    #[test]
    fn values_are_lines_whatever_packs_them() {
        for codec in [Codec::Null, Codec::Snappy, Codec::Zstandard(ZstandardSettings::default())] {
            let file = file(codec, 2);
            let mut text = String::new();
            AvroLines::open(file.path()).unwrap().read_to_string(&mut text).unwrap();
            let line = |y: &str, id: &str| {
                format!("{{\"ts\":1700000000123,\"seen\":5,\"x\":0.1,\"y\":{y},\"id\":\"a\\\"{id}\"}}\n")
            };
            assert_eq!(text, line("null", "0") + &line("2.5", "1"));
        }
    }

    #[test]
    fn a_file_that_is_none_or_cut_is_an_error() {
        let mut none = tempfile::NamedTempFile::new().unwrap();
        none.write_all(b"{\"plain\": 1}").unwrap();
        let error = AvroLines::open(none.path()).err().unwrap().to_string();
        assert!(error.contains("cannot be read as an Avro container file"), "{error}");
        let whole = std::fs::read(file(Codec::Null, 3).path()).unwrap();
        let mut cut = tempfile::NamedTempFile::new().unwrap();
        cut.write_all(&whole[..whole.len() - 20]).unwrap();
        let mut text = String::new();
        let error = AvroLines::open(cut.path()).and_then(|mut lines| Ok(lines.read_to_string(&mut text)?)).unwrap_err();
        assert!(error.to_string().contains("row "), "{error}");
    }
}
