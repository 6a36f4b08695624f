//! One pass over one event: members by the plan's guesses, values of the usual kind straight into their slots.

use super::super::coder::within;
use super::super::decimal;
use super::super::plan::{Meaning, Node, Short, Slot};
use super::super::scan::Token;
use super::super::short::{ShortText, plain_until};
use super::super::{Reason, Reject};
use super::fields::{Stop, Walk, number};
use super::numbers;
use crate::event::{Flag, code, numeric};
use crate::schema::Classes;

impl Walk<'_, '_> {
    /// Reads the object of node `at`.
    #[allow(
        clippy::indexing_slicing,
        reason = "nodes, keys and meanings of a plan are built together; a key is only followed by one that was found"
    )]
    pub fn object(&mut self, at: usize) -> Result<(), Stop> {
        let mut more = self.scanner.enter_object()?;
        let mut previous = None;
        while more {
            if self.usual(at, &mut previous) {
                more = self.scanner.next_member()?;
                continue;
            }
            let node = &mut self.plan.nodes[at];
            // The key that followed last time is the guess.
            let guess = previous.map_or(node.first, |p: usize| node.keys[p].next);
            let found = if node.keys.get(guess).is_some_and(|key| self.scanner.skip_key(key)) {
                guess
            } else {
                let Some(found) = node.find(self.scanner.key(self.scratch)?) else {
                    self.scanner.value(self.scratch)?;
                    more = self.scanner.next_member()?;
                    continue;
                };
                match previous {
                    Some(p) => node.keys[p].next = found,
                    None => node.first = found,
                }
                found
            };
            previous = Some(found);
            let key = &mut node.keys[found];
            let again = std::mem::replace(&mut key.seen, self.event) == self.event;
            self.member(at, found, again)?;
            more = self.scanner.next_member()?;
        }
        Ok(())
    }

    /// Reads members as long as they are the usual ones: the key that was guessed, without white space, with a value of
    /// the usual kind for it. Stops before the first that is not, whose value may be written, and then is written anew;
    /// true where it stopped behind a value that no comma follows.
    ///
    /// Long: one loop over every member of every event, whose place and guess stay in registers.
    #[inline]
    fn usual(&mut self, at: usize, previous: &mut Option<usize>) -> bool {
        let Some(Node { keys, first, .. }) = self.plan.nodes.get_mut(at) else { return false };
        let bytes = self.scanner.bytes();
        let mut pos = self.scanner.position();
        let mut guess = previous.and_then(|p| keys.get(p)).map_or(*first, |key| key.next);
        let mut behind_a_value = false;
        while let Some(key) = keys.get_mut(guess) {
            if let Short::Numeric(_) = key.short {
                let text = bytes.get(pos..).unwrap_or(&[]);
                let run = numbers::read(keys, guess, self.event, text, &mut self.row.numeric);
                pos = bytes.len() - run.rest.len();
                *previous = run.last.or(*previous);
                let Some(next) = run.next else {
                    behind_a_value = run.last.is_some() && !run.at_comma;
                    break;
                };
                guess = next;
                continue;
            }
            let Some(behind) = bytes.get(pos..).and_then(|text| key.behind(text)) else { break };
            let value = bytes.len() - behind.len();
            let end = match key.short {
                Short::Categorical(i) if self.plain.values => {
                    let (Some(short), Some(slot)) = (ShortText::at(bytes, value), self.row.categorical.get_mut(i))
                    else {
                        break;
                    };
                    *slot = self.coder.short_category(i, short.word, bytes, short.text(), &mut self.row.fresh);
                    short.end()
                }
                Short::Segment(i) if self.plain.values => {
                    let (Some(short), Some(slot)) = (ShortText::at(bytes, value), self.row.segments.get_mut(i)) else {
                        break;
                    };
                    *slot = self.coder.short_attribute(i, short.word, bytes, short.text());
                    short.end()
                }
                Short::Id => {
                    let text = value + 1..plain_until(bytes, value + 1);
                    let is_plain = bytes.get(value) == Some(&b'"') && bytes.get(text.end) == Some(&b'"');
                    if !is_plain || text.is_empty() || text.len() > self.plain.id {
                        break;
                    }
                    let end = text.end + 1;
                    self.row.id.clear();
                    self.row.id.push_str(within(bytes, text));
                    self.row.has_id = true;
                    end
                }
                Short::Score => {
                    let Some((number, n)) = decimal::read(behind) else { break };
                    self.row.score = number;
                    value + n
                }
                Short::Time => {
                    let Some((ticks, n)) = decimal::whole(behind) else { break };
                    let Some(ms) = self.time.unit.millis(ticks) else { break };
                    self.row.ts = Some(ms);
                    value + n
                }
                Short::Version if self.plain.version => {
                    let Some(short) = ShortText::at(bytes, value).filter(|s| !s.text().is_empty()) else { break };
                    self.row.version = self.coder.short_version(short.word, bytes, short.text(), &mut self.row.fresh);
                    short.end()
                }
                Short::Model if self.plain.model => {
                    let Some(short) = ShortText::at(bytes, value).filter(|s| s.word == self.model_word) else { break };
                    self.names_model = true;
                    short.end()
                }
                _ => break,
            };
            if key.seen == self.event {
                break;
            }
            behind_a_value = bytes.get(end) != Some(&b',');
            key.seen = self.event;
            *previous = Some(guess);
            guess = key.next;
            pos = end + usize::from(!behind_a_value);
            if behind_a_value {
                break;
            }
        }
        self.scanner.go_to(pos);
        behind_a_value
    }

    #[allow(clippy::indexing_slicing, reason = "`at` and `key` come from `object`, which found them in the plan")]
    fn member(&mut self, at: usize, key: usize, again: bool) -> Result<(), Stop> {
        let meaning = &self.plan.nodes[at].meanings[key];
        if again && (meaning.field.is_some() || meaning.child.is_some()) {
            let name = &self.plan.nodes[at].keys[key].name;
            return Err(Reject::new(Reason::DuplicateKey, format!("the key {name:?} stands twice")).into());
        }
        if let Some(child) = meaning.child
            && self.scanner.at_object()
        {
            return self.object(child);
        }
        let meaning = *meaning;
        let token = self.scanner.value(self.scratch)?;
        self.value(&meaning, token, again)
    }

    /// Takes the value of a key that means this; `again`: the key has had one.
    #[inline]
    pub fn value(&mut self, meaning: &Meaning, token: Token<'_>, again: bool) -> Result<(), Stop> {
        if let Some(field) = meaning.field {
            self.field(field, token)?;
        }
        if !meaning.is_field_only() {
            self.values(meaning, token, again);
        }
        Ok(())
    }

    fn values(&mut self, meaning: &Meaning, token: Token<'_>, again: bool) {
        let missing = token == Token::Null;
        match meaning.feature {
            Some(Slot::Numeric(i)) => {
                if let Some(slot) = self.row.numeric.get_mut(i) {
                    *slot = if again { numeric::INVALID } else { number(token) };
                }
            }
            Some(Slot::Categorical(i)) => {
                let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
                let code = match text {
                    _ if again => code::INVALID,
                    Some(text) => self.coder.category(i, text, &mut self.row.fresh),
                    None if missing => code::MISSING,
                    None => code::INVALID,
                };
                if let Some(slot) = self.row.categorical.get_mut(i) {
                    *slot = code;
                }
            }
            None => {}
        }
        for (slot, from_segments) in [(meaning.attribute, false), (meaning.segment, true)] {
            let Some(slot) = slot else { continue };
            let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
            let code = match text {
                Some(text) if !again => self.coder.attribute(slot, text),
                _ => code::MISSING,
            };
            let row = if from_segments { &mut self.row.segments } else { &mut self.row.attributes };
            if let Some(place) = row.get_mut(slot) {
                *place = code;
            }
        }
        if let Some(class) = meaning.class {
            let score = number(token);
            match self.row.scores.get_mut(class) {
                Some(slot) => *slot = if again { numeric::INVALID } else { score },
                // Several may have no class of the policy; the largest of their scores counts.
                None => self.row.unlisted = self.row.unlisted.max(score),
            }
        }
        let flag = match meaning.kpi {
            Some(_) if !again => self.flag(token, &Classes::default()),
            _ => Flag::Invalid,
        };
        if flag == Flag::Invalid && meaning.kpi.is_some() {
            let text = Self::canonical(token, self.scratch, self.text, usize::MAX);
            self.row.bad_kpi.clear();
            self.row.bad_kpi.push_str(text.unwrap_or("an array or object"));
        }
        if let Some(place) = meaning.kpi.and_then(|i| self.row.kpis.get_mut(i)) {
            *place = flag;
        }
    }
}
