//! The serving certificate: `cert.pem` and `key.pem` in the state directory, made on first start.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::atomic_file;

/// How long a new certificate is good, in days. kube-apiserver reads the kubeconfig that carries it only when
/// it starts, so this is no shorter than a control-plane node lives.
const LIFETIME_DAYS: u32 = 3650;

/// The name by which an API server knows the admission webhook where it reaches it by a Service: NAME.NAMESPACE.svc.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference>
pub const ADMISSION_NAME: &str = "arngate.kube-system.svc";

const DAY: Duration = Duration::from_hours(24);

/// A certificate chain with its key.
pub struct Certificate {
    /// The chain as PEM, as it stands in the file.
    pub pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of the kind wanted.
    #[error("{path} holds no {want} in PEM: {source}; remove cert.pem and key.pem to have new ones made")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for in it.
        want: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A new certificate cannot be made.
    #[error("cannot make a certificate for {hostname:?}: {source}")]
    Make {
        /// For whom.
        hostname: String,
        /// Why.
        source: rcgen::Error,
    },
    /// TLS refuses the pair.
    #[error("the certificate and its key cannot be used together: {0}")]
    Tls(#[from] rustls::Error),
}

impl Certificate {
    /// Loads `cert.pem` and `key.pem` from `state_dir`, or makes them there for `hostname` and `address`.
    ///
    /// Files of aws-iam-authenticator (RSA, a CA that signed itself) are taken as they are.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn load_or_make(
        state_dir: &Path,
        hostname: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let (certificate, key) = (state_dir.join("cert.pem"), state_dir.join("key.pem"));
        if certificate.exists() && key.exists() {
            tracing::info!(certificate = %certificate.display(), "loaded the serving certificate");
        } else {
            // Half a pair, as a crash between the two writes leaves it, serves nobody: both are made anew.
            make(state_dir, &certificate, &key, hostname, address, now)?;
            tracing::info!(certificate = %certificate.display(), hostname, "made a serving certificate");
        }
        Self::load(&certificate, &key)
    }

    fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            fs::read_to_string(path)
                .map_err(|source| CertificateError::File { path: path.to_owned(), source })
        };
        let pem_error = |path: &Path, want| {
            let path = path.to_owned();
            move |source| CertificateError::Pem { path, want, source }
        };
        let pem = read(certificate)?;
        let mut chain = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem_error(certificate, "certificate"))?;
        if chain.is_empty() {
            // Says the same as `from_pem_slice` would.
            chain.push(
                CertificateDer::from_pem_slice(pem.as_bytes())
                    .map_err(pem_error(certificate, "certificate"))?,
            );
        }
        let key =
            PrivateKeyDer::from_pem_slice(read(key)?.as_bytes()).map_err(pem_error(key, "private key"))?;
        Ok(Self { pem, chain, key })
    }

    /// A TLS server with this certificate: TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// Where the key is not the certificate's.
    pub fn server_config(self) -> Result<ServerConfig, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn make(
    state_dir: &Path,
    certificate_path: &Path,
    key_path: &Path,
    hostname: &str,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), CertificateError> {
    let make_error = |source| CertificateError::Make { hostname: hostname.to_owned(), source };
    let mut params = CertificateParams::new(vec![hostname.to_owned()]).map_err(make_error)?;
    params.subject_alt_names.push(SanType::DnsName(ADMISSION_NAME.try_into().map_err(make_error)?));
    if !address.is_unspecified() {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "aws-iam-authenticator");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let today = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    // A day's grace for a client whose clock is behind.
    (params.not_before, params.not_after) = (today - DAY, today + DAY * LIFETIME_DAYS);
    let key = KeyPair::generate().map_err(make_error)?;
    let certificate = params.self_signed(&key).map_err(make_error)?;
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::File { path, source }
    };
    fs::create_dir_all(state_dir).map_err(file_error(state_dir))?;
    // A crash at any point here must leave half a pair, which the next start makes whole, and never a key beside
    // another key's certificate.
    match fs::remove_file(certificate_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(file_error(certificate_path)(error));
        }
        _ => {}
    }
    atomic_file::write(key_path, key.serialize_pem().as_bytes(), 0o600).map_err(file_error(key_path))?;
    atomic_file::write(certificate_path, certificate.pem().as_bytes(), 0o644)
        .map_err(file_error(certificate_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn makes_a_pair_once_and_loads_it_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let localhost = "127.0.0.1".parse().unwrap();
        let made = Certificate::load_or_make(&state, "localhost", localhost, now()).unwrap();
        let permissions = fs::metadata(state.join("key.pem")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
        let loaded = Certificate::load_or_make(&state, "localhost", localhost, now()).unwrap();
        assert_eq!(made.pem, loaded.pem);
        loaded.server_config().unwrap();
    }

    #[test]
    fn half_a_pair_is_replaced_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let localhost = "127.0.0.1".parse().unwrap();
        for file in ["cert.pem", "key.pem"] {
            Certificate::load_or_make(folder.path(), "localhost", localhost, now()).unwrap();
            fs::remove_file(folder.path().join(file)).unwrap();
            let whole = Certificate::load_or_make(folder.path(), "localhost", localhost, now()).unwrap();
            whole.server_config().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_pem_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["cert.pem", "key.pem"] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        let error =
            Certificate::load_or_make(folder.path(), "localhost", "127.0.0.1".parse().unwrap(), now());
        assert!(error.err().unwrap().to_string().contains("cert.pem holds no certificate"));
    }
}
