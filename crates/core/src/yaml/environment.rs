//! `${NAME}` in the values of a document, filled in from the environment.

use super::error::Sink;
use super::tree::{Node, Value, join};
use super::units;

/// The value of an environment variable; none where it is not set.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Why a text cannot be filled in. No sentence quotes the text around the name, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFilled {
    #[error("`${{` without its `}}`: write `${{NAME}}`")]
    Open,
    #[error("expected the name of an environment variable, read {}: write `${{NAME}}`", units::quote(.0))]
    NoName(String),
    #[error("the environment variable {0} is not set: set it")]
    NotSet(String),
}

/// A text with each `${NAME}` filled in. What comes from a variable is taken as it is.
///
/// # Errors
/// A name that is none, or of a variable that is not set.
pub fn filled(text: &str, environment: Environment<'_>) -> Result<String, NotFilled> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or(NotFilled::Open)?;
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(usual) || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(NotFilled::NoName(name.to_owned()));
        }
        value.push_str(before);
        value.push_str(&environment(name).ok_or_else(|| NotFilled::NotSet(name.to_owned()))?);
        rest = tail;
    }
    value.push_str(rest);
    Ok(value)
}

/// Fills in all values but those below the paths of `but`. A value that cannot be is reported, and nothing else is reported of it.
pub(super) fn fill(node: &mut Node, path: &str, environment: Environment<'_>, but: &[&str], sink: &Sink) {
    if but.contains(&path) {
        return;
    }
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                fill(&mut entry.value, &join(path, &entry.key), environment, but, sink);
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                fill(item, &format!("{path}[{place}]"), environment, but, sink);
            }
        }
        Value::Scalar { text, .. } if text.contains("${") => match filled(text, environment) {
            Ok(filled) => *text = filled,
            Err(why) => {
                sink.report(node.at, path, why.to_string());
                sink.silence(node.at);
            }
        },
        Value::Scalar { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::read_filled;
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("h-1".into()),
            "SIZE" => Some("7".into()),
            "ODD" => Some("${HOST}: {a".into()),
            _ => None,
        }
    }

    #[test]
    fn texts_take_what_variables_hold_and_nothing_of_it_again() {
        let of = |text: &str| filled(text, &environment).map_err(|why| why.to_string());
        assert_eq!(of("a"), Ok("a".into()));
        assert_eq!(of("http://${HOST}:${SIZE}/$x"), Ok("http://h-1:7/$x".into()));
        assert_eq!(of("${ODD}"), Ok("${HOST}: {a".into()));
        assert_eq!(of("${HOST"), Err("`${` without its `}`: write `${NAME}`".into()));
        assert_eq!(of("secret ${1}").unwrap_err().find("secret"), None);
        assert_eq!(of("${NOPE}"), Err("the environment variable NOPE is not set: set it".into()));
    }

    #[test]
    fn every_value_is_filled_in_and_what_is_wrong_is_told_once() {
        let read = |text: &str| {
            read_filled(text, Path::new("c.yaml"), &environment, &["own"], |root| {
                let map = root.map(&["size", "hosts", "own"])?;
                let size = map.require("size", "1").and_then(|item| item.whole(1, 9));
                let hosts = map.require("hosts", "[a]")?.list("hosts")?;
                let hosts: Option<Vec<String>> = hosts.iter().map(|i| i.text("a host").map(str::to_owned)).collect();
                let own = map.require("own", "a")?.text("a text")?.to_owned();
                Some((size?, hosts?, own))
            })
        };
        let text = "size: ${SIZE}\nhosts: [\"${HOST}\", \"x${HOST}\"]\nown: ${HOST}\n";
        assert_eq!(read(text), Ok((7, vec!["h-1".into(), "xh-1".into()], "${HOST}".into())));
        let wrong = read("size: ${NOPE}\nhosts: [\"${HOST}\", \"${}\"]\nown: a\n").unwrap_err().to_string();
        assert_eq!(
            wrong,
            "c.yaml:1:7: size: the environment variable NOPE is not set: set it\n\
             c.yaml:2:20: hosts[1]: expected the name of an environment variable, read \"\": write `${NAME}`"
        );
    }
}
