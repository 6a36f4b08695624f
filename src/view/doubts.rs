//! What speaks against the registry being the one that the state belongs to.

/// What is wrong with the registry that was opened, as sentences; and its id, to accept it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    pub id: String,
    /// The state belongs to another one.
    pub is_another: bool,
    /// Neither a state nor a registry was here before this start.
    pub is_first: bool,
    pub why: Vec<String>,
}
