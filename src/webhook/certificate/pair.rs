//! `cert.pem` and `key.pem` of the state directory: loaded, or made where there are none.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{CertificateError, Names, facts::Facts, issuer};
use crate::atomic_file;

/// The longest file that is read, in bytes. A certificate has about a thousand.
const MAX_LEN: u64 = 1024 * 1024;

/// Where the two files are.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// The certificate that was there before the last renewal.
    pub(super) previous: PathBuf,
}

impl Paths {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            certificate: state_dir.join("cert.pem"),
            key: state_dir.join("key.pem"),
            previous: state_dir.join("cert.previous.pem"),
        }
    }
}

/// A certificate chain with its key, as they stand in the files.
pub struct Pair {
    /// The chain as PEM: what the kubeconfig has kube-apiserver trust.
    pub pem: String,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) facts: Facts,
}

// The key belongs into no debug text.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem && self.key == other.key
    }
}

impl Pair {
    /// Loads `cert.pem` and `key.pem` from `state_dir`, or makes them there for `names`.
    ///
    /// Files of aws-iam-authenticator (RSA, a CA that signed itself) are taken as they are.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn load_or_make(state_dir: &Path, names: &Names, now: Timestamp) -> Result<Self, CertificateError> {
        let paths = Paths::new(state_dir);
        if paths.certificate.exists() && paths.key.exists() {
            tracing::info!(certificate = %paths.certificate.display(), "loaded the certificate");
        } else {
            // Half a pair, as a crash between the two writes leaves it, serves nobody: both are made anew.
            make(state_dir, &paths, names, now)?;
            let hostname = &names.hostname;
            tracing::info!(certificate = %paths.certificate.display(), hostname, "made a certificate");
        }
        Self::load(&paths)
    }

    pub(super) fn load(paths: &Paths) -> Result<Self, CertificateError> {
        let Paths { certificate, key, .. } = paths;
        let pem = read(certificate)?;
        let chain = chain(certificate, &pem)?;
        let facts = chain
            .first()
            .and_then(|first| Facts::of(first))
            .ok_or_else(|| CertificateError::NoX509 { path: certificate.clone() })?;
        let key_pem = read(key)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|source| CertificateError::Pem { path: key.clone(), want: "private key", source })?;
        Ok(Self { pem, chain, key, facts })
    }
}

/// The certificates in `pem`, which `path` holds; at least one.
pub(super) fn chain(path: &Path, pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let error = |source| CertificateError::Pem { path: path.to_owned(), want: "certificate", source };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(error)?;
    if chain.is_empty() {
        return Err(error(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}

/// Reads a file that is no longer than it may be.
pub(super) fn read(path: &Path) -> Result<String, CertificateError> {
    let error = CertificateError::file(path);
    let read = || {
        // To open a pipe would wait for its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut text = String::new();
        let length = fs::File::open(path)?.take(MAX_LEN + 1).read_to_string(&mut text)?;
        if length as u64 > MAX_LEN {
            return Err(io::Error::other(format!("longer than {MAX_LEN} bytes")));
        }
        Ok(text)
    };
    read().map_err(error)
}

fn make(state_dir: &Path, paths: &Paths, names: &Names, now: Timestamp) -> Result<(), CertificateError> {
    let error = |source| CertificateError::Make { name: names.hostname.clone(), source };
    let key = KeyPair::generate().map_err(error)?;
    let certificate = issuer::authority(names, now).map_err(error)?.self_signed(&key).map_err(error)?;
    fs::create_dir_all(state_dir).map_err(CertificateError::file(state_dir))?;
    // A crash at any point here must leave half a pair, which the next start makes whole, and never a key beside
    // another key's certificate.
    match fs::remove_file(&paths.certificate) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CertificateError::file(&paths.certificate)(error));
        }
        _ => {}
    }
    atomic_file::write(&paths.key, key.serialize_pem().as_bytes(), 0o600)
        .map_err(CertificateError::file(&paths.key))?;
    atomic_file::write(&paths.certificate, certificate.pem().as_bytes(), 0o644)
        .map_err(CertificateError::file(&paths.certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn names() -> Names {
        Names { hostname: "localhost".to_owned(), address: "127.0.0.1".parse().unwrap() }
    }

    #[test]
    fn makes_a_pair_once_and_loads_it_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let made = Pair::load_or_make(&state, &names(), now()).unwrap();
        let permissions = fs::metadata(state.join("key.pem")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
        let loaded = Pair::load_or_make(&state, &names(), now()).unwrap();
        assert_eq!(made, loaded);
        assert!(loaded.facts.may_sign);
        assert!(!format!("{loaded:?}").contains("Pkcs8"), "{loaded:?}");
    }

    #[test]
    fn half_a_pair_is_replaced_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["cert.pem", "key.pem"] {
            Pair::load_or_make(folder.path(), &names(), now()).unwrap();
            fs::remove_file(folder.path().join(file)).unwrap();
            Pair::load_or_make(folder.path(), &names(), now()).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_pem_or_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key.pem"), "x").unwrap();
        for (content, words) in [
            ("x", "cert.pem holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n", "no X.509 certificate"),
        ] {
            fs::write(folder.path().join("cert.pem"), content).unwrap();
            let error = Pair::load_or_make(folder.path(), &names(), now()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_file_without_an_end_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key.pem"), "x").unwrap();
        let file = fs::File::create(folder.path().join("cert.pem")).unwrap();
        file.set_len(MAX_LEN + 1).unwrap();
        let error = Pair::load_or_make(folder.path(), &names(), now()).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
