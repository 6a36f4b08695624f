//! Tokens of a file or of the environment: lines of `TOKEN role models-pattern actor`. A file is read whole or not at all:
//! a line that would silently not count is an error. Only digests of tokens are kept, compared in constant time.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::roles::{BadRoles, Grant, Roles};
use super::rules::{ENVIRONMENT, ISSUER_PREFIX};
use crate::telemetry::events::registry::OpenToOthers;
use driftgate_core::audit::names::OWN_ACTORS;
use driftgate_core::text;

/// A token with fewer characters can be guessed.
pub const SHORTEST: usize = 24;
/// A file of tokens is no longer.
const LONGEST_FILE: u64 = 4 << 20;
/// Bytes of one field behind the token.
const LONGEST_FIELD: usize = 400;
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;

/// One token: its digest and whose it is. `Debug` shows no digest.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    sha256: [u8; 32],
    caller: Caller,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// All tokens that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// A line that cannot be used; it never quotes the token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLine {
    #[error(
        "line {line}: {found} fields, four are needed: TOKEN role models-pattern actor{comment}",
        comment = if *cut { "; a field that begins with # begins a comment" } else { "" }
    )]
    Fields { line: usize, found: usize, cut: bool },
    #[error("line {line}: {why}")]
    Roles { line: usize, why: BadRoles },
    #[error(
        "line {line}: the token has {found} characters and can be guessed; {SHORTEST} are the fewest. `openssl rand -hex 32` makes one"
    )]
    Short { line: usize, found: usize },
    #[error(
        "line {line}: the token holds characters that no request can send; it is of printable ASCII. `openssl rand -hex 32` makes one"
    )]
    Unsendable { line: usize },
    #[error(
        "line {line}: the actor begins with {ISSUER_PREFIX}, which the actors of an issuer's tokens do: name it otherwise"
    )]
    Actor { line: usize },
    #[error(
        "line {line}: the actor {actor} stands in the audit log for what no person did: name the token's otherwise"
    )]
    Own { line: usize, actor: String },
    #[error("line {line}: the {field} cannot be used: {why}")]
    Hidden { line: usize, field: &'static str, why: String },
    #[error("line {line}: the same token as in line {first}; each line needs a token of its own")]
    Twice { line: usize, first: usize },
    #[error(
        "line {line}: a comment that reads like a token with its role, and would not count: a token does not begin with #. Take the line out if \
         it shall not hold"
    )]
    InComment { line: usize },
    #[error(
        "line {line}: a carriage return within the line, and what follows it might not count: end lines by a line feed"
    )]
    CarriageReturn { line: usize },
}

/// Why tokens are not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error("the tokens file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the environment's {ENVIRONMENT} is not UTF-8")]
    NotText,
    #[error(
        "both http.tokens_file ({}) and the environment's {ENVIRONMENT} name tokens, and only one of them would hold: keep one",
        path.display()
    )]
    Both { path: PathBuf },
    #[error("{origin}: {}", told.join("; "))]
    Bad { origin: String, told: Vec<String> },
}

impl TokensError {
    /// Whether the tokens themselves are wrong, not merely out of reach.
    #[must_use]
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

impl Tokens {
    /// Reads the tokens of a file, or without one those of the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them at once.
    pub fn load(file: Option<&Path>) -> Result<Self, TokensError> {
        let environment = match std::env::var(ENVIRONMENT) {
            Ok(text) => Some(text).filter(|text| !text.is_empty()),
            Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => return Err(TokensError::NotText),
        };
        let (origin, read) = match (file, environment) {
            (None, None) => return Ok(Self::default()),
            (Some(path), Some(_)) => return Err(TokensError::Both { path: path.to_owned() }),
            (None, Some(text)) => (ENVIRONMENT.to_owned(), Ok((text, None))),
            (Some(path), None) => (format!("the tokens file {}", path.display()), read(path)),
        };
        let (text, mode) = read?;
        let mut told: Vec<String> = mode.and_then(open_to_all).into_iter().collect();
        match Self::parse(&text) {
            Ok(tokens) if told.is_empty() && !tokens.is_empty() => {
                if mode.is_some_and(|mode| mode & GROUP_WRITES != 0) {
                    OpenToOthers::Tokens { origin: &origin }.emit();
                }
                return Ok(tokens);
            }
            Ok(tokens) if tokens.is_empty() => told.push(
                "it holds no token, so nobody could do anything: write lines of TOKEN role models-pattern actor, or do not name it"
                    .to_owned(),
            ),
            Ok(_) => {}
            Err(lines) => told.extend(lines.iter().map(ToString::to_string)),
        }
        Err(TokensError::Bad { origin, told })
    }

