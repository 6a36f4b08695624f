//! The fields of the values that were looked at: where each is, of which types, in how many values, and examples of it.

use std::collections::BTreeMap;

use serde_json::Value;

/// So many fields are told apart; where there are more, names are likely values.
pub const MOST_FIELDS: usize = 2000;
/// Objects within each other.
const DEEPEST: usize = 8;
const EXAMPLES: usize = 3;
/// Characters of an example.
const LONGEST: usize = 40;

/// A place as a JSON Pointer (RFC 6901).
pub fn pointer(place: &[String]) -> String {
    place.iter().fold(String::new(), |all, part| all + "/" + &part.replace('~', "~0").replace('/', "~1"))
}

/// A field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The parts of its JSON pointer.
    pub place: Vec<String>,
    /// How many values have it, null or not.
    pub values: u64,
    /// How many of them are of each type.
    pub types: BTreeMap<&'static str, u64>,
    /// Texts, the first ones that differ.
    pub examples: Vec<String>,
    /// Of the numbers.
    pub range: Option<(f64, f64)>,
    /// Texts that are RFC 3339 times, and those that lack only the time zone.
    pub times: u64,
    pub times_without_zone: u64,
}

impl Field {
    /// The last part of its place.
    pub fn name(&self) -> &str {
        self.place.last().map_or("", String::as_str)
    }

    /// RFC 6901.
    pub fn pointer(&self) -> String {
        pointer(&self.place)
    }

    /// Whether every value that is not null is of these types, and there is one.
    pub fn is(&self, types: &[&str]) -> bool {
        let mut there = self.types.keys().filter(|of| **of != "null").peekable();
        there.peek().is_some() && there.all(|of| types.contains(of))
    }

    fn add(&mut self, value: &Value) {
        self.values += 1;
        let of = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        *self.types.entry(of).or_default() += 1;
        if let Some(x) = value.as_f64() {
            let (least, most) = self.range.unwrap_or((x, x));
            self.range = Some((least.min(x), most.max(x)));
        }
        if let Value::String(text) = value {
            self.times += u64::from(text.parse::<jiff::Timestamp>().is_ok());
            let without = text.contains(['T', ' ']) && text.parse::<jiff::civil::DateTime>().is_ok();
            self.times_without_zone += u64::from(without && text.parse::<jiff::Timestamp>().is_err());
        }
        let example = match value {
            Value::String(text) => text.chars().take(LONGEST).collect(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            _ => return,
        };
        if self.examples.len() < EXAMPLES && !self.examples.contains(&example) {
            self.examples.push(example);
        }
    }
}

/// The fields in the order in which they were seen first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    pub all: Vec<Field>,
    by_place: BTreeMap<Vec<String>, usize>,
    /// Values that were looked at.
    pub values: u64,
    /// There are more than `MOST_FIELDS`.
    pub more: bool,
}

impl Fields {
    /// Adds the fields of a value; of what is no object there are none.
    pub fn add(&mut self, value: &Value) {
        if value.is_object() {
            self.values += 1;
            self.walk(value, &mut Vec::new());
        }
    }

    fn walk(&mut self, value: &Value, place: &mut Vec<String>) {
        let Value::Object(members) = value else { return };
        for (name, member) in members {
            place.push(name.clone());
            let at = self.by_place.get(place).copied();
            let at = at.or_else(|| {
                self.more |= self.all.len() >= MOST_FIELDS;
                let at = self.all.len();
                (at < MOST_FIELDS).then(|| {
                    self.all.push(Field { place: place.clone(), ..Field::default() });
                    self.by_place.insert(place.clone(), at);
                    at
                })
            });
            if let Some(field) = at.and_then(|at| self.all.get_mut(at)) {
                field.add(member);
            }
            if place.len() < DEEPEST {
                self.walk(member, place);
            }
            place.pop();
        }
    }
}

/// An example whose letters and digits are covered: what is left is its shape.
pub fn masked(example: &str) -> String {
    let covered = |c: char| match c {
        _ if c.is_numeric() => '9',
        _ if c.is_uppercase() => 'A',
        _ if c.is_alphabetic() => 'a',
        _ => c,
    };
    example.chars().map(covered).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(values: &[Value]) -> Fields {
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.add(value));
        fields
    }

    #[test]
    fn fields_are_counted_by_place_and_type() {
        let all = fields(&[
            json!({"id": "a", "features": {"x/y": 1, "t": "2026-01-01T00:00:00Z"}}),
            json!({"id": null, "features": {"x/y": 2.5}}),
            json!([1]),
        ]);
        let shown: Vec<_> = all.all.iter().map(|f| (f.pointer(), f.values, f.types.clone())).collect();
        assert_eq!(
            shown,
            [
                ("/id".to_owned(), 2, [("text", 1), ("null", 1)].into()),
                ("/features".to_owned(), 2, [("object", 2)].into()),
                ("/features/x~1y".to_owned(), 2, [("integer", 1), ("number", 1)].into()),
                ("/features/t".to_owned(), 1, [("text", 1)].into()),
            ]
        );
        assert_eq!((all.values, all.all[2].range, all.all[3].times), (2, Some((1.0, 2.5)), 1));
        assert!(all.all[0].is(&["text"]) && !all.all[0].is(&["null"]) && all.all[2].is(&["integer", "number"]));
    }

    #[test]
    fn names_without_an_end_take_bounded_memory() {
        let names: serde_json::Map<String, Value> = (0..3000).map(|n| (format!("user-{n}"), json!(n))).collect();
        let all = fields(&[Value::Object(names)]);
        assert!(all.all.len() == MOST_FIELDS && all.more);
        let deep = (0..60).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(fields(&[deep]).all.len(), DEEPEST);
    }

    #[test]
    fn what_is_masked_keeps_its_shape_alone() {
        assert_eq!(masked("Anna-1972 é٣"), "Aaaa-9999 a9");
    }
}
