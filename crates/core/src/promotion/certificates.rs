//! The certificate that a model was signed with: its chain to a CA that the policy pins, what it may be used for, and whom it
//! names.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::promotion::der::{self, SEQUENCE, element, expect};

/// Certificates that a bundle may bring.
pub const LONGEST_CHAIN: usize = 10;
/// `id-kp-codeSigning`, 1.3.6.1.5.5.7.3.3.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
/// Extensions: `subjectAltName`, `keyUsage` and `extKeyUsage`.
const ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// The attribute `commonName`.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// For messages.
    pub name: String,
    /// Its public key, a `SubjectPublicKeyInfo` in DER.
    pub spki: Vec<u8>,
}

/// Verifies a chain, the signer's certificate first, to one of the anchors. With an identity the signer's certificate must
/// name it: an e-mail address, DNS name or URI among its alternative names, or its common name.
///
/// # Errors
/// Why it is not accepted.
pub fn verify(
    chain: &[CertificateDer<'static>],
    anchors: &[CertificateDer<'static>],
    identity: Option<&str>,
    now_ms: i64,
) -> Result<SignedBy, String> {
    let (leaf, between) = chain.split_first().ok_or("the chain is empty")?;
    let certificate = EndEntityCert::try_from(leaf).map_err(|e| format!("its certificate cannot be read: {e}"))?;
    let pinned = anchors.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>();
    let pinned = pinned.map_err(|e| format!("a pinned CA certificate cannot be used: {e}"))?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
    let usage = KeyUsage::required_if_present(CODE_SIGNING);
    certificate
        .verify_for_usage(ALL_VERIFICATION_ALGS, &pinned, between, now, usage, None, None)
        .map_err(|e| reason(&e))?;
    let names = SubjectNames::read(leaf).ok_or("its certificate cannot be read")?;
    if !names.may_sign {
        return Err("its certificate is for neither code signing nor digital signatures".to_owned());
    }
    if let Some(identity) = identity
        && !names.all().any(|name| name == identity)
    {
        let found: Vec<String> = names.all().map(|name| format!("{name:?}")).collect();
        return Err(format!("its certificate names {}, and the policy asks for {identity:?}", found.join(", ")));
    }
    let name = names.all().next().map_or_else(|| "a certificate without a name".to_owned(), |name| format!("{name:?}"));
    Ok(SignedBy { name, spki: certificate.subject_public_key_info().as_ref().to_vec() })
}

fn reason(error: &webpki::Error) -> String {
    match error {
        webpki::Error::CertExpired { .. } => "a certificate of its chain has expired: sign anew".to_owned(),
        webpki::Error::CertNotValidYet { .. } => "a certificate of its chain is not valid yet".to_owned(),
        webpki::Error::UnknownIssuer => "its certificate does not lead to a CA that the policy pins".to_owned(),
        webpki::Error::RequiredEkuNotFoundContext(_) => "its certificate is not for code signing".to_owned(),
        other => format!("its certificates do not verify: {other}"),
    }
}

/// Whom a certificate names, and whether its key may sign.
#[derive(Default)]
struct SubjectNames {
    alternative: Vec<String>,
    common: Vec<String>,
    may_sign: bool,
}

impl SubjectNames {
    fn all(&self) -> impl Iterator<Item = &str> {
        self.alternative.iter().chain(&self.common).map(String::as_str)
    }

    /// Of a certificate that verifies: what is no DER is left out.
    fn read(certificate: &[u8]) -> Option<Self> {
        let mut names = Self::default();
        let (_, rest) = der::validity(certificate)?;
        let (subject, after) = expect(rest, SEQUENCE)?;
        names.subject(subject);
        let mut rest = expect(after, SEQUENCE)?.1;
        let (mut digital, mut extended) = (None, false);
        while let Some((tag, value, after)) = element(rest) {
            rest = after;
            if tag != 0xa3 {
                continue;
            }
            let (mut extensions, _) = expect(value, SEQUENCE)?;
            while let Some((extension, after)) = expect(extensions, SEQUENCE) {
                extensions = after;
                let (id, value) = extension_of(extension)?;
                match id {
                    ALT_NAME => names.alternatives(value),
                    KEY_USAGE => {
                        // The first bit is digitalSignature.
                        let (bits, _) = expect(value, 0x03)?;
                        digital = Some(bits.get(1).is_some_and(|byte| byte & 0x80 != 0));
                    }
                    EXTENDED_KEY_USAGE => extended = true,
                    _ => {}
                }
            }
        }
        // An extended usage is code signing: it was asked for. Without one the plain usage says it.
        names.may_sign = digital.unwrap_or(extended);
        Some(names)
    }

    fn subject(&mut self, mut rest: &[u8]) {
        while let Some((set, after)) = expect(rest, 0x31) {
            rest = after;
            let attribute = expect(set, SEQUENCE).and_then(|(pair, _)| expect(pair, 0x06));
            let Some((COMMON_NAME, value)) = attribute else { continue };
            if let Some((_, text, _)) = element(value) {
                self.common.extend(std::str::from_utf8(text).ok().map(str::to_owned));
            }
        }
    }

    fn alternatives(&mut self, value: &[u8]) {
        let Some((mut rest, _)) = expect(value, SEQUENCE) else { return };
        while let Some((tag, text, after)) = element(rest) {
            rest = after;
            // E-mail address, DNS name and URI.
            if matches!(tag, 0x81 | 0x82 | 0x86) {
                self.alternative.extend(std::str::from_utf8(text).ok().map(str::to_owned));
            }
        }
    }
}

/// The id and the value of an extension.
fn extension_of(extension: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, mut rest) = expect(extension, 0x06)?;
    if let Some((_, after)) = expect(rest, 0x01) {
        rest = after;
    }
    Some((id, expect(rest, 0x04)?.0))
}
