//! How events to a URL are signed: HMAC-SHA256 (RFC 2104) by Standard Webhooks (<https://www.standardwebhooks.com>) over id,
//! time and body, which libraries in a dozen languages check; and, for receivers of before, over time and body alone.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use driftgate_core::codec::hash::hex;

/// The id of the event: the same one is never another event.
pub const EVENT_ID: &str = "X-Driftgate-Event-Id";
/// When it was sent, seconds since the epoch; receivers refuse what is old.
pub const TIMESTAMP: &str = "X-Driftgate-Timestamp";
/// `sha256=` and the hex of the HMAC of timestamp, a dot and the body.
pub const SIGNATURE: &str = "X-Driftgate-Signature";

/// The three headers of Standard Webhooks; id and time are those above.
pub const STANDARD_ID: &str = "webhook-id";
pub const STANDARD_TIMESTAMP: &str = "webhook-timestamp";
/// `v1,` and the base64 of the HMAC of id, a dot, the time, a dot and the body.
pub const STANDARD_SIGNATURE: &str = "webhook-signature";

/// What a secret starts with whose rest is the key in base64, as receivers by Standard Webhooks give it out.
const IN_BASE64: &str = "whsec_";

/// What a sender and its receivers share. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    /// What Standard Webhooks sign with: the text, or what it says in base64.
    key: Result<Vec<u8>, BadSecret>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    Empty,
    /// It starts with `whsec_`, and its rest is no base64.
    Base64,
}

impl Secret {
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        let text = secret.into();
        let key = match text.strip_prefix(IN_BASE64) {
            Some("") => Err(BadSecret::Empty),
            Some(rest) => STANDARD.decode(rest).map_err(|_| BadSecret::Base64),
            None if text.is_empty() => Err(BadSecret::Empty),
            None => Ok(text.clone().into_bytes()),
        };
        Self { text, key }
    }

    /// # Errors
    /// An empty secret, or one that says that it is base64 and is not.
    pub fn check(&self) -> Result<(), BadSecret> {
        self.key.as_ref().map(|_| ()).map_err(|why| *why)
    }

    /// `X-Driftgate-Signature` of a body sent at a time in seconds since the epoch.
    #[must_use]
    pub fn signature(&self, timestamp_s: i64, body: &str) -> String {
        format!("sha256={}", hex(&sign(self.text.as_bytes(), &format!("{timestamp_s}.{body}"))))
    }

    /// `webhook-signature` of an event's body sent at a time in seconds since the epoch.
    #[must_use]
    pub fn standard_signature(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        // One that cannot be used is refused before anything is sent.
        let key = self.key.as_deref().unwrap_or(self.text.as_bytes());
        format!("v1,{}", STANDARD.encode(sign(key, &format!("{id}.{timestamp_s}.{body}"))))
    }
}

fn sign(key: &[u8], content: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value is the Python package's `standardwebhooks`, 1.0: `Webhook(secret).sign(id, time, body)`.
    #[test]
    fn the_standard_signature_is_that_of_the_reference_library() {
        let secret = Secret::new("whsec_ZHJpZnRnYXRlLXN0YW5kYXJkLXdlYmhvb2tzLWtleSE=");
        let signed = secret.standard_signature("block:m:7:drift:1", 1_764_243_297, r#"{"kind":"block","model":"m"}"#);
        assert_eq!(signed, "v1,FDrTQSV3aU3vZvzprLdOm/dsxsh74sMGleSF9Z3rtX0=");
        // The same key as text.
        let plain = Secret::new("driftgate-standard-webhooks-key!");
        assert_eq!(
            plain.standard_signature("block:m:7:drift:1", 1_764_243_297, r#"{"kind":"block","model":"m"}"#),
            signed
        );
        assert_eq!((secret.check(), plain.check()), (Ok(()), Ok(())));
    }

    #[test]
    fn a_secret_that_signs_nothing_is_refused() {
        for (secret, why) in [("", BadSecret::Empty), ("whsec_", BadSecret::Empty), ("whsec_%", BadSecret::Base64)] {
            assert_eq!(Secret::new(secret).check(), Err(why), "{secret}");
        }
    }
}
