//! What is shown to clients: issued by the pair where that may sign, or the pair itself.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    ADMISSION_NAME, Names,
    facts::Facts,
    issuer::{self, Purpose},
    pair::{Pair, Paths},
};

/// How long an issued certificate is good, in days. A third of that before its end it gives way to the next.
pub(super) const LIFETIME_DAYS: u32 = 90;

/// A chain and its key, in memory alone where they were issued.
pub(super) struct Serving {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) facts: Facts,
    /// It was issued here, and can be again.
    pub(super) issued: bool,
}

impl Serving {
    /// What `pair` has to be served by.
    pub(super) fn of(pair: &Pair, paths: &Paths, names: &Names, now: Timestamp) -> Self {
        if pair.facts.may_sign {
            match issue(pair, names, now) {
                Ok(serving) => return serving,
                Err(error) => tracing::warn!(
                    certificate = %paths.certificate.display(),
                    error,
                    "no certificate can be issued by this one; it is served itself, as it is"
                ),
            }
        }
        as_found(pair, paths, names)
    }

    /// Whether another one should be issued.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.issued && issuer::is_due(self.facts.not_before, self.facts.not_after, now)
    }
}

fn issue(pair: &Pair, names: &Names, now: Timestamp) -> Result<Serving, String> {
    let (certificate, key) =
        issuer::issue(pair, Purpose::Server(names), now).map_err(|error| error.to_string())?;
    let der = certificate.der().clone();
    let facts = Facts::of(&der).ok_or("what was issued cannot be read")?;
    verify(pair, &der, names, now).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(key.into());
    Ok(Serving { chain: vec![der], key, facts, issued: true })
}

/// Whether a client that trusts `pair` takes `certificate`: nothing is shown to clients without this.
fn verify(
    pair: &Pair,
    certificate: &CertificateDer<'_>,
    names: &Names,
    now: Timestamp,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    if let Some(root) = pair.chain.first() {
        roots.add(root.clone())?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let name = ServerName::try_from(names.hostname.as_str())
        .map_err(|error| rustls::Error::General(format!("{:?}: {error}", names.hostname)))?;
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(certificate, &[], &name, &[], now).map(|_| ())
}

fn as_found(pair: &Pair, paths: &Paths, names: &Names) -> Serving {
    let first = pair.chain.first();
    let is_for = |name: &str| {
        let parsed = first.and_then(|first| ParsedCertificate::try_from(first).ok());
        let name = ServerName::try_from(name).ok();
        parsed.zip(name).is_some_and(|(certificate, name)| verify_server_name(&certificate, &name).is_ok())
    };
    let certificate = paths.certificate.display();
    if !is_for(&names.hostname) {
        tracing::warn!(
            %certificate,
            hostname = names.hostname,
            "the certificate is not for the host name by which the kubeconfig has kube-apiserver reach this: have it \
             issued for that name, or set server.hostname to a name that it is for"
        );
    }
    if !is_for(ADMISSION_NAME) {
        tracing::warn!(
            %certificate,
            name = ADMISSION_NAME,
            "the certificate is not for the name by which an API server asks the admission webhook through a Service: \
             have it issued for that name too, or register the webhook by a URL, or remove cert.pem and key.pem, \
             restart this, and then kube-apiserver"
        );
    }
    Serving { chain: pair.chain.clone(), key: pair.key.clone_key(), facts: pair.facts.clone(), issued: false }
}