    /// Reads lines of `TOKEN role[+role] models-pattern actor`; a field that starts with `#` begins a comment.
    ///
    /// # Errors
    /// Every line that cannot be used, or would silently not count.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let mut tokens: Vec<(usize, Token)> = Vec::new();
        let mut errors = Vec::new();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            match read_line(line, content, &tokens) {
                Ok(token) => tokens.extend(token.map(|token| (line, token))),
                Err(bad) => errors.extend(bad),
            }
        }
        if errors.is_empty() { Ok(Self(tokens.into_iter().map(|(_, t)| t).collect())) } else { Err(errors) }
    }

    /// One token, whatever it looks like.
    #[must_use]
    pub fn one(token: &str, roles: Roles, models: &str, actor: &str) -> Self {
        let grants = vec![Grant { roles, models: models.to_owned() }];
        Self(vec![Token { sha256: Sha256::digest(token).into(), caller: Caller { actor: actor.to_owned(), grants } }])
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose token it is.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<&Caller> {
        let sha256: [u8; 32] = Sha256::digest(token).into();
        // Every token is compared, so that the time says nothing about which one was close.
        self.0.iter().fold(None, |found, t| if same(&t.sha256, &sha256) { Some(&t.caller) } else { found })
    }
}

/// The token of a line, `None` where it holds nothing or a comment.
fn read_line(line: usize, content: &str, before: &[(usize, Token)]) -> Result<Option<Token>, Vec<BadLine>> {
    if content.contains('\r') {
        return Err(vec![BadLine::CarriageReturn { line }]);
    }
    let all: Vec<&str> = content.split_whitespace().collect();
    let end = all.iter().position(|field| field.starts_with('#')).unwrap_or(all.len());
    let (fields, comment) = all.split_at(end);
    if hides_a_token(comment) {
        return Err(vec![BadLine::InComment { line }]);
    }
    let &[token, roles, models, actor] = fields else {
        let cut = !comment.is_empty();
        let found = fields.len();
        return if found == 0 { Ok(None) } else { Err(vec![BadLine::Fields { line, found, cut }]) };
    };
    let mut bad = Vec::new();
    let sha256: [u8; 32] = Sha256::digest(token).into();
    if let Some((first, _)) = before.iter().find(|(_, t)| t.sha256 == sha256) {
        bad.push(BadLine::Twice { line, first: *first });
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        bad.push(BadLine::Unsendable { line });
    } else if token.len() < SHORTEST {
        bad.push(BadLine::Short { line, found: token.len() });
    }
    for (field, text) in [("roles", roles), ("models pattern", models), ("actor", actor)] {
        // A reader of the audit log could not tell it from another's.
        if let Err(why) = text::bounded(text, LONGEST_FIELD) {
            bad.push(BadLine::Hidden { line, field, why });
        }
    }
    if actor.starts_with(ISSUER_PREFIX) {
        bad.push(BadLine::Actor { line });
    }
    if OWN_ACTORS.contains(&actor) {
        bad.push(BadLine::Own { line, actor: actor.to_owned() });
    }
    match Roles::parse(roles) {
        Ok(roles) if bad.is_empty() => {
            let grants = vec![Grant { roles, models: models.to_owned() }];
            return Ok(Some(Token { sha256, caller: Caller { actor: actor.to_owned(), grants } }));
        }
        Ok(_) => {}
        Err(why) => bad.push(BadLine::Roles { line, why }),
    }
    Err(bad)
}

