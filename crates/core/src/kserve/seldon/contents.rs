//! Values of a tensor: in lists by their type, or as bytes.

use serde::Serialize;

use super::super::tape::write_text;
use crate::decode::protobuf::cursor::{Cursor, EIGHT, FOUR, SIZED, VARINT};
use crate::decode::{Reason, Reject};

/// Appends a number or truth value; `null` for a number that is none.
pub(super) fn put(value: impl Serialize, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, &value);
}

/// Appends a comma, but behind the bracket that began the list.
pub(super) fn separate(begin: u8, out: &mut Vec<u8>) {
    if out.last() != Some(&begin) {
        out.push(b',');
    }
}

/// Appends the values of a tensor's contents, each list of which has the number of its type.
///
/// # Errors
/// Values that are not of their type.
pub(super) fn write_contents(mut contents: Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
    while !contents.rest.is_empty() {
        let (number, wire) = contents.tag()?;
        match (number, wire) {
            (8, SIZED) => write_bytes(contents.bytes()?, out)?,
            (1..=7, SIZED) => {
                let bytes = contents.bytes()?;
                let mut packed = contents.at(bytes);
                while !packed.rest.is_empty() {
                    write_value(number, &mut packed, out)?;
                }
            }
            (1..=5, VARINT) | (6, FOUR) | (7, EIGHT) => write_value(number, &mut contents, out)?,
            _ => contents.skip(number, wire)?,
        }
    }
    Ok(())
}

fn write_value(number: u32, at: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
    separate(b'[', out);
    match number {
        1 => put(at.varint()? != 0, out),
        // Numbers of 32 bits are written as their lowest ones.
        #[expect(clippy::cast_possible_truncation, reason = "as Protobuf defines it")]
        2 => put(at.varint()? as i32, out),
        3 => put(at.varint()?.cast_signed(), out),
        #[expect(clippy::cast_possible_truncation, reason = "as Protobuf defines it")]
        4 => put(at.varint()? as u32, out),
        5 => put(at.varint()?, out),
        6 => put(f64::from(f32::from_le_bytes(at.chunk()?)), out),
        _ => put(f64::from_le_bytes(at.chunk()?), out),
    }
    Ok(())
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    let text = std::str::from_utf8(bytes).map_err(|e| not(format!("a value is not UTF-8: {e}")))?;
    separate(b'[', out);
    write_text(text, out);
    Ok(())
}

fn not(detail: String) -> Reject {
    Reject::new(Reason::NotInference, detail)
}

/// Appends values that are bytes, the lowest first; before each text its length in four bytes.
///
/// # Errors
/// Values that are not of this type, and one that is not known.
pub(super) fn write_raw(datatype: &str, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    match datatype {
        "BOOL" => numbers(raw, out, |[byte]| byte != 0),
        "UINT8" => numbers(raw, out, u8::from_le_bytes),
        "UINT16" => numbers(raw, out, u16::from_le_bytes),
        "UINT32" => numbers(raw, out, u32::from_le_bytes),
        "UINT64" => numbers(raw, out, u64::from_le_bytes),
        "INT8" => numbers(raw, out, i8::from_le_bytes),
        "INT16" => numbers(raw, out, i16::from_le_bytes),
        "INT32" => numbers(raw, out, i32::from_le_bytes),
        "INT64" => numbers(raw, out, i64::from_le_bytes),
        "FP16" => numbers(raw, out, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
        "BF16" => numbers(raw, out, |bytes| half::bf16::from_le_bytes(bytes).to_f64()),
        "FP32" => numbers(raw, out, |bytes| f64::from(f32::from_le_bytes(bytes))),
        "FP64" => numbers(raw, out, f64::from_le_bytes),
        "BYTES" => texts(raw, out),
        _ => Err(not(
            "raw contents of this type are not read: BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64 and BYTES are"
                .to_owned(),
        )),
    }
}

fn numbers<T: Serialize, const N: usize>(
    raw: &[u8],
    out: &mut Vec<u8>,
    number: impl Fn([u8; N]) -> T,
) -> Result<(), Reject> {
    let (each, []) = raw.as_chunks() else {
        return Err(not(format!("{} bytes are no whole number of values of {N}", raw.len())));
    };
    for bytes in each {
        separate(b'[', out);
        put(number(*bytes), out);
    }
    Ok(())
}

fn texts(mut raw: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    while !raw.is_empty() {
        let split = raw
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?));
        let Some((value, rest)) = split else { return Err(not("it ends within a value".to_owned())) };
        write_bytes(value, out)?;
        raw = rest;
    }
    Ok(())
}
