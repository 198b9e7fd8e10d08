//! Certificates made: the one that kube-apiserver trusts, and what is issued by it.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, string::PrintableString,
};

use super::{Names, pair::Pair, serving};

/// How long the certificate that kube-apiserver trusts is good, in days. It is renewed a year before.
pub(super) const AUTHORITY_DAYS: u32 = 3650;
/// The common name of certificates that arngate and aws-iam-authenticator make for themselves. One with another name is
/// somebody's who will renew it.
pub(super) const COMMON_NAME: &str = "aws-iam-authenticator";

const DAY: Duration = Duration::from_hours(24);

/// What an issued certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose<'a> {
    /// This server.
    Server(&'a Names),
    /// kube-apiserver, as the server's client. It is good as long as the authority: kube-apiserver reads it when it starts.
    Client,
}

/// The certificate that kube-apiserver is to trust, before it is signed.
///
/// It has the names of the server, and may serve, so that aws-iam-authenticator serves with it as it stands.
pub(super) fn authority(names: &Names, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.all())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_for(&mut params, AUTHORITY_DAYS, now);
    Ok(params)
}

/// Whether `pair` is one that arngate or aws-iam-authenticator made, and so arngate's to renew.
pub(super) fn can_renew(pair: &Pair) -> bool {
    pair.facts.may_sign && pair.facts.common_name.as_ref().is_some_and(|name| name.text == COMMON_NAME)
}

/// `pair`'s certificate for another [`AUTHORITY_DAYS`]: with the same key and subject, so that whoever trusts either
/// trusts what it issues.
pub(super) fn renewed(pair: &Pair, names: &Names, now: Timestamp) -> Result<Certificate, rcgen::Error> {
    let mut params = authority(names, now)?;
    if pair.facts.common_name.as_ref().is_some_and(|name| name.printable) {
        params.distinguished_name = DistinguishedName::new();
        let name = DnValue::PrintableString(PrintableString::try_from(COMMON_NAME)?);
        params.distinguished_name.push(DnType::CommonName, name);
    }
    if let Some(id) = &pair.facts.key_id {
        params.key_identifier_method = KeyIdMethod::PreSpecified(id.clone());
    }
    params.self_signed(&KeyPair::try_from(&pair.key)?)
}

/// A new key with a certificate for `purpose`, issued by `pair`.
pub(super) fn issue(
    pair: &Pair,
    purpose: Purpose<'_>,
    now: Timestamp,
) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let authority = pair.chain.first().ok_or(rcgen::Error::CouldNotParseCertificate)?;
    let issuer = rcgen::Issuer::from_ca_cert_der(authority, KeyPair::try_from(&pair.key)?)?;
    let (names, name, usage, days) = match purpose {
        Purpose::Server(names) => {
            (names.all(), "arngate", ExtendedKeyUsagePurpose::ServerAuth, serving::LIFETIME_DAYS)
        }
        Purpose::Client => {
            (Vec::new(), "kube-apiserver", ExtendedKeyUsagePurpose::ClientAuth, AUTHORITY_DAYS)
        }
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, days, now);
    // ECDSA P-256.
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, &issuer)?, key))
}

fn valid_for(params: &mut CertificateParams, days: u32, now: Timestamp) {
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let today = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    // A day's grace for a client whose clock is behind.
    (params.not_before, params.not_after) = (today - DAY, today + DAY * days);
}

/// Whether what is good from `not_before` to `not_after` should be renewed: in the last third of that time, though no
/// earlier than a year before its end, and where the clock was set back to before its beginning.
pub(super) fn is_due(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    let year = jiff::SignedDuration::from_hours(365 * 24);
    let ahead = not_after.duration_since(not_before).checked_div(3).unwrap_or_default().min(year);
    now < not_before || now.duration_since(not_after) >= -ahead
}
