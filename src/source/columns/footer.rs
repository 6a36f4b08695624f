//! A Parquet file's description of itself with the wanted columns alone. The library that reads it refuses a whole file
//! for one type it does not know, so unwanted columns are left out before, and so are parts that no reader here uses
//! (statistics, sort orders, indexes). A wanted column that cannot be read stays out too, with its type.

use std::ops::Range;

use super::thrift::{Field, Skim, Structure, kind};

/// Physical types there are: from booleans to byte arrays of a fixed length.
const PHYSICAL: [&str; 8] =
    ["BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"];
/// Logical types that the library knows, by their number: all up to 15 but one that was never given.
const LOGICAL: [i16; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15];
/// Ways of compression there are.
const CODECS: Range<i64> = 0..8;
/// The key under which Arrow's writers keep their own description.
const ARROW: &[u8] = b"ARROW:schema";

/// A file's description of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Footer {
    /// The description with the wanted columns alone.
    pub bytes: Vec<u8>,
    /// The names of all columns.
    pub columns: Vec<String>,
    /// The wanted columns that the description is about.
    pub kept: Vec<String>,
    /// Wanted columns that cannot be read, with their type.
    pub opaque: Vec<(String, String)>,
}

/// A column under the root.
#[derive(Debug)]
struct Column {
    name: String,
    /// Its elements in the schema.
    elements: Range<usize>,
    /// Its chunks in a row group.
    leaves: Range<usize>,
    /// Why it cannot be read: its type.
    opaque: Option<String>,
}

/// An element of the schema.
#[derive(Debug, Default)]
struct Element {
    name: String,
    children: usize,
    physical: Option<i64>,
    repetition: Option<i64>,
    converted: Option<i64>,
    logical: Option<i16>,
}

/// Reads a description; `None` where it is not as the format says.
#[must_use]
pub fn read(bytes: &[u8], wanted: &[String]) -> Option<Footer> {
    let fields = Skim::new(bytes, 0).fields()?;
    let schema = Skim::new(bytes, find(&fields, 2)?.value.start).structures()?;
    let elements: Vec<Element> = schema.iter().map(|e| element(bytes, e)).collect::<Option<_>>()?;
    let groups = match find(&fields, 4) {
        Some(groups) => Skim::new(bytes, groups.value.start).structures()?,
        None => Vec::new(),
    };
    let chunks: Vec<Vec<Range<usize>>> = groups.iter().map(|group| chunks(bytes, group)).collect::<Option<_>>()?;
    let mut columns = columns(&elements)?;
    let leaves = columns.last().map_or(0, |c| c.leaves.end);
    if chunks.iter().any(|c| c.len() != leaves) {
        return None;
    }
    let names = columns.iter().map(|c| c.name.clone()).collect();
    columns.retain(|c| wanted.contains(&c.name));
    for column in columns.iter_mut().filter(|c| c.opaque.is_none()) {
        column.opaque = unreadable(bytes, column, &chunks);
    }
    let opaque = columns.iter().filter_map(|c| Some((c.name.clone(), c.opaque.clone()?))).collect();
    columns.retain(|c| c.opaque.is_none());
    let mut out = Structure::default();
    for field in &fields {
        let value = bytes.get(field.value.clone())?;
        match field.id {
            1 | 3 => out.field(field.id, field.kind, value),
            2 => {
                let root = root(bytes, schema.first()?, columns.len())?;
                let kept = columns.iter().filter_map(|c| bytes.get(schema.get(c.elements.start)?.clone()));
                let kept: Vec<&[u8]> = std::iter::once(root.as_slice()).chain(kept).collect();
                out.structures(2, kept.into_iter());
            }
            4 => {
                let kept = groups.iter().zip(&chunks).map(|(group, chunks)| row_group(bytes, group, chunks, &columns));
                let kept = kept.collect::<Option<Vec<_>>>()?;
                out.structures(4, kept.iter().map(Vec::as_slice));
            }
            5 => {
                let pairs = Skim::new(bytes, field.value.start).structures()?;
                let arrow: Vec<&[u8]> =
                    pairs.iter().filter(|p| is_arrow(bytes, p)).filter_map(|p| bytes.get(p.clone())).collect();
                out.structures(5, arrow.into_iter());
            }
            _ => {}
        }
    }
    Some(Footer { bytes: out.done(), columns: names, kept: columns.into_iter().map(|c| c.name).collect(), opaque })
}

fn find(fields: &[Field], id: i16) -> Option<&Field> {
    fields.iter().find(|f| f.id == id)
}

fn element(bytes: &[u8], range: &Range<usize>) -> Option<Element> {
    let mut out = Element::default();
    for field in Skim::new(bytes, range.start).fields()? {
        let mut value = Skim::new(bytes, field.value.start);
        match field.id {
            1 => out.physical = value.integer(),
            3 => out.repetition = value.integer(),
            4 => out.name = String::from_utf8(value.binary()?.to_vec()).ok()?,
            5 => out.children = usize::try_from(value.integer()?).ok()?,
            6 => out.converted = value.integer(),
            // The one field that is set says which type it is. None is one that is not known, either.
            10 => out.logical = Some(value.fields()?.first().map_or(0, |f| f.id)),
            _ => {}
        }
    }
    Some(out)
}

