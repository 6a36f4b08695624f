//! Members of the object of a row's features, and what is told of values that are not the one that is meant.

use super::super::tape::Value;

/// Writes `n` values as members with these names.
pub(super) fn named<'t>(
    n: usize,
    values: impl Iterator<Item = Value<'t>>,
    names: &[Vec<u8>],
    out: &mut Vec<u8>,
    what: impl Fn() -> String,
) -> Result<(), String> {
    if n != names.len() {
        let what = what();
        return Err(match names {
            [] => format!("{what} has {n} values without names: name them, `kserve: {{inputs: [age, income]}}`"),
            _ => format!("{what} has {n} values, and `kserve.inputs` names {}", names.len()),
        });
    }
    for (name, value) in names.iter().zip(values) {
        member(name, value, out);
    }
    Ok(())
}

/// Writes a member of the object that was begun; `name` is JSON.
pub(super) fn member(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(name);
    out.push(b':');
    value.write(out);
}

pub(super) fn several(n: usize, what: &str) -> String {
    format!("a row has {n} {what}: write which one is meant, such as `kserve: {{score: /probability/1}}`")
}

pub(super) fn none(pointer: &[String]) -> String {
    format!("a row has no \"/{}\"", pointer.join("/"))
}
