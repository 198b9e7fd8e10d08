//! Whom arngate believes to be STS: the system's roots (or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name),
//! plus an optional bundle.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};

/// Why there are no roots to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The extra bundle.
    #[error("cannot read the CA bundle {path}: {source}; it must be a file of PEM certificates")]
    Bundle {
        /// Which file.
        path: String,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate that is none.
    #[error("certificate {index} of the CA bundle {path} cannot be used: {source}")]
    Certificate {
        /// Which file.
        path: String,
        /// Which of its certificates, from 1.
        index: usize,
        /// Why.
        source: rustls::Error,
    },
    /// Neither source had any.
    #[error(
        "no trusted CA certificates: install the system's (ca-certificates), set SSL_CERT_FILE, or name a bundle"
    )]
    Empty,
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The system's roots, which are read once in a process: they are hundreds of files on many systems, and to read them
/// for each client would be most of a start's time.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a file of system CA certificates could not be read");
        }
        let mut roots = RootCertStore::empty();
        // System stores hold an odd certificate now and then; one bad one must not cost all the others.
        roots.add_parsable_certificates(native.certs);
        roots
    })
}

/// A TLS client that trusts the system's roots and those in `bundle`, with HTTP/1.1 alone: STS speaks no other.
///
/// # Errors
/// Where the bundle cannot be read, or there is no root at all.
pub fn client_config(bundle: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = system_roots().clone();
    if let Some(path) = bundle {
        let name = || path.display().to_string();
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| TrustError::Bundle { path: name(), source })?;
        for (index, certificate) in certificates.into_iter().enumerate() {
            roots.add(certificate).map_err(|source| TrustError::Certificate {
                path: name(),
                index: index + 1,
                source,
            })?;
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Empty);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
