//! What a certificate says of itself.

use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, parse_x509_certificate, time::ASN1Time};

/// What of a certificate decides here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Its own key signed it, and may sign certificates of servers.
    pub(super) may_sign: bool,
    /// Its subject, where that is a common name and nothing else.
    pub(super) common_name: Option<CommonName>,
    /// The public key, as it stands in the certificate (`SubjectPublicKeyInfo`).
    pub(super) public_key: Vec<u8>,
    /// The identifier of that key, by which certificates name their issuer's.
    pub(super) key_id: Option<Vec<u8>>,
}

/// A common name, and how it is written. Issuer and subject are compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommonName {
    pub(super) text: String,
    /// As a `PrintableString`, as Go's encoder has it, and not as a `UTF8String`.
    pub(super) printable: bool,
}

impl Facts {
    /// Reads a certificate in DER; `None` where it is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        Some(Self {
            not_before: timestamp(certificate.validity().not_before),
            not_after: timestamp(certificate.validity().not_after),
            may_sign: may_sign(&certificate),
            common_name: common_name(&certificate),
            public_key: certificate.public_key().raw.to_vec(),
            key_id: key_id(&certificate),
        })
    }
}

/// "99991231235959Z", which stands for no end at all, is beyond what `Timestamp` holds.
fn timestamp(time: ASN1Time) -> Timestamp {
    let beyond = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(beyond)
}

/// What Go's verifier asks of an issuer (crypto/x509, `CheckSignatureFrom` and `checkChainForKeyUsage`), and that
/// the certificate is its own issuer's: another's would have to come along in the chain.
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let own = certificate.subject().as_raw() == certificate.issuer().as_raw();
    let authority = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    let key = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    let servers = match certificate.extended_key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.any || usage.value.server_auth),
        Err(_) => false,
    };
    own && authority && key && servers
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<CommonName> {
    let subject = certificate.subject();
    let mut attributes = subject.iter_attributes();
    let (Some(_), None) = (attributes.next(), attributes.next()) else { return None };
    let name = subject.iter_common_name().next()?;
    let text = name.as_str().ok()?.to_owned();
    // Tags of X.680, table 1: 12 is UTF8String, 19 PrintableString.
    match name.attr_value().tag().0 {
        12 => Some(CommonName { text, printable: false }),
        19 => Some(CommonName { text, printable: true }),
        _ => None,
    }
}

fn key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    use x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier;
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}
