//! Where fields are in an event, compiled to a tree of keys: names are resolved once, and the order of the last event
//! is the guess for the next, so that a key costs one comparison.

use crate::event::{EventKind, Field, FieldMap};
use crate::schema::Schema;
use crate::seeded::Map;

/// Where a feature's value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Numeric(usize),
    Categorical(usize),
}

/// What a key means. One value may serve several: a feature that is a segment attribute too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    pub field: Option<Field>,
    pub feature: Option<Slot>,
    /// Attribute read from the features.
    pub attribute: Option<usize>,
    /// Attribute read from the segments, which win.
    pub segment: Option<usize>,
    pub kpi: Option<usize>,
    /// The class whose score it is.
    pub class: Option<usize>,
    /// The node of the object that may be here.
    pub child: Option<usize>,
}

/// A key of an object, with what a decoder needs at hand when it comes by.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: Box<str>,
    /// The key as it is in an event without white space, `"name":`; nothing for a name that JSON writes with escapes,
    /// which is never taken by its bytes.
    literal: Box<[u8]>,
    /// The first eight bytes of the literal and which of them count, and the last eight of a longer one.
    word: u64,
    mask: u64,
    last: u64,
    pub short: Short,
    /// Which key followed when last seen.
    pub next: usize,
    /// The event in which the key was last seen, to find duplicates.
    pub seen: u64,
}

/// What is to be done with the value of a key that has only one meaning of the common kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// A numeric feature and nothing else.
    Numeric(usize),
    /// A categorical feature and nothing else.
    Categorical(usize),
    /// A segment attribute and nothing else.
    Segment(usize),
    Id,
    Score,
    Time,
    Version,
    Model,
    /// Ask the meaning.
    No,
}

impl Key {
    fn new(name: &str) -> Self {
        let plain = !name.bytes().any(|b| matches!(b, b'"' | b'\\' | 0..=0x1f));
        let literal: Box<[u8]> = if plain { format!("\"{name}\":").into_bytes().into() } else { [].into() };
        let mut word = [0; 8];
        word.iter_mut().zip(&literal).for_each(|(w, l)| *w = *l);
        let mask = if literal.len() >= 8 { u64::MAX } else { (1 << (8 * literal.len())) - 1 };
        let last = literal.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
        Self {
            name: name.into(),
            word: u64::from_le_bytes(word),
            mask,
            last,
            literal,
            short: Short::No,
            next: 0,
            seen: 0,
        }
    }

    /// `"name"`, without the colon.
    #[must_use]
    pub fn quoted(&self) -> &[u8] {
        self.literal.split_last().map_or(&[], |(_, quoted)| quoted)
    }

    /// What follows exactly `"name":`, if the text goes on with it.
    #[inline]
    #[must_use]
    pub fn behind<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let word = u64::from_le_bytes(*text.first_chunk()?);
        let n = self.literal.len();
        let stands = (word ^ self.word) & self.mask == 0
            && match n {
                1..=8 => true,
                9..=16 => text
                    .get(n - 8..n)
                    .and_then(|last| last.first_chunk())
                    .is_some_and(|l| u64::from_le_bytes(*l) == self.last),
                0 => false,
                _ => text.starts_with(&self.literal),
            };
        if stands { text.get(n..) } else { None }
    }
}

/// The keys of one object.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub keys: Vec<Key>,
    /// One per key.
    pub meanings: Vec<Meaning>,
    index: Map<Box<str>, usize>,
    /// The key that stands for all others, if one does.
    other: Option<usize>,
    /// Which key came first when last seen.
    pub first: usize,
}

#[allow(clippy::indexing_slicing, reason = "`keys`, `meanings` and `index` grow together")]
impl Node {
    fn entry(&mut self, key: &str) -> &mut Meaning {
        let at = if let Some(&at) = self.index.get(key) {
            at
        } else {
            let at = self.keys.len();
            self.keys.push(Key { next: at + 1, ..Key::new(key) });
            self.meanings.push(Meaning::default());
            self.index.insert(key.into(), at);
            at
        };
        &mut self.meanings[at]
    }

    #[must_use]
    pub fn find(&self, key: &str) -> Option<usize> {
        self.index.get(key).copied().or(self.other)
    }
}

