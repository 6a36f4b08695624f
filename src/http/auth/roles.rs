//! What a caller may do: roles, each given by its name, and the models they hold for.

use std::fmt;

/// What a route may ask for. Every role may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Approver,
    Operator,
}

impl Role {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }
}

/// A set of roles. Reading comes with every role; approving comes with no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    operator: bool,
    /// As whom it may approve, if it may: as anybody the policy asks for where the list is empty.
    approves: Option<Vec<String>>,
}

/// A text that names no roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRoles {
    #[error("{found:?} is not a role; the roles are viewer, approver and operator, and several are joined by +")]
    Unknown { found: String },
    #[error(
        "{found:?} approves as nobody: name the roles behind the colon, like approver:owner,reviewer, or leave the colon out to \
         approve as any role"
    )]
    NobodyToApproveAs { found: String },
    #[error("{found:?}: only approver is followed by roles to approve as; write {role}+{rest}", rest = found.replacen(role, "approver", 1))]
    NoApprover { found: String, role: &'static str },
    #[error("{found:?} names {role} twice: keep one, like approver:owner,reviewer")]
    Twice { found: String, role: &'static str },
}

impl Roles {
    pub const OPERATOR: Self = Self { operator: true, approves: None };

    /// Reads `viewer`, `operator`, `approver`, `approver:owner,reviewer`, or several of them joined by `+`.
    ///
    /// # Errors
    /// What is no role, and `approver:` with no role behind the colon.
    pub fn parse(text: &str) -> Result<Self, BadRoles> {
        let found = || text.to_owned();
        let mut seen: Vec<&str> = Vec::new();
        let mut roles = Self::default();
        for part in text.split('+') {
            let (name, behind) = part.split_once(':').map_or((part, None), |(name, behind)| (name, Some(behind)));
            let all = [Role::Viewer, Role::Approver, Role::Operator];
            let Some(role) = all.into_iter().find(|role| role.name() == name) else {
                return Err(BadRoles::Unknown { found: found() });
            };
            if seen.contains(&name) {
                return Err(BadRoles::Twice { found: found(), role: role.name() });
            }
            seen.push(name);
            match (role, behind) {
                (Role::Approver, None) => roles.approves = Some(Vec::new()),
                (Role::Approver, Some(behind)) => {
                    let names: Vec<String> = behind.split(',').map(str::to_owned).collect();
                    if names.iter().any(String::is_empty) {
                        return Err(BadRoles::NobodyToApproveAs { found: found() });
                    }
                    roles.approves = Some(names);
                }
                (_, Some(_)) => return Err(BadRoles::NoApprover { found: part.to_owned(), role: role.name() }),
                (Role::Operator, None) => roles.operator = true,
                (Role::Viewer, None) => {}
            }
        }
        Ok(roles)
    }

    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        match role {
            Role::Viewer => true,
            Role::Approver => self.approves.is_some(),
            Role::Operator => self.operator,
        }
    }

    /// As whom it may approve: `None` not at all, an empty list as anybody.
    #[must_use]
    pub fn approves_as(&self) -> Option<&[String]> {
        self.approves.as_deref()
    }
}

/// The names, without as whom it approves.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.operator, self.approves.is_some()) {
            (true, true) => "operator+approver",
            (true, false) => "operator",
            (false, true) => "approver",
            (false, false) => "viewer",
        })
    }
}

/// Roles for the models whose names match a pattern, in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub roles: Roles,
    pub models: String,
}

impl Grant {
    #[must_use]
    pub fn covers(&self, model: &str) -> bool {
        matches(&self.models, model)
    }

    /// Whether no name can fall outside of the pattern.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        !self.models.is_empty() && self.models.bytes().all(|b| b == b'*')
    }
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

    #[test]
    fn approving_comes_with_no_other_role_and_reading_with_each() {
        let has = |text: &str| {
            let roles = Roles::parse(text).unwrap();
            let as_whom = roles.approves_as().map(|names| names.join(","));
            (roles.has(Role::Viewer), as_whom, roles.has(Role::Operator))
        };
        let some = |names: &str| Some(names.to_owned());
        assert_eq!(has("viewer"), (true, None, false));
        assert_eq!(has("approver"), (true, some(""), false));
        assert_eq!(has("approver:owner"), (true, some("owner"), false));
        assert_eq!(has("operator"), (true, None, true));
        assert_eq!(has("operator+approver:owner,reviewer"), (true, some("owner,reviewer"), true));
        assert_eq!(has("viewer+approver+operator"), (true, some(""), true));
    }

    #[test]
    fn what_names_no_roles_is_told() {
        let told = |text: &str| Roles::parse(text).unwrap_err().to_string();
        for text in ["", "root", "operator+", "+", "Operator", "operator,approver"] {
            assert!(told(text).contains("is not a role; the roles are viewer, approver and operator"), "{text}");
        }
        for text in ["approver:", "approver:,", "approver:owner,", "operator+approver:"] {
            assert!(told(text).contains("approves as nobody"), "{text}");
        }
        assert!(told("operator:owner").ends_with("write operator+approver:owner"));
        assert!(told("approver:a+approver:b").contains("names approver twice"));
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
        let all = |models: &str| Grant { roles: Roles::default(), models: models.to_owned() }.covers_all();
        assert!(all("*") && all("**") && !all("") && !all("a*"));
    }
}
