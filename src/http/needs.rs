//! What the caller of a route needs.

use super::auth::Role;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: machines ask whether the process lives.
    Probe,
    /// Nothing, unless `http.metrics` says `token`: then a token that reads every model.
    Metrics,
    /// Nothing: a person is to sign in.
    SignIn,
    /// As `Read`; a browser gets the page of signing in, unless a person is signed in.
    Page,
    /// Nothing, or the token that the source of the path names: the handler asks for it.
    Ingest,
    /// A token that may read the model, unless reading is open.
    Read,
    /// As `Read`; to tell the end of a rollout, the role operator for the model.
    Report,
    /// The role approver for the model.
    Approve,
    /// The role operator for the model.
    Operate,
    /// A person who is signed in, with the role that the route of the API needs which does the same.
    Act,
}

impl Needs {
    /// What the caller needs, after "needs".
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Probe | Self::SignIn => "nothing",
            Self::Metrics => "nothing, or with `http.metrics: token` a token that reads every model",
            Self::Ingest => "nothing, or the token of the source's `http.token_file`, where it has one",
            Self::Page | Self::Read => "a token that may read the model, unless `http.read` is `open`",
            Self::Report => "a token that may read the model; for the end of a rollout, the role operator",
            Self::Approve => "the role approver for the model",
            Self::Operate => "the role operator for the model",
            Self::Act => "a session of a person with the role approver for the model to approve, else operator",
        }
    }
}

/// What a person can do on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Approve,
    Promote,
    /// Of a rollout.
    Pause,
    Continue,
    Confirm,
    Abort,
    RollBack,
    Unblock,
    /// Of automatic actions.
    Freeze,
    Resume,
}

impl Act {
    pub const ALL: [Self; 10] = [
        Self::Approve,
        Self::Promote,
        Self::Pause,
        Self::Continue,
        Self::Confirm,
        Self::Abort,
        Self::RollBack,
        Self::Unblock,
        Self::Freeze,
        Self::Resume,
    ];

    /// As it stands in the path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Continue => "continue",
            Self::Confirm => "confirm",
            Self::Abort => "abort",
            Self::RollBack => "rollback",
            Self::Unblock => "unblock",
            Self::Freeze => "freeze",
            Self::Resume => "resume",
        }
    }

    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// The role that it needs, as the API's route does.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Approve => Role::Approver,
            Self::Promote
            | Self::Pause
            | Self::Continue
            | Self::Confirm
            | Self::Abort
            | Self::RollBack
            | Self::Unblock
            | Self::Freeze
            | Self::Resume => Role::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_read_by_its_name_and_nothing_else_is_one() {
        for act in Act::ALL {
            assert_eq!(Act::read(act.name()), Some(act));
            assert_eq!(act.role() == Role::Approver, act == Act::Approve);
        }
        assert_eq!(Act::read("Approve"), None);
    }
}
