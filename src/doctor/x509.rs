//! What a certificate says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use x509_parser::{extensions::GeneralName, parse_x509_certificate, time::ASN1Time};

/// What of a certificate decides here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// In lower case.
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Facts {
    /// Reads a certificate in DER; `None` where it is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let alternatives = certificate.subject_alternative_name().ok()?;
        for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let validity = certificate.validity();
        Some(Self {
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            names,
            addresses,
        })
    }

    /// Whether it is one of `host`, a name or an address. The common name does not count, as in Go.
    pub(super) fn is_of(&self, host: &str) -> bool {
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
    pub(super) fn whose(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<_> = self.names.iter().cloned().chain(addresses).collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    }
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
