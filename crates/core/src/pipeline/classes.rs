//! One of several classes in a file of columns, and what stands for no class.

use crate::decode::columns::{ClassScores, Columns};
use crate::decode::largest::Largest;
use crate::decode::notes::Unmapped;
use crate::event::{Field, code, numeric};
use crate::schema::Schema;

/// Takes note of a label, or a decision or prediction, that stands for no class.
pub(super) fn note(unmapped: &mut Unmapped, schema: &Schema, value: &str) {
    if schema.classes.is_empty() { unmapped.add(value) } else { unmapped.add_to_several(value) }
}

/// The places of the classes that rows predict: the one that they name, or that of the largest score. What is none is noted.
pub(super) fn predicted<C: Columns>(columns: &C, unmapped: &mut Unmapped, out: &mut Vec<f64>) -> Result<(), C::Error> {
    let start = out.len();
    classes(columns, Field::Prediction, unmapped, out)?;
    let Some(ClassScores { listed, others }) = columns.scores()? else { return Ok(()) };
    for (row, place) in out.iter_mut().skip(start).enumerate() {
        if !place.is_nan() || numeric::is_invalid(*place) {
            continue;
        }
        let at = |column: &Vec<f64>| column.get(row).copied().unwrap_or(numeric::MISSING);
        let (chosen, why) = Largest::of(listed.iter().map(at), at(&others)).place();
        *place = chosen;
        why.into_iter().for_each(|why| unmapped.add_to_several(why));
    }
    Ok(())
}

/// The places of the classes that a field of a file of columns names; what names none is noted.
pub(super) fn classes<C: Columns>(
    columns: &C,
    field: Field,
    unmapped: &mut Unmapped,
    out: &mut Vec<f64>,
) -> Result<(), C::Error> {
    let schema = columns.schema();
    let (mut codes, mut places, mut texts) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let intern = |text: &str| {
        let at = texts.iter().position(|known| known == text).unwrap_or_else(|| {
            places.push(schema.class(text).unwrap_or(numeric::INVALID));
            texts.push(text.to_owned());
            texts.len() - 1
        });
        u32::try_from(at).unwrap_or(code::INVALID)
    };
    columns.names(field, intern, &mut codes)?;
    for code in codes {
        let place = places.get(code as usize).copied().unwrap_or(numeric::MISSING);
        if numeric::is_invalid(place) {
            unmapped.add_to_several(texts.get(code as usize).map_or("", String::as_str));
        }
        out.push(place);
    }
    Ok(())
}
