//! Requests and responses of the Open Inference Protocol as Protobuf, written as the JSON that it has for them.

use super::super::pairs::Side;
use super::super::tape::write_text;
use super::contents::{put, separate, write_contents, write_raw};
use crate::decode::protobuf::cursor::{Cursor, EIGHT, SIZED, VARINT};
use crate::decode::{Reason, Reject};

/// Fields of both kinds of messages.
const TEXTS: [(u32, &str); 3] = [(1, "model_name"), (2, "model_version"), (3, "id")];
const PARAMETERS: u32 = 4;
const TENSORS: u32 = 5;

/// The field of tensors' contents as bytes.
fn raw_of(side: Side) -> u32 {
    match side {
        Side::Request => 7,
        Side::Response => 6,
    }
}

/// Appends a message as JSON. Texts that are empty are not there: Protobuf cannot tell the two apart.
///
/// # Errors
/// What is no message of this side, and contents that are not of their type.
pub(super) fn write(message: Cursor<'_>, side: Side, out: &mut Vec<u8>) -> Result<(), Reject> {
    let raw = raw_of(side);
    let (mut texts, mut tensors, mut raws) = ([&[][..]; TEXTS.len()], 0, 0);
    let mut fields = message;
    while let Some((number, bytes)) = next(&mut fields, |number| number <= TENSORS || number == raw)? {
        match TEXTS.iter().zip(&mut texts).find(|((of, _), _)| *of == number) {
            Some((_, last)) => *last = bytes,
            None if number == raw => raws += 1,
            None if number == TENSORS => tensors += 1,
            None => {}
        }
    }
    out.push(b'{');
    for ((_, key), value) in TEXTS.iter().zip(texts) {
        let value = text(value, || (*key).to_owned())?;
        if !value.is_empty() {
            write_text(key, out);
            out.push(b':');
            write_text(value, out);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"parameters\":{");
    each(message, PARAMETERS, |entry| parameter(message.at(entry), out))?;
    if raws > 0 && raws != tensors {
        return Err(not(format!("the message has {tensors} tensors, and raw contents of {raws}")));
    }
    out.extend_from_slice(if side == Side::Request { b"},\"inputs\":[" } else { b"},\"outputs\":[" });
    // Contents as bytes stand in the order of the tensors.
    let mut raw_rest = message;
    each(message, TENSORS, |of| {
        let of = message.at(of);
        let bytes = if raws > 0 { next(&mut raw_rest, |number| number == raw)? } else { None };
        separate(b'[', out);
        tensor(of, bytes.map(|(_, bytes)| bytes), out)
    })?;
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Takes every value of a field that is a text, bytes or a message.
fn each<'a>(
    mut message: Cursor<'a>,
    number: u32,
    mut take: impl FnMut(&'a [u8]) -> Result<(), Reject>,
) -> Result<(), Reject> {
    while let Some((_, bytes)) = next(&mut message, |of| of == number)? {
        take(bytes)?;
    }
    Ok(())
}

/// The next value of such fields, and its number.
fn next<'a>(message: &mut Cursor<'a>, is_wanted: impl Fn(u32) -> bool) -> Result<Option<(u32, &'a [u8])>, Reject> {
    while !message.rest.is_empty() {
        let (number, wire) = message.tag()?;
        if !is_wanted(number) {
            message.skip(number, wire)?;
        } else if wire == SIZED {
            return message.bytes().map(|bytes| Some((number, bytes)));
        } else {
            return Err(message.damaged(&format!("the field {number} has the wire type {wire}")));
        }
    }
    Ok(None)
}

/// The last value of such a field.
fn last(message: Cursor<'_>, number: u32) -> Result<Option<&[u8]>, Reject> {
    let mut last = None;
    each(message, number, |bytes| {
        last = Some(bytes);
        Ok(())
    })?;
    Ok(last)
}

/// What a text says; `of` names it.
fn text(bytes: &[u8], of: impl Fn() -> String) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|e| not(format!("{} is not UTF-8: {e}", of())))
}

fn not(detail: String) -> Reject {
    Reject::new(Reason::NotInference, detail)
}

/// Writes an entry of the parameters, where it has a value: the last one, of several.
fn parameter(entry: Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
    let key = text(last(entry, 1)?.unwrap_or(&[]), || "the name of a parameter".to_owned())?;
    let mut of = entry.at(last(entry, 2)?.unwrap_or(&[]));
    let mut value = None;
    while !of.rest.is_empty() {
        let (number, wire) = of.tag()?;
        let at = of;
        of.skip(number, wire)?;
        value = if (1..=5).contains(&number) { Some((number, wire, at)) } else { value };
    }
    let Some((number, wire, mut at)) = value else { return Ok(()) };
    separate(b'{', out);
    write_text(key, out);
    out.push(b':');
    match (number, wire) {
        (1, VARINT) => put(at.varint()? != 0, out),
        (2, VARINT) => put(at.varint()?.cast_signed(), out),
        (3, SIZED) => write_text(text(at.bytes()?, || format!("the parameter {key:?}"))?, out),
        (4, EIGHT) => put(f64::from_le_bytes(at.chunk()?), out),
        (5, VARINT) => put(at.varint()?, out),
        _ => return Err(at.damaged(&format!("the parameter {key:?} has the wire type {wire}"))),
    }
    Ok(())
}

/// Writes a tensor, with its data from `raw`, or else from its own contents.
fn tensor(of: Cursor<'_>, raw: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Reject> {
    let name = text(last(of, 1)?.unwrap_or(&[]), || "the name of a tensor".to_owned())?;
    let datatype = text(last(of, 2)?.unwrap_or(&[]), || format!("the type of the tensor {name:?}"))?;
    out.extend_from_slice(b"{\"name\":");
    write_text(name, out);
    out.extend_from_slice(b",\"datatype\":");
    write_text(datatype, out);
    out.extend_from_slice(b",\"shape\":[");
    let mut fields = of;
    while !fields.rest.is_empty() {
        match fields.tag()? {
            (3, VARINT) => write_length(&mut fields, out)?,
            (3, SIZED) => {
                let bytes = fields.bytes()?;
                let mut packed = fields.at(bytes);
                while !packed.rest.is_empty() {
                    write_length(&mut packed, out)?;
                }
            }
            (number, wire) => fields.skip(number, wire)?,
        }
    }
    out.extend_from_slice(b"],\"data\":[");
    let written = match raw {
        Some(raw) => write_raw(datatype, raw, out),
        None => each(of, 5, |contents| write_contents(of.at(contents), out)),
    };
    written.map_err(|e| Reject::new(e.reason, format!("the tensor {name:?} of {datatype}: {}", e.detail)))?;
    out.extend_from_slice(b"]}");
    Ok(())
}

fn write_length(at: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
    separate(b'[', out);
    put(at.varint()?.cast_signed(), out);
    Ok(())
}
