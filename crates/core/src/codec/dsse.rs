//! What a signature under an envelope of DSSE is over (<https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>).

/// The media type of in-toto statements, as envelopes name it.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

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
