//! What the caller of a route needs.

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: machines ask whether the process lives.
    Probe,
    /// Nothing, unless `http.metrics` says `token`: then a token that reads every model.
    Metrics,
    /// As `Read`; a browser is asked for the token.
    Page,
    /// A token that may read the model, unless reading is open.
    Read,
    /// As `Read`; to tell the end of a rollout, the role operator for the model.
    Report,
    /// The role approver for the model.
    Approve,
    /// The role operator for the model.
    Operate,
}

impl Needs {
    /// What the caller needs, after "needs".
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Probe => "nothing",
            Self::Metrics => "nothing, or with `http.metrics: token` a token that reads every model",
            Self::Page | Self::Read => "a token that may read the model, unless `http.read` is `open`",
            Self::Report => "a token that may read the model; for the end of a rollout, the role operator",
            Self::Approve => "the role approver for the model",
            Self::Operate => "the role operator for the model",
        }
    }
}
