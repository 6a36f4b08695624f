//! Who may change something over HTTP: bearer tokens with a role, a pattern of models and the actor they stand for, from
//! a file or from the environment. Only digests of tokens are kept, and they are compared in constant time. What a token
//! is needed for is decided by the routes.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Where tokens come from when no file is configured; the same format as the file.
pub const ENVIRONMENT: &str = "DRIFTGATE_TOKENS";

/// What a token may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    Approver,
    Operator,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Approver, Self::Operator];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }
}

/// One token: its digest and what it stands for. `Debug` shows no digest: a weak token can be guessed from it.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    sha256: [u8; 32],
    role: Role,
    /// As whom it may approve; empty: as anybody the policy asks for.
    approves_as: Vec<String>,
    models: String,
    actor: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sha256: _, role, approves_as: _, models, actor } = self;
        f.debug_struct("Token")
            .field("role", role)
            .field("models", models)
            .field("actor", actor)
            .finish_non_exhaustive()
    }
}

/// All tokens that are known; none without configuration, and then nothing can be changed over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Token>);

/// A line of the tokens file that cannot be used; it never quotes the token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLine {
    #[error("line {line}: {found} fields, four are needed: TOKEN role models-pattern actor")]
    Fields { line: usize, found: usize },
    #[error("line {line}: {found:?} is not a role; the roles are viewer, approver and operator")]
    Role { line: usize, found: String },
    #[error("line {line}: the same token as in line {first}; each line needs a token of its own")]
    Twice { line: usize, first: usize },
}

#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error("the tokens file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the environment's {ENVIRONMENT} is not UTF-8")]
    NotText,
    #[error("{origin}: {}", joined(lines))]
    Lines { origin: String, lines: Vec<BadLine> },
}

fn joined(lines: &[BadLine]) -> String {
    lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a request may not change something.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error(
        "changes over HTTP are switched off, since no token is configured: name a file with lines `TOKEN role models-pattern actor` \
         as http.tokens_file in the configuration, or give the same lines in the environment as {ENVIRONMENT}, and restart"
    )]
    NoTokens,
    #[error("this needs a token: send the header `Authorization: Bearer TOKEN`")]
    Missing,
    #[error("this token is not known")]
    Unknown,
    #[error("the token of {actor} has the role {has}, this needs {needs}", has = has.name(), needs = needs.name())]
    Role { actor: String, has: Role, needs: Role },
    #[error("the token of {actor} is for models {models:?}, not for {model:?}")]
    Model { actor: String, models: String, model: String },
}

impl Tokens {
    /// Reads the tokens of a file, or without one those of the environment.
    ///
    /// # Errors
    /// A file that cannot be read, and every line that cannot be used.
    pub fn load(file: Option<&Path>) -> Result<Self, TokensError> {
        let (origin, text) = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| TokensError::Read { path: path.to_owned(), source })?;
                (path.display().to_string(), text)
            }
            None => match std::env::var(ENVIRONMENT) {
                Ok(text) => (ENVIRONMENT.to_owned(), text),
                Err(std::env::VarError::NotPresent) => return Ok(Self::default()),
                Err(std::env::VarError::NotUnicode(_)) => return Err(TokensError::NotText),
            },
        };
        Self::parse(&text).map_err(|lines| TokensError::Lines { origin, lines })
    }

    /// Reads lines of `TOKEN role models-pattern actor`, where a role may say as whom it approves (`approver:owner`); a field that starts with `#` begins a comment.
    ///
    /// # Errors
    /// Every line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let mut tokens: Vec<(usize, Token)> = Vec::new();
        let mut errors = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let fields: Vec<&str> = content.split_whitespace().take_while(|f| !f.starts_with('#')).collect();
            match fields.as_slice() {
                [] => {}
                &[token, role, models, actor] => {
                    let sha256: [u8; 32] = Sha256::digest(token).into();
                    let first = tokens.iter().find(|(_, t)| t.sha256 == sha256).map(|(line, _)| *line);
                    // `approver:owner,reviewer` may approve as these only.
                    let (name, approves) = role.split_once(':').unwrap_or((role, ""));
                    let approves_as = approves.split(',').filter(|r| !r.is_empty()).map(str::to_owned).collect();
                    match (first, Role::ALL.into_iter().find(|r| r.name() == name)) {
                        (Some(first), _) => errors.push(BadLine::Twice { line, first }),
                        (_, None) => errors.push(BadLine::Role { line, found: role.to_owned() }),
                        (None, Some(role)) => {
                            tokens.push((
                                line,
                                Token { sha256, role, approves_as, models: models.to_owned(), actor: actor.to_owned() },
                            ));
                        }
                    }
                }
                other => errors.push(BadLine::Fields { line, found: other.len() }),
            }
        }
        if errors.is_empty() { Ok(Self(tokens.into_iter().map(|(_, t)| t).collect())) } else { Err(errors) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The actor behind an `Authorization` header, if it may do what needs `needs` to `model`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn authorize(&self, header: Option<&str>, needs: Role, model: &str) -> Result<&str, Refusal> {
        self.authorize_as(header, needs, model).map(|(actor, _)| actor)
    }

    /// The actor, and as whom it may approve (empty: as anybody).
    ///
    /// # Errors
    /// Why it may not.
    pub fn authorize_as(&self, header: Option<&str>, needs: Role, model: &str) -> Result<(&str, &[String]), Refusal> {
        if self.is_empty() {
            return Err(Refusal::NoTokens);
        }
        let (scheme, token) = header.and_then(|h| h.trim().split_once(' ')).ok_or(Refusal::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::Missing);
        }
        let sha256: [u8; 32] = Sha256::digest(token.trim()).into();
        // Every token is compared, so that the time says nothing about which one was close.
        let found = self.0.iter().fold(None, |found, t| if same(&t.sha256, &sha256) { Some(t) } else { found });
        let token = found.ok_or(Refusal::Unknown)?;
        if token.role < needs {
            return Err(Refusal::Role { actor: token.actor.clone(), has: token.role, needs });
        }
        if !matches(&token.models, model) {
            return Err(Refusal::Model {
                actor: token.actor.clone(),
                models: token.models.clone(),
                model: model.to_owned(),
            });
        }
        Ok((&token.actor, &token.approves_as))
    }
}

