use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::Error;

/// How long certificates are good for. Nothing outlives the program that made it.
const DAYS: i64 = 365;

/// A CA that lives in memory: its key is never written anywhere.
#[derive(Debug)]
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The key of all that it issues: making one for each name would only take time.
    leaf_key: KeyPair,
    next_serial: AtomicU64,
}

impl Ca {
    /// A new CA with this common name.
    ///
    /// # Errors
    /// If keys can't be made.
    pub fn generate(common_name: &str) -> Result<Self, Error> {
        // From a day ago, for clients whose clock is behind.
        let mut params = params(common_name, -1, DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            leaf_key: KeyPair::generate()?,
            next_serial: AtomicU64::new(1),
        })
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a server's certificate for names and IP addresses.
    ///
    /// # Errors
    /// If a name is none that a certificate can hold.
    pub fn issue(&self, names: &[&str]) -> Result<Arc<CertifiedKey>, Error> {
        self.issue_within(names, -1, DAYS)
    }

    /// Issues what [`Ca::issue`] does, over since yesterday.
    ///
    /// # Errors
    /// If a name is none that a certificate can hold.
    pub fn issue_expired(&self, names: &[&str]) -> Result<Arc<CertifiedKey>, Error> {
        self.issue_within(names, -30, -1)
    }

    /// From and until are days from today.
    fn issue_within(&self, names: &[&str], from: i64, until: i64) -> Result<Arc<CertifiedKey>, Error> {
        let mut params = params(names.first().unwrap_or(&"server"), from, until);
        params.subject_alt_names =
            CertificateParams::new(names.iter().copied().map(String::from).collect::<Vec<_>>())?
                .subject_alt_names;
        // With the key identifiers that OpenSSL's strict checks look for.
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from(self.next_serial.fetch_add(1, Ordering::Relaxed)));
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
    }
}

/// A certificate's name and time, in days from today.
fn params(common_name: &str, from: i64, until: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // A common name has at most 64 characters.
    let common_name: String = common_name.chars().take(64).collect();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let (year, month, day) = days_from(today, from);
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = days_from(today, until);
    params.not_after = date_time_ymd(year, month, day);
    params
}

fn days_from(today: Date, days: i64) -> (i32, u8, u8) {
    let date = today.checked_add(Span::new().days(days)).unwrap_or(today);
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}