impl Meaning {
    /// Whether the key is a field of the envelope, or an object, and nothing else.
    #[must_use]
    pub fn is_field_only(&self) -> bool {
        *self == Self { field: self.field, child: self.child, ..Self::default() }
    }

    fn short(&self) -> Short {
        let Self { field, child: None, kpi: None, class: None, attribute: None, feature, segment } = self else {
            return Short::No;
        };
        match (*field, *feature, *segment) {
            (None, Some(Slot::Numeric(i)), None) => Short::Numeric(i),
            (None, Some(Slot::Categorical(i)), None) => Short::Categorical(i),
            (None, None, Some(i)) => Short::Segment(i),
            (Some(Field::PredictionId), None, None) => Short::Id,
            (Some(Field::Score), None, None) => Short::Score,
            (Some(Field::Ts), None, None) => Short::Time,
            (Some(Field::Version), None, None) => Short::Version,
            (Some(Field::Model), None, None) => Short::Model,
            _ => Short::No,
        }
    }
}

/// The compiled tree; node 0 is the event.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: Vec<Node>,
}

#[allow(clippy::indexing_slicing, reason = "node numbers come from `node`, which makes the nodes")]
impl Plan {
    /// Compiles the places of `fields` and the names of `schema` for one kind of event.
    #[must_use]
    pub fn new(schema: &Schema, fields: &FieldMap, kind: EventKind) -> Self {
        let mut plan = Self { nodes: vec![Node::default()] };
        // A model of several classes has no score or decision of its own, and another one no such class.
        let others: &[Field] =
            if schema.classes.is_empty() { &[Field::Prediction] } else { &[Field::Score, Field::Decision] };
        let is_read = |field: &Field| kind.has(*field) && !field.is_object() && !others.contains(field);
        for &field in Field::ALL.iter().filter(|field| is_read(field)) {
            plan.meaning(fields.place(field)).field = Some(field);
        }
        if kind.has(Field::Scores) && !schema.classes.is_empty() {
            let node = plan.node(&fields.scores);
            schema.classes.iter().enumerate().for_each(|(i, name)| plan.nodes[node].entry(name).class = Some(i));
            // What the policy does not name may have the largest score. No class is empty.
            // What stands in an object with other fields is no score.
            if node > 0 {
                plan.nodes[node].entry("").class = Some(schema.classes.len());
                plan.nodes[node].other = plan.nodes[node].find("");
            }
        }
        if kind.has(Field::Kpi) {
            let node = plan.node(&fields.kpi);
            schema.kpis.iter().enumerate().for_each(|(i, name)| plan.nodes[node].entry(name).kpi = Some(i));
        }
        if kind.has(Field::Features) {
            plan.add_features(schema, fields, kind.has(Field::Segments));
        }
        for node in &mut plan.nodes {
            node.keys.iter_mut().zip(&node.meanings).for_each(|(key, meaning)| key.short = meaning.short());
        }
        plan
    }

    /// The features, and the segment attributes where events have some.
    fn add_features(&mut self, schema: &Schema, fields: &FieldMap, segments: bool) {
        let node = self.node(&fields.features);
        for (i, name) in schema.numeric.iter().enumerate() {
            self.nodes[node].entry(fields.incoming(name)).feature = Some(Slot::Numeric(i));
        }
        for (i, name) in schema.categorical.iter().enumerate() {
            self.nodes[node].entry(fields.incoming(name)).feature = Some(Slot::Categorical(i));
        }
        if segments {
            for (i, name) in schema.attributes.iter().enumerate() {
                self.nodes[node].entry(fields.incoming(name)).attribute = Some(i);
            }
            let node = self.node(&fields.segments);
            for (i, name) in schema.attributes.iter().enumerate() {
                self.nodes[node].entry(name).segment = Some(i);
            }
        }
    }

    /// The node of the object at `pointer`, made where it is missing.
    fn node(&mut self, pointer: &[String]) -> usize {
        let mut at = 0;
        for token in pointer {
            let next = self.nodes.len();
            let child = *self.nodes[at].entry(token).child.get_or_insert(next);
            if child == next {
                self.nodes.push(Node::default());
            }
            at = child;
        }
        at
    }

    fn meaning(&mut self, pointer: &[String]) -> &mut Meaning {
        let (last, parents) = pointer.split_last().map_or(("", &[][..]), |(l, p)| (l.as_str(), p));
        let node = self.node(parents);
        self.nodes[node].entry(last)
    }
}
