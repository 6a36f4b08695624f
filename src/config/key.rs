//! The description of a key, which is beside its parser: the parser takes the names from it, and the reference page the rest.

/// What a key has where it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It cannot be left out.
    Required,
    /// This value, as it would be written.
    Value(&'static str),
    /// Nothing, or what the meaning says.
    Nothing,
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What is written as its value.
    pub kind: &'static str,
    pub otherwise: Otherwise,
    pub meaning: &'static str,
}

/// A key that cannot be left out.
pub const fn required(name: &'static str, kind: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, otherwise: Otherwise::Required, meaning }
}

/// A key with a default.
pub const fn default(name: &'static str, kind: &'static str, value: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, otherwise: Otherwise::Value(value), meaning }
}

/// A key that can be left out.
pub const fn optional(name: &'static str, kind: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, otherwise: Otherwise::Nothing, meaning }
}

/// The names of keys, as a parser takes them.
#[allow(clippy::indexing_slicing, reason = "both arrays have N elements, and constants have no iterators")]
pub const fn names<const N: usize>(keys: &[Key; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = keys[at].name;
        at += 1;
    }
    names
}
