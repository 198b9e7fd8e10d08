//! Who may ask for reviews: everybody who reaches the port, or clients with a certificate.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};

use super::{
    CertificateError,
    facts::Facts,
    issuer::{self, Purpose},
    pair::{self, Pair, Paths},
};
use crate::atomic_file;

/// Whose certificates clients have to show before their TokenReviews are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Clients {
    /// Nobody's.
    #[default]
    Anybody,
    /// The server's own: it issues one to kube-apiserver, and puts it into the kubeconfig.
    Own,
    /// Those of the CAs in a file.
    Of {
        /// The CAs, in PEM.
        authorities: PathBuf,
        /// What the kubeconfig is to carry: the files of a certificate and its key. Absent where the kubeconfig is made
        /// by hand.
        kube_apiserver: Option<(PathBuf, PathBuf)>,
    },
}

impl Clients {
    /// Whether they have to show one.
    #[must_use]
    pub fn must_show_one(&self) -> bool {
        *self != Self::Anybody
    }

    /// The files that are theirs.
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Anybody | Self::Own => Vec::new(),
            Self::Of { authorities, kube_apiserver } => {
                let (certificate, key) =
                    kube_apiserver.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
                [Some(authorities), certificate, key].into_iter().flatten().collect()
            }
        }
    }
}

/// A certificate and its key, for a kubeconfig to carry.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientPem {
    /// The chain, in PEM.
    pub certificate: String,
    /// The key, in PEM.
    pub key: String,
}

// The key belongs into no debug text.
impl std::fmt::Debug for ClientPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientPem")
    }
}

impl ClientPem {
    /// What the kubeconfig is to carry by `clients`; issued by `pair`, and kept in `state_dir`, where that is
    /// [`Clients::Own`].
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn find(
        clients: &Clients,
        state_dir: &Path,
        pair: &Pair,
        now: Timestamp,
    ) -> Result<Option<Self>, CertificateError> {
        Ok(Known::find(clients, state_dir, pair, now)?.and_then(|known| known.kube_apiserver))
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self { certificate: pair::read(certificate)?, key: pair::read(key)? })
    }

    fn facts(&self) -> Option<Facts> {
        let first = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        Facts::of(&first)
    }

    /// Whether the key is the certificate's, and a server that trusts `roots` takes it.
    fn check(&self, roots: &RootCertStore, now: Timestamp) -> Result<(), rustls::Error> {
        let general = |error: &dyn std::fmt::Display| rustls::Error::General(error.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| general(&error))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| general(&error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider)
            .build()
            .map_err(|error| general(&error))?;
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let intermediates = certified.cert.get(1..).unwrap_or_default();
        verifier.verify_client_cert(certified.end_entity_cert()?, intermediates, now).map(|_| ())
    }
}

/// What is known of the clients.
pub(super) struct Known {
    pub(super) roots: RootCertStore,
    pub(super) kube_apiserver: Option<ClientPem>,
    pub(super) facts: Option<Facts>,
    /// What was in [`Clients::files`].
    pub(super) seen: Vec<String>,
}

impl Known {
    /// `None` where nobody has to show a certificate.
    pub(super) fn find(
        clients: &Clients,
        state_dir: &Path,
        pair: &Pair,
        now: Timestamp,
    ) -> Result<Option<Self>, CertificateError> {
        match clients {
            Clients::Anybody => Ok(None),
            Clients::Own => own(state_dir, pair, now).map(Some),
            Clients::Of { authorities, kube_apiserver } => {
                of_files(clients, authorities, kube_apiserver.as_ref(), now).map(Some)
            }
        }
    }
}

/// What stands in the files of `clients` now.
pub(super) fn seen(clients: &Clients) -> Result<Vec<String>, CertificateError> {
    clients.files().into_iter().map(|path| pair::read(path)).collect()
}

fn of_files(
    clients: &Clients,
    authorities: &Path,
    kube_apiserver: Option<&(PathBuf, PathBuf)>,
    now: Timestamp,
) -> Result<Known, CertificateError> {
    let seen = seen(clients)?;
    let mut roots = RootCertStore::empty();
    for authority in pair::chain(authorities, &pair::read(authorities)?)? {
        roots.add(authority).map_err(|error| client_authority(authorities, &error))?;
    }
    let pem = kube_apiserver.map(|(certificate, key)| ClientPem::read(certificate, key)).transpose()?;
    if let (Some(pem), Some((certificate, key))) = (&pem, kube_apiserver)
        && let Err(error) = pem.check(&roots, now)
    {
        tracing::error!(
            certificate = %certificate.display(),
            key = %key.display(),
            authorities = %authorities.display(),
            %error,
            "kube-apiserver will be refused with this certificate: it has to be a client's, good now, and issued by a CA \
             in the other file"
        );
    }
    Ok(Known { roots, facts: pem.as_ref().and_then(ClientPem::facts), kube_apiserver: pem, seen })
}

fn own(state_dir: &Path, pair: &Pair, now: Timestamp) -> Result<Known, CertificateError> {
    let authority = Paths::new(state_dir).certificate;
    let first = pair.chain.first().filter(|_| pair.facts.may_sign);
    let first = first.ok_or_else(|| CertificateError::MayNotSign { path: authority.clone() })?;
    let mut roots = RootCertStore::empty();
    roots.add(first.clone()).map_err(|error| client_authority(&authority, &error))?;

    let (certificate, key) = (state_dir.join("client.pem"), state_dir.join("client-key.pem"));
    let kept = ClientPem::read(&certificate, &key).ok().filter(|pem| pem.check(&roots, now).is_ok());
    let kept = kept.and_then(|pem| pem.facts().map(|facts| (pem, facts)));
    let (pem, facts) = match kept {
        Some((pem, facts)) if !issuer::is_due(facts.not_before, facts.not_after, now) => (pem, facts),
        kept => match (issue(&certificate, &key, pair, now), kept) {
            (Ok(issued), _) => issued,
            (Err(error), Some(kept)) => {
                tracing::warn!(%error, "kube-apiserver's certificate cannot be renewed; it stays");
                kept
            }
            (Err(error), None) => return Err(error),
        },
    };
    Ok(Known { roots, kube_apiserver: Some(pem), facts: Some(facts), seen: Vec::new() })
}

/// Issues a pair, and keeps it.
fn issue(
    certificate_path: &Path,
    key_path: &Path,
    pair: &Pair,
    now: Timestamp,
) -> Result<(ClientPem, Facts), CertificateError> {
    let make = |source| CertificateError::Make { name: "kube-apiserver".to_owned(), source };
    let (certificate, key) = issuer::issue(pair, Purpose::Client, now).map_err(make)?;
    let facts = Facts::of(certificate.der()).ok_or_else(|| make(rcgen::Error::CouldNotParseCertificate))?;
    let pem = ClientPem { certificate: certificate.pem(), key: key.serialize_pem() };
    // Half a pair, as a crash leaves it, is issued anew.
    match fs::remove_file(certificate_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CertificateError::file(certificate_path)(error));
        }
        _ => {}
    }
    atomic_file::write(key_path, pem.key.as_bytes(), 0o600).map_err(CertificateError::file(key_path))?;
    atomic_file::write(certificate_path, pem.certificate.as_bytes(), 0o644)
        .map_err(CertificateError::file(certificate_path))?;
    tracing::info!(certificate = %certificate_path.display(), "issued kube-apiserver a certificate");
    Ok((pem, facts))
}

fn client_authority(path: &Path, error: &rustls::Error) -> CertificateError {
    CertificateError::ClientAuthority { path: path.to_owned(), message: error.to_string() }
}
