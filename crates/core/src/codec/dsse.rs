//! What a signature under an envelope of DSSE is over (<https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>), and the names of what
//! lies in one and around it.

/// The media type of in-toto statements, as envelopes name it.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// What an in-toto statement is.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The media type of a Sigstore bundle, which holds an envelope.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The pre-authentication encoding of a payload: its type and itself, each after its length in bytes.
///
/// ```
/// # use driftgate_core::codec::dsse::pre_authentication;
/// // The example of the specification.
/// assert_eq!(pre_authentication("http://example.com/HelloWorld", b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
/// ```
#[must_use]
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}
