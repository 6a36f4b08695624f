//! Where a command may take a request, and with it the caller's token, when a process of a cluster says that another one answers it.
//!
//! The user named one server. That server has the token already, so its word is followed, but not any word: something before it (a
//! proxy, a page that asks to sign in) can answer with an address, too. So the address must be that of a process which the server
//! itself lists as a member of its cluster, with the same path and query. And a token is never sent with less protection than the user
//! chose: from https only to https, and from this machine to another one only by https.

use reqwest::Url;

use crate::http_client::is_loopback;

/// The address at which the owner is asked what was asked here; `base` is the server that the user named, `members` are the addresses
/// that it lists.
///
/// # Errors
/// Why the request is not taken there.
pub fn follow(base: &Url, asked: &Url, location: &str, members: &[String]) -> Result<Url, String> {
    let no_member = || {
        format!(
            "it sends this to {location}, which is no process of its cluster: see driftgate cluster status, and name the owner as --server"
        )
    };
    let target = Url::parse(location).map_err(|_| no_member())?;
    let rest = rest_of(base, members, asked).ok_or_else(no_member)?;
    let is_member = |advertise: &String| {
        let expected = Url::parse(&format!("{}{rest}", advertise.trim_end_matches('/')));
        expected.is_ok_and(|expected| expected == target)
    };
    if !members.iter().any(is_member) {
        return Err(no_member());
    }
    may_be_told(base, &target)?;
    Ok(target)
}

/// The path and query behind the address of a process.
fn rest_of(base: &Url, members: &[String], asked: &Url) -> Option<String> {
    let addresses = std::iter::once(base.clone()).chain(members.iter().filter_map(|member| Url::parse(member).ok()));
    let rest = addresses
        .filter(|address| address.origin() == asked.origin())
        .find_map(|address| asked.path().strip_prefix(address.path().trim_end_matches('/')).map(str::to_owned))?;
    Some(asked.query().map_or_else(|| rest.clone(), |query| format!("{rest}?{query}")))
}

/// Whether a token for one server may go to another one without losing protection on its way.
///
/// # Errors
/// Why not.
pub fn may_be_told(base: &Url, target: &Url) -> Result<(), String> {
    let shown = format!("{}://{}", target.scheme(), target.host_str().unwrap_or_default());
    if !matches!(target.scheme(), "http" | "https") || target.host_str().is_none() {
        return Err(format!("{shown} is no address of a daemon"));
    }
    if target.scheme() == "http" && base.scheme() == "https" {
        return Err(format!(
            "{shown} is without TLS, and --server is with it: the token would go unencrypted; let the processes advertise https addresses"
        ));
    }
    if target.scheme() == "http" && !is_loopback(target) && is_loopback(base) {
        return Err(format!(
            "{shown} is without TLS on another machine, and --server is this one: the token would go unencrypted; name that address as --server to \
             allow it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn followed(base: &str, location: &str, members: &[&str]) -> Result<String, String> {
        let members: Vec<String> = members.iter().map(|m| (*m).to_owned()).collect();
        let base = url(base);
        let asked = url(&format!("{}/api/v1/models/a%20b/freeze?x=1", base.as_str().trim_end_matches('/')));
        follow(&base, &asked, location, &members).map(|url| url.to_string())
    }

    const REST: &str = "/api/v1/models/a%20b/freeze?x=1";

    #[test]
    fn a_member_is_followed_to_with_the_same_path_and_query() {
        for (base, owner) in [
            ("https://gate.example", "https://pod-0.gate.svc:9464"),
            ("https://gate.example/driftgate", "https://pod-0.gate.svc:9464/base"),
            ("http://127.0.0.1:9464", "http://127.0.0.1:9465"),
            ("http://127.0.0.1:9464", "https://pod-0.gate.svc:9464"),
            ("http://10.0.0.1:9464", "http://10.0.0.2:9464"),
        ] {
            let location = format!("{owner}{REST}");
            assert_eq!(followed(base, &location, &["http://other:1", owner]), Ok(location), "{base}");
        }
    }

    #[test]
    fn nobody_else_is() {
        let members = ["https://pod-0.gate.svc:9464"];
        for location in [
            format!("https://evil.example{REST}"),
            format!("https://pod-0.gate.svc:9465{REST}"),
            format!("http://pod-0.gate.svc:9464{REST}"),
            format!("https://pod-0.gate.svc:9464@evil.example{REST}"),
            format!("https://user:secret@pod-0.gate.svc:9464{REST}"),
            "https://pod-0.gate.svc:9464/api/v1/models/other/freeze?x=1".to_owned(),
            "https://pod-0.gate.svc:9464/login".to_owned(),
            "/api/v1/models/a%20b/freeze?x=1".to_owned(),
            String::new(),
        ] {
            let why = followed("https://gate.example", &location, &members).unwrap_err();
            assert!(why.contains("which is no process of its cluster"), "{location}: {why}");
        }
        assert!(followed("https://gate.example", &format!("https://pod-0.gate.svc:9464{REST}"), &[]).is_err());
    }

    #[test]
    fn a_token_loses_no_protection_on_its_way() {
        let owner = "http://10.0.0.2:9464";
        let location = format!("{owner}{REST}");
        let why = followed("https://gate.example", &location, &[owner]).unwrap_err();
        assert!(why.contains("is without TLS, and --server is with it"), "{why}");
        let why = followed("http://localhost:9464", &location, &[owner]).unwrap_err();
        assert!(why.contains("name that address as --server"), "{why}");
        assert!(may_be_told(&url("https://a"), &url("ftp://b")).is_err());
        assert!(may_be_told(&url("https://a"), &url("http://127.0.0.1:1")).is_err());
    }
}