/// The columns under the root.
fn columns(elements: &[Element]) -> Option<Vec<Column>> {
    let mut found = Vec::new();
    let (mut at, mut leaf) = (1, 0);
    for _ in 0..elements.first()?.children {
        let element = elements.get(at)?;
        let (from, first) = (at, leaf);
        // Elements still to come before this column is over.
        let mut open = 1_usize;
        while open > 0 {
            let children = elements.get(at)?.children;
            open = (open - 1).checked_add(children)?;
            leaf += usize::from(children == 0);
            at += 1;
        }
        let column =
            Column { name: element.name.clone(), elements: from..at, leaves: first..leaf, opaque: opaque(element) };
        found.push(column);
    }
    (at == elements.len()).then_some(found)
}

/// The type of a column that cannot be read because of it.
fn opaque(element: &Element) -> Option<String> {
    let logical = |id: i16| match id {
        0 => "an empty logical type".to_owned(),
        16 => "VARIANT".to_owned(),
        17 => "GEOMETRY".to_owned(),
        18 => "GEOGRAPHY".to_owned(),
        id => format!("logical type {id}"),
    };
    if let Some(id) = element.logical.filter(|id| !LOGICAL.contains(id)) {
        return Some(logical(id));
    }
    if element.children > 0 {
        let kind = match (element.logical, element.converted) {
            (Some(3), _) | (None, Some(3)) => "LargeList",
            (Some(2), _) | (None, Some(1 | 2)) => "Map",
            _ if element.repetition == Some(2) => "LargeList",
            _ => "Struct",
        };
        return Some(kind.to_owned());
    }
    if element.repetition == Some(2) {
        return Some("LargeList".to_owned());
    }
    match element.physical {
        Some(physical) if usize::try_from(physical).is_ok_and(|p| p < PHYSICAL.len()) => None,
        Some(physical) => Some(format!("physical type {physical}")),
        None => Some("no type".to_owned()),
    }
}

/// Why the bytes of a column of a known type cannot be read.
fn unreadable(bytes: &[u8], column: &Column, groups: &[Vec<Range<usize>>]) -> Option<String> {
    for chunks in groups {
        let fields = Skim::new(bytes, chunks.get(column.leaves.start)?.start).fields()?;
        // The description of an encrypted column is encrypted, too.
        let Some(description) = find(&fields, 3) else { return Some("encrypted values".to_owned()) };
        let codec = find(&Skim::new(bytes, description.value.start).fields()?, 4).cloned();
        let codec = codec.and_then(|f| Skim::new(bytes, f.value.start).integer());
        if let Some(codec) = codec.filter(|c| !CODECS.contains(c)) {
            return Some(format!("values compressed in an unknown way ({codec})"));
        }
    }
    None
}

/// The root element with so many children.
fn root(bytes: &[u8], range: &Range<usize>, children: usize) -> Option<Vec<u8>> {
    let mut out = Structure::default();
    for field in Skim::new(bytes, range.start).fields()? {
        match field.id {
            4 => out.field(4, field.kind, bytes.get(field.value)?),
            5 => out.integer(5, i64::try_from(children).ok()?),
            _ => {}
        }
    }
    Some(out.done())
}

fn chunks(bytes: &[u8], group: &Range<usize>) -> Option<Vec<Range<usize>>> {
    let fields = Skim::new(bytes, group.start).fields()?;
    Skim::new(bytes, find(&fields, 1)?.value.start).structures()
}

/// A row group with the chunks of these columns.
fn row_group(bytes: &[u8], group: &Range<usize>, chunks: &[Range<usize>], columns: &[Column]) -> Option<Vec<u8>> {
    let kept = columns.iter().map(|c| chunk(bytes, chunks.get(c.leaves.start)?)).collect::<Option<Vec<_>>>()?;
    let mut out = Structure::default();
    for field in Skim::new(bytes, group.start).fields()? {
        match field.id {
            1 => out.structures(1, kept.iter().map(Vec::as_slice)),
            2 | 3 => out.field(field.id, field.kind, bytes.get(field.value)?),
            _ => {}
        }
    }
    Some(out.done())
}

/// A chunk with all that reading it needs.
fn chunk(bytes: &[u8], range: &Range<usize>) -> Option<Vec<u8>> {
    let fields = Skim::new(bytes, range.start).fields()?;
    let description = find(&fields, 3)?;
    let mut inner = Structure::default();
    for field in Skim::new(bytes, description.value.start).fields()? {
        if matches!(field.id, 1..=7 | 9..=11) {
            inner.field(field.id, field.kind, bytes.get(field.value)?);
        }
    }
    let mut out = Structure::default();
    for field in &fields {
        match field.id {
            2 => out.field(2, field.kind, bytes.get(field.value.clone())?),
            3 => out.field(3, kind::STRUCT, &std::mem::take(&mut inner).done()),
            _ => {}
        }
    }
    Some(out.done())
}

fn is_arrow(bytes: &[u8], pair: &Range<usize>) -> bool {
    let fields = Skim::new(bytes, pair.start).fields().unwrap_or_default();
    find(&fields, 1).and_then(|f| Skim::new(bytes, f.value.start).binary()) == Some(ARROW)
}

#[cfg(test)]
mod tests;
