//! The messages of Seldon Core 1: `{"data": {"names": […], "ndarray": [[…], …]}}`, or a `tensor` of a shape and values in place of `ndarray`. Each row
//! has a value for each name. Source: the reference of its prediction API (`SeldonMessage`, `DefaultData`).

use super::super::tape::{Elements, Value};
use super::members::{member, named, none, several};

/// A message with its rows.
pub(super) struct Message<'t> {
    names: Option<Value<'t>>,
    rows: Rows<'t>,
}

enum Rows<'t> {
    /// A list of rows.
    Lists(Value<'t>),
    /// So many values for each row, one behind the other.
    Flat { values: Value<'t>, rows: usize, width: usize },
}

/// A row: so many of these values, where there are as many.
pub(super) struct Row<'t> {
    from: Elements<'t>,
    most: usize,
}

impl<'t> Message<'t> {
    /// The message of a body; `None` of another one.
    ///
    /// # Errors
    /// A message without rows.
    pub fn of(body: Value<'t>) -> Result<Option<Self>, String> {
        let Some(data) = body.member("data").filter(Value::is_object) else {
            let other = ["jsonData", "strData", "binData"].into_iter().find(|key| body.member(key).is_some());
            return other.map_or(Ok(None), |key| {
                Err(format!("its payload is `{key}`, which has no rows: `data` with `ndarray` or `tensor` is read"))
            });
        };
        let names = data.member("names").filter(|names| names.elements().next().is_some());
        let rows = match (data.member("ndarray").filter(Value::is_array), data.member("tensor")) {
            (Some(rows), _) => Rows::Lists(rows),
            (None, Some(tensor)) => flat(tensor)?,
            (None, None) => return Err("its `data` has neither `ndarray` nor `tensor`, which are read".to_owned()),
        };
        Ok(Some(Self { names, rows }))
    }

    pub fn each_row(&self, mut take: impl FnMut(&Row<'t>) -> Result<(), String>) -> Result<(), String> {
        match self.rows {
            Rows::Lists(rows) => rows.elements().try_for_each(|row| {
                let from = if row.is_array() { row.elements() } else { row.alone() };
                take(&Row { from, most: usize::MAX })
            }),
            Rows::Flat { values, rows, width } => {
                let mut from = values.elements();
                (0..rows).try_for_each(|_| {
                    take(&Row { from: from.clone(), most: width })?;
                    from.by_ref().take(width).for_each(drop);
                    Ok(())
                })
            }
        }
    }

    /// Writes the features of a row; `unnamed` are the names of values of a message that has none, as JSON.
    pub fn features(&self, row: &Row<'t>, unnamed: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), String> {
        out.push(b'{');
        let n = row.values().count();
        match self.names {
            None => named(n, row.values(), unnamed, out, || "a row".to_owned())?,
            Some(names) => {
                let count = names.elements().count();
                if count != n {
                    return Err(format!("a row has {n} values, and `names` {count} names"));
                }
                for (name, value) in names.elements().zip(row.values()) {
                    let text = name.scalar().filter(|_| name.text().is_some());
                    member(text.ok_or("`names` has a name that is no text")?.as_bytes(), value, out);
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// The value of a row that a pointer names, by its name or its number; the only one for none.
    pub fn output(&self, row: &Row<'t>, pointer: &[String]) -> Result<Value<'t>, String> {
        match pointer {
            [] => match row.values().count() {
                1 => row.values().next().ok_or_else(|| none(pointer)),
                n => Err(several(n, "values")),
            },
            [part] => {
                let of_name = || self.names.and_then(|names| names.elements().position(|name| name.is_text(part)));
                let at = of_name().or_else(|| part.parse().ok());
                at.and_then(|at| row.values().nth(at)).ok_or_else(|| none(pointer))
            }
            _ => Err(none(pointer)),
        }
    }
}

impl<'t> Row<'t> {
    fn values(&self) -> impl Iterator<Item = Value<'t>> + use<'t> {
        self.from.clone().take(self.most)
    }
}

/// A tensor: its rows by the first number of its shape.
fn flat(tensor: Value<'_>) -> Result<Rows<'_>, String> {
    let values = tensor.member("values").filter(Value::is_array).ok_or("its `tensor` has no list `values`")?;
    let shape = tensor.member("shape").filter(Value::is_array).ok_or("its `tensor` has no `shape`")?;
    let n = values.elements().count();
    let mut sizes = shape.elements().map(|size| size.whole());
    let rows = sizes.next().flatten();
    let width = sizes.try_fold(1_usize, |width, size| width.checked_mul(size?));
    match rows.zip(width) {
        // Else a few bytes could name any number of rows.
        Some((rows, width)) if rows.checked_mul(width) == Some(n) && (width > 0 || rows == 0) => {
            Ok(Rows::Flat { values, rows, width })
        }
        _ => Err(format!("its `tensor` has {n} values, which its shape does not")),
    }
}