/// Whether a comment reads like a token's line: `#TOKEN role pattern actor`, or anywhere a long word before a role.
fn hides_a_token(comment: &[&str]) -> bool {
    let is_role = |field: &str| Roles::parse(field).is_ok();
    let at_once = match comment {
        [first, role, _, _, ..] => first.trim_start_matches('#').len() > 1 && is_role(role),
        _ => false,
    };
    let long = |field: &str| field.trim_start_matches('#').len() >= SHORTEST;
    at_once || comment.windows(2).any(|pair| matches!(pair, [token, role] if long(token) && is_role(role)))
}

/// A file's text and its mode.
fn read(path: &Path) -> Result<(String, Option<u32>), TokensError> {
    let failed = |source| TokensError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    // Of what was opened, so that it is not exchanged in between.
    let found = file.metadata().map_err(failed)?;
    let mut text = String::new();
    file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST_FILE {
        let told = vec![format!("it is longer than {LONGEST_FILE} bytes, which no list of tokens is")];
        return Err(TokensError::Bad { origin: format!("the tokens file {}", path.display()), told });
    }
    Ok((text, found.is_file().then(|| found.mode())))
}

/// What is wrong with a file that every user of the machine may read or write.
fn open_to_all(mode: u32) -> Option<String> {
    let may = match (mode & OTHERS_READ != 0, mode & OTHERS_WRITE != 0) {
        (false, false) => return None,
        (true, false) => "read",
        (false, true) => "write",
        (true, true) => "read and write",
    };
    Some(format!(
        "its mode is {:04o}, so every user of the machine may {may} it: chmod 0600 it, or 0640 for a group (in Kubernetes \
         `defaultMode: 0440` with `fsGroup`, for a Docker secret `mode: 0400`)",
        mode & 0o7777
    ))
}

