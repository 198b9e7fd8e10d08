//! What a certificate says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, time::ASN1Time,
};

/// What of a certificate decides here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Whose it is, in lower case.
    names: Vec<String>,
    /// Where it is.
    addresses: Vec<IpAddr>,
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
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let (names, addresses) = alternatives(&certificate);
        Some(Self {
            names,
            addresses,
            not_before: timestamp(certificate.validity().not_before),
            not_after: timestamp(certificate.validity().not_after),
            may_sign: may_sign(&certificate),
            common_name: common_name(&certificate),
            public_key: certificate.public_key().raw.to_vec(),
            key_id: key_id(&certificate),
        })
    }

    /// Whether it is one of `host`, a name or an address. The common name does not count, as in Go.
    pub(crate) fn is_of(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => *name == host,
        })
    }

    /// All of whom it is one, for messages.
    pub(crate) fn whose(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<_> = self.names.iter().cloned().chain(addresses).collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    }
}

/// The names and addresses that it is for; those that cannot be read are none.
fn alternatives(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let extension = certificate.subject_alternative_name().ok().flatten();
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))))
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn names_addresses_and_the_end_are_read() {
        let names = ["localhost", "*.Example.org", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 2), date_time_ymd(4096, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = Facts::of(certificate.der()).unwrap();
        assert_eq!(facts.not_before, "2026-01-02T00:00:00Z".parse().unwrap());
        assert!(facts.not_after > "4000-01-01T00:00:00Z".parse().unwrap());
        for (host, is) in [
            ("LOCALHOST", true),
            ("a.example.org", true),
            ("example.org", false),
            ("a.b.example.org", false),
            ("127.0.0.1", true),
            ("::1", true),
            ("127.0.0.2", false),
            ("other", false),
        ] {
            assert_eq!(facts.is_of(host), is, "{host}");
        }
        assert_eq!(Facts::of(b"none"), None);
    }
}
