//! Whether a certificate is what a kubeconfig's CAs stand for, as kube-apiserver will find.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};

use crate::webhook::certificate::facts::Facts;

/// Believes who is believed by Go's clients with the same CAs. They believe a certificate that is among the CAs itself,
/// whatever it may sign: aws-iam-authenticator's is one of a CA, which serves.
#[derive(Debug)]
pub(super) struct Verifier {
    authorities: Vec<CertificateDer<'static>>,
    /// Whom the authorities have signed; `None` where none of them can be an authority.
    signed: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    /// What was shown last.
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl Verifier {
    pub(super) fn new(authorities: Vec<CertificateDer<'static>>) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let signed =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        Self { authorities, signed: signed.ok(), provider, shown: Mutex::default() }
    }

    /// What the server has shown, where it has shown anything.
    pub(super) fn shown(&self) -> Option<CertificateDer<'static>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why `chain` is not believed to be `host`'s at `now`; nothing where it is.
    pub(super) fn refuses(&self, chain: &[CertificateDer<'_>], host: &str, now: Timestamp) -> Option<String> {
        let Some((first, others)) = chain.split_first() else { return Some("there is none".to_owned()) };
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Some(format!("{host:?} is no host name"));
        };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(now.as_second()).unwrap_or_default(),
        ));
        self.check(first, others, &name, now).err().map(|error| words(&error))
    }

    /// A TLS client that believes by this, and shows `own` where it is asked for a certificate.
    ///
    /// # Errors
    /// Where TLS cannot be set up, or `own` is no pair.
    pub(super) fn client_config(
        self: Arc<Self>,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self);
        match own {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.authorities.contains(certificate) {
            let unknown = CertificateError::UnknownIssuer;
            let signed = self.signed.as_ref().ok_or(Error::InvalidCertificate(unknown))?;
            return signed.verify_server_cert(certificate, others, name, &[], now);
        }
        let facts = Facts::of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let refused = if seconds < facts.not_before.as_second() {
            CertificateError::NotValidYet
        } else if seconds > facts.not_after.as_second() {
            CertificateError::Expired
        } else if facts.is_of(&name.to_str()) {
            return Ok(ServerCertVerified::assertion());
        } else {
            CertificateError::NotValidForName
        };
        Err(Error::InvalidCertificate(refused))
    }
}

/// Why TLS fails, in words.
pub(super) fn words(error: &Error) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        Expired | ExpiredContext { .. } => "it has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        NotValidForName | NotValidForNameContext { .. } => "it is not for this name".to_owned(),
        // A key under the name of one that is trusted is no more than one under any other.
        UnknownIssuer | BadSignature => "nobody who is trusted has signed it".to_owned(),
        other => other.to_string(),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate.clone().into_owned());
        self.check(certificate, others, name, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn params(names: &[&str], is_ca: bool) -> CertificateParams {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let params = params.as_mut().unwrap();
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.clone()
    }

    #[test]
    fn what_is_signed_is_believed_and_so_is_what_stands_among_the_authorities() {
        let now = Timestamp::now();
        let key = KeyPair::generate().unwrap();
        let own_key = KeyPair::generate().unwrap();
        let own = params(&["localhost"], false).self_signed(&own_key).unwrap().der().clone();
        // A CA that serves, as aws-iam-authenticator's does, which rustls itself would refuse.
        let serving_ca = params(&["localhost"], true).self_signed(&key).unwrap().der().clone();
        let ca = CertifiedIssuer::self_signed(params(&["ca"], true), KeyPair::generate().unwrap()).unwrap();
        let issued = params(&["localhost"], false).signed_by(&key, &ca).unwrap().der().clone();
        let ca = ca.der().clone();
        for (authorities, shown, host, refused) in [
            (vec![own.clone()], &own, "localhost", None),
            (vec![own.clone()], &own, "127.0.0.1", Some("not for this name")),
            (vec![serving_ca.clone()], &serving_ca, "localhost", None),
            (vec![ca.clone()], &issued, "localhost", None),
            (vec![ca.clone()], &issued, "other", Some("not for this name")),
            (vec![ca], &own, "localhost", Some("nobody who is trusted")),
            (vec![issued.clone()], &own, "localhost", Some("nobody who is trusted")),
            (Vec::new(), &own, "localhost", Some("nobody who is trusted")),
        ] {
            let why = Verifier::new(authorities).refuses(std::slice::from_ref(shown), host, now);
            match refused {
                None => assert_eq!(why, None, "{host}"),
                Some(part) => {
                    assert!(why.as_deref().is_some_and(|why| why.contains(part)), "{host}: {why:?}");
                }
            }
        }
        let later = now + jiff::SignedDuration::from_hours(24 * 366 * 4000);
        let why = Verifier::new(vec![own.clone()]).refuses(&[own], "localhost", later);
        assert!(why.is_some_and(|why| why.contains("expired")));
    }
}