/// Compares digests in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0_u8, |differs, (x, y)| differs | (x ^ y))) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ONE: &str = "0123456789abcdef01234567";
    const TWO: &str = "76543210fedcba9876543210";

    fn told(text: &str) -> String {
        let errors = Tokens::parse(text).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_token_stands_for_its_actor_and_no_digest_is_shown() {
        let text = format!("# people\n{ONE} operator * alice   # everything\r\n\n{TWO} viewer fraud_* bob\n");
        let tokens = Tokens::parse(&text).unwrap();
        assert_eq!(tokens.find(ONE).map(|c| c.actor.as_str()), Some("alice"));
        assert_eq!(tokens.find(TWO).map(|c| c.actor.as_str()), Some("bob"));
        assert_eq!(tokens.find("0123456789abcdef01234568"), None);
        let shown = format!("{tokens:?}");
        assert!(shown.contains("alice") && !shown.contains(ONE) && !shown.contains("sha256"), "{shown}");
        // What a byte order mark would take away.
        assert!(Tokens::parse(&format!("\u{feff}{ONE} viewer * a")).unwrap().find(ONE).is_some());
    }

    #[test]
    fn every_bad_line_is_reported_and_no_token_is_shown() {
        let text = format!(
            "{ONE} operator *\nsecret root * eve\n{TWO} viewer * a\n{TWO} viewer * b\n{ONE}x approver: * c\n{ONE}y operator #* d\n{ONE}\u{fc} viewer * e\n"
        );
        assert_eq!(
            told(&text),
            "line 1: 3 fields, four are needed: TOKEN role models-pattern actor; \
             line 2: the token has 6 characters and can be guessed; 24 are the fewest. `openssl rand -hex 32` makes one; \
             line 2: \"root\" is not a role; the roles are viewer, approver and operator, and several are joined by +; \
             line 4: the same token as in line 3; each line needs a token of its own; \
             line 5: \"approver:\" approves as nobody: name the roles behind the colon, like approver:owner,reviewer, or leave the \
             colon out to approve as any role; \
             line 6: 2 fields, four are needed: TOKEN role models-pattern actor; a field that begins with # begins a comment; \
             line 7: the token holds characters that no request can send; it is of printable ASCII. `openssl rand -hex 32` makes one"
        );
        assert!(!told(&text).contains(ONE) && !told(&text).contains(TWO) && !told(&text).contains("secret"));
    }

    #[test]
    fn no_token_acts_as_what_is_no_person() {
        for actor in ["driftgate", "mlflow", "sagemaker"] {
            assert!(told(&format!("{ONE} operator * {actor}")).contains("what no person did"), "{actor}");
        }
    }

    #[test]
    fn no_actor_looks_like_another() {
        for twin in
            ["ali\u{200b}ce", "alice\u{feff}", "\u{202e}ecila", "alice\u{1b}[2K", "alice\u{7f}", "a\u{2060}lice"]
        {
            let why = told(&format!("{ONE} operator * {twin}"));
            assert!(why.starts_with("line 1: the actor cannot be used: it holds U+"), "{twin:?}: {why}");
        }
        assert!(told(&format!("{ONE} operator m\u{200b} alice")).contains("the models pattern cannot be used"));
        assert!(told(&format!("{ONE} approver:owner\u{200d} * alice")).contains("the roles cannot be used"));
        assert!(told(&format!("{ONE} viewer * {}", "a".repeat(401))).contains("it can have 400"));
        assert!(Tokens::parse(&format!("{ONE} viewer * J\u{fc}rgen")).is_ok());
    }

    #[test]
    fn a_line_that_would_silently_not_count_is_an_error() {
        for lost in [
            format!("#{ONE} operator * me"),
            format!("# {ONE} operator * me"),
            format!("{TWO} viewer * me # {ONE} operator+approver:owner * you"),
            format!("# from now on: {ONE} viewer * me"),
            "#s3cret operator * me".to_owned(),
            format!("# people\r{ONE} operator * me"),
        ] {
            let why = told(&lost);
            assert!(why.contains("would not count") || why.contains("carriage return"), "{lost}: {why}");
            assert!(!why.contains(ONE), "{why}");
        }
        for comment in
            ["# TOKEN role models-pattern actor", "# the operator of it all", "#", "# viewer", "#- operator * me"]
        {
            assert_eq!(Tokens::parse(comment), Ok(Tokens::default()), "{comment}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_nothing_is_refused_with_all_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let load = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Tokens::load(Some(&path)).map(|t| t.len()).map_err(|e| e.to_string())
        };
        let good = format!("{ONE} operator * me\n");
        for mode in [0o600, 0o400, 0o640, 0o440, 0o660] {
            assert_eq!(load(&good, mode), Ok(1), "{mode:o}");
        }
        for mode in [0o644, 0o444, 0o602, 0o666] {
            let why = load(&good, mode).unwrap_err();
            assert!(why.contains(&format!("its mode is {mode:04o}")) && why.contains("chmod 0600"), "{why}");
        }
        let why = load("short viewer * me\n", 0o644).unwrap_err();
        assert!(why.contains("its mode is 0644") && why.contains("line 1: the token has 5 characters"), "{why}");
        for empty in ["", "\n\n", "# nobody\n"] {
            assert!(load(empty, 0o600).unwrap_err().contains("it holds no token"), "{empty:?}");
        }
        let error = Tokens::load(Some(Path::new("no/such/tokens"))).unwrap_err();
        assert!(
            error.to_string().starts_with("the tokens file no/such/tokens cannot be read: ") && !error.is_content()
        );
    }
}
