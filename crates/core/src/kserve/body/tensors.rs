//! The tensors of a V2 body: each has `width` values a row, in the order of its rows, and all have as many rows.

use super::super::tape::Value;
use super::members::{member, named, none, several};

/// The tensors of one body, in memory that the next one reuses.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    all: Vec<Tensor>,
    /// The places of their values, one tensor's behind the other's.
    places: Vec<usize>,
    shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Tensor {
    /// The place of its name.
    name: usize,
    rows: usize,
    width: usize,
    /// Where its values begin.
    first: usize,
}

impl Tensors {
    /// Reads a list of tensors.
    ///
    /// # Errors
    /// What is no tensor, and tensors that do not agree.
    pub fn read(&mut self, list: Value<'_>) -> Result<(), String> {
        self.all.clear();
        self.places.clear();
        for value in list.elements() {
            let tensor = self.tensor(value)?;
            self.all.push(tensor);
        }
        let Some(first) = self.all.first() else { return Ok(()) };
        match self.all.iter().find(|tensor| tensor.rows != first.rows) {
            Some(other) => {
                let name = |tensor: &Tensor| list.at(tensor.name).text().unwrap_or_default();
                let (one, other_name) = (name(first), name(other));
                Err(format!("the tensor {one:?} has {} rows, and {other_name:?} has {}", first.rows, other.rows))
            }
            None => Ok(()),
        }
    }

    fn tensor(&mut self, value: Value<'_>) -> Result<Tensor, String> {
        let (mut name, mut shape, mut data, mut parameters) = (None, None, None, None);
        for (key, value) in value.members() {
            if key.is_text("name") {
                name = Some(value);
            } else if key.is_text("shape") {
                shape = Some(value);
            } else if key.is_text("data") {
                data = Some(value);
            } else if key.is_text("parameters") {
                parameters = Some(value);
            }
        }
        let name = name.filter(|name| name.text().is_some()).ok_or("a tensor has no name")?;
        let said = || name.text().unwrap_or_default();
        self.shape.clear();
        let is_shape = shape
            .filter(Value::is_array)
            .is_some_and(|shape| shape.elements().all(|of| of.whole().map(|n| self.shape.push(n)).is_some()));
        let Some((rows, rest)) = self.shape.split_first().filter(|_| is_shape) else {
            return Err(format!("the tensor {:?} has no shape, whose first number says how many rows it has", said()));
        };
        let (rows, width) = (*rows, rest.iter().try_fold(1_usize, |width, n| width.checked_mul(*n)));
        let Some(data) = data else {
            let behind = parameters.and_then(|of| of.member("binary_data_size")).is_some();
            let why = if behind { "behind the JSON (the binary extension)" } else { "nowhere" };
            return Err(format!("the tensor {:?} has its data {why}: driftgate reads data as JSON", said()));
        };
        let first = self.places.len();
        flatten(data, &mut self.places);
        let values = self.places.len() - first;
        match width.and_then(|width| Some((width, width.checked_mul(rows)?))) {
            // Else a few bytes could name any number of rows.
            Some((0, _)) if rows > 0 => Err(format!("the tensor {:?} has rows without a value", said())),
            Some((width, all)) if all == values => Ok(Tensor { name: name.place(), rows, width, first }),
            _ => {
                let shape = &self.shape;
                Err(format!("the tensor {:?} has {values} values, which its shape {shape:?} does not", said()))
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.all.first().map_or(0, |tensor| tensor.rows)
    }

    /// The places of the values of a row.
    fn row(&self, tensor: &Tensor, row: usize) -> &[usize] {
        let first = tensor.first + row * tensor.width;
        self.places.get(first..first + tensor.width).unwrap_or(&[])
    }

    /// Writes the features of a row; `names` are those of values without one, as JSON.
    ///
    /// # Errors
    /// Values without a name.
    pub fn features(&self, list: Value<'_>, row: usize, names: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), String> {
        out.push(b'{');
        for tensor in &self.all {
            let name = list.at(tensor.name);
            match self.row(tensor, row) {
                [only] => member(name.scalar().unwrap_or("\"\"").as_bytes(), list.at(*only), out),
                several => {
                    let what = || format!("a row of the tensor {:?}", name.text().unwrap_or_default());
                    named(several.len(), several.iter().map(|place| list.at(*place)), names, out, what)?;
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// The value of a row that a pointer names; the only one for none.
    ///
    /// # Errors
    /// Several values, or no such one.
    pub fn output<'t>(&self, list: Value<'t>, row: usize, pointer: &[String]) -> Result<Value<'t>, String> {
        let (tensor, rest) = match (self.all.as_slice(), pointer.split_first()) {
            ([only], None) => (only, pointer),
            (all, Some((name, rest))) => {
                let named = all.iter().find(|tensor| list.at(tensor.name).is_text(name));
                (named.ok_or_else(|| none(pointer))?, rest)
            }
            (all, None) => return Err(several(all.len(), "outputs")),
        };
        let place = match (self.row(tensor, row), rest) {
            ([only], []) => *only,
            (values, [index]) => {
                let named = index.parse().ok().and_then(|i: usize| values.get(i)).copied();
                named.ok_or_else(|| none(pointer))?
            }
            (values, []) => return Err(several(values.len(), "values")),
            _ => return Err(none(pointer)),
        };
        Ok(list.at(place))
    }
}

/// The places of the values in a nested array, or of the only value.
fn flatten(value: Value<'_>, into: &mut Vec<usize>) {
    if value.is_array() {
        value.elements().for_each(|value| flatten(value, into));
    } else {
        into.push(value.place());
    }
}
