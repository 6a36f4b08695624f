//! Who was recognised, what they may do, and why a request is refused.

use super::roles::{Grant, Role};
use super::rules::ENVIRONMENT;

/// A caller that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As the audit log names them.
    pub actor: String,
    pub grants: Vec<Grant>,
}

/// Who looks at a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitor {
    /// Who is signed in.
    pub caller: Option<Caller>,
    /// What the forms of the session's pages send back; empty where nobody is signed in.
    pub csrf: String,
    /// Path and query of the page.
    pub path: String,
    /// Whether there are tokens to sign in with.
    pub can_sign_in: bool,
}

/// Why a request is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error(
        "changes over HTTP are switched off, since no token is configured: name a file with lines `TOKEN role models-pattern actor` \
         as http.tokens_file in the configuration, or give the same lines in the environment as {ENVIRONMENT}, and restart"
    )]
    NoTokens,
    #[error(
        "reading over HTTP needs a token here, and no token is configured: name a file with lines \
         `TOKEN role models-pattern actor` as http.tokens_file in the configuration, or let everybody read by http: {{read: open}}, and restart"
    )]
    NobodyReads,
    #[error("this needs a token: send the header `Authorization: Bearer TOKEN`")]
    Missing,
    #[error("this token is not known")]
    Unknown,
    #[error("this token is not taken: {why}")]
    Issuer { why: String },
    #[error("tokens of {issuer} cannot be judged, since its keys are not known: {why}")]
    NoKeys { issuer: String, why: String },
    #[error(
        "the token of {actor} gives no role here: no value of its claim {claim:?} is in http.oidc.roles of the configuration"
    )]
    NoRole { actor: String, claim: String },
    #[error(
        "a password of the browser is good for reading only: send changes with the header `Authorization: Bearer TOKEN`"
    )]
    Password,
    #[error("the token of {actor} has the role {has}, this needs {needs}{hint}", needs = needs.name(), hint = hint(*needs))]
    Role { actor: String, has: String, needs: Role },
    #[error("the token of {actor} is for models {models}, not for {model}")]
    Model { actor: String, models: String, model: String },
}

/// How to give what an operator does not have by being one.
fn hint(needs: Role) -> &'static str {
    match needs {
        Role::Approver => {
            "; approving is a role of its own, which no other brings along: write approver, approver:ROLE or operator+approver:ROLE in the \
             token's line"
        }
        Role::Viewer | Role::Operator => "",
    }
}

impl Caller {
    /// Whether it may do what needs a role, to a model; `None`: to all models.
    ///
    /// # Errors
    /// Why it may not.
    pub fn may(&self, needs: Role, model: Option<&str>) -> Result<(), Refusal> {
        let covers = |grant: &&Grant| model.map_or_else(|| grant.covers_all(), |model| grant.covers(model));
        let here: Vec<&Grant> = self.grants.iter().filter(covers).collect();
        if here.iter().any(|grant| grant.roles.has(needs)) {
            return Ok(());
        }
        let list = |of: &mut dyn Iterator<Item = String>| {
            let mut all: Vec<String> = of.collect();
            all.dedup();
            all.join(", ")
        };
        let actor = self.actor.clone();
        if here.is_empty() {
            return Err(Refusal::Model {
                actor,
                models: list(&mut self.grants.iter().map(|g| format!("{:?}", g.models))),
                model: model.map_or_else(|| "all models".to_owned(), |model| format!("{model:?}")),
            });
        }
        Err(Refusal::Role { actor, has: list(&mut here.iter().map(|g| g.roles.to_string())), needs })
    }

    /// Whether it may read of a model.
    #[must_use]
    pub fn sees(&self, model: &str) -> bool {
        self.grants.iter().any(|grant| grant.covers(model))
    }

    /// Whether it may read of every model there can be.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.grants.iter().any(Grant::covers_all)
    }

    /// As whom it may approve for a model; empty: as anybody that the policy asks for.
    #[must_use]
    pub fn approves_as(&self, model: &str) -> Vec<String> {
        let here = self.grants.iter().filter(|grant| grant.covers(model)).filter_map(|grant| grant.roles.approves_as());
        let lists: Vec<&[String]> = here.collect();
        if lists.iter().any(|list| list.is_empty()) { Vec::new() } else { lists.concat() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::roles::Roles;
    use super::*;

    #[test]
    fn a_role_holds_for_its_models() {
        let grant =
            |roles: &str, models: &str| Grant { roles: Roles::parse(roles).unwrap(), models: models.to_owned() };
        let bob = Caller { actor: "bob".into(), grants: vec![grant("viewer", "fraud_*")] };
        assert_eq!(bob.may(Role::Viewer, Some("fraud_1")), Ok(()));
        let told = |needs, model| bob.may(needs, model).unwrap_err().to_string();
        assert_eq!(told(Role::Operator, Some("fraud_1")), "the token of bob has the role viewer, this needs operator");
        assert_eq!(told(Role::Viewer, Some("m")), r#"the token of bob is for models "fraud_*", not for "m""#);
        assert_eq!(told(Role::Viewer, None), r#"the token of bob is for models "fraud_*", not for all models"#);
        let both =
            Caller { actor: "eve".into(), grants: vec![grant("viewer", "*"), grant("approver:owner", "fraud_*")] };
        assert!(both.may(Role::Approver, Some("fraud_1")).is_ok() && both.sees_all());
        assert_eq!(both.approves_as("fraud_1"), ["owner"]);
        let why = both.may(Role::Approver, Some("m")).unwrap_err().to_string();
        assert!(why.contains("has the role viewer") && why.contains("operator+approver:ROLE"), "{why}");
    }
}