/// Compares digests in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0_u8, |differs, (x, y)| differs | (x ^ y))) == 0
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(prefix) else { return false };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = name.find(part) else { return false };
        name = name.get(at + part.len()..).unwrap_or_default();
    }
    name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# people\nsecret-1 operator * alice   # everything\n\nsecret-2 viewer fraud_* bob\n";

    #[test]
    fn a_token_stands_for_its_actor_role_and_models() {
        let tokens = Tokens::parse(FILE).unwrap();
        assert_eq!(tokens.authorize(Some("Bearer secret-1"), Role::Operator, "any"), Ok("alice"));
        assert_eq!(tokens.authorize(Some("bearer  secret-2 "), Role::Viewer, "fraud_detector"), Ok("bob"));
        let refusal = |header, needs, model| tokens.authorize(header, needs, model).unwrap_err();
        assert_eq!(refusal(None, Role::Viewer, "m"), Refusal::Missing);
        assert_eq!(refusal(Some("Basic secret-1"), Role::Viewer, "m"), Refusal::Missing);
        assert_eq!(refusal(Some("Bearer secret-3"), Role::Viewer, "m"), Refusal::Unknown);
        assert_eq!(
            refusal(Some("Bearer secret-2"), Role::Operator, "m").to_string(),
            "the token of bob has the role viewer, this needs operator"
        );
        assert_eq!(
            refusal(Some("Bearer secret-2"), Role::Viewer, "m").to_string(),
            r#"the token of bob is for models "fraud_*", not for "m""#
        );
        assert_eq!(Tokens::default().authorize(Some("Bearer secret-1"), Role::Viewer, "m"), Err(Refusal::NoTokens));
    }

    #[test]
    fn every_bad_line_is_reported_and_no_token_is_shown() {
        let errors =
            Tokens::parse("secret-1 operator *\nsecret-2 root * eve\nsecret-3 viewer * a\nsecret-3 viewer * b\n")
                .unwrap_err();
        assert_eq!(
            joined(&errors),
            "line 1: 3 fields, four are needed: TOKEN role models-pattern actor; \
             line 2: \"root\" is not a role; the roles are viewer, approver and operator; \
             line 4: the same token as in line 3; each line needs a token of its own"
        );
        let shown = format!("{:?}", Tokens::parse(FILE).unwrap());
        assert!(shown.contains("alice") && !shown.contains("secret") && !shown.contains("sha256"), "{shown}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Tokens::load(Some(Path::new("no/such/tokens"))).unwrap_err().to_string();
        assert!(error.starts_with("the tokens file no/such/tokens cannot be read: "), "{error}");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("a*b*c", "axbyc"),
            ("a*a", "aa"),
            ("m", "m"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("m", "mm"), ("a*c", "ab"), ("a*a", "a"), ("a*b*c", "acb"), ("*b", "bc"), ("", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
