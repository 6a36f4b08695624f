//! What is worth telling of a topic whose events count: times that look like another unit's, values of no class, names that no
//! event has had.

use driftgate_core::decode::notes::Notes;

/// One topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicRemarks {
    pub notes: Notes,
    /// Messages without a value.
    pub tombstones: u64,
    /// A model, and a name that its policy reads and no event has had.
    pub absent: Vec<(String, String)>,
    pub sentences: Vec<String>,
}

impl TopicRemarks {
    /// The sentences that others did not say, but for their counts.
    pub fn new_since<'t>(&'t self, before: Option<&'t Self>) -> impl Iterator<Item = &'t String> {
        let said: Vec<String> = before.iter().flat_map(|b| &b.sentences).map(|s| but_for_counts(s)).collect();
        self.sentences.iter().filter(move |sentence| !said.contains(&but_for_counts(sentence)))
    }
}

fn but_for_counts(sentence: &str) -> String {
    sentence.chars().filter(|c| !c.is_ascii_digit() && *c != ',').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_said_again_only_when_more_than_its_counts_changed() {
        let remarks = |of: &[&str]| TopicRemarks {
            sentences: of.iter().map(|s| (*s).to_owned()).collect(),
            ..TopicRemarks::default()
        };
        let before = remarks(&["t: no event of 999 has `a`"]);
        let after = remarks(&["t: no event of 1,002 has `a`", "t: 1 label of no class"]);
        assert_eq!(after.new_since(Some(&before)).collect::<Vec<_>>(), ["t: 1 label of no class"]);
        assert_eq!(after.new_since(None).count(), 2);
    }
}
