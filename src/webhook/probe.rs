//! Asks a server on this machine how it is, as a health check does.
//!
//! It is believed to be that server where it shows the very certificate that lies in its state directory. Neither the
//! name nor the issuer counts: aws-iam-authenticator's certificate, which is its own CA, is taken for what it is.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// How much of an answer is read. `/readyz` has a line a backend.
const MAX_ANSWER: usize = 16 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `/healthz`: does it serve?
    Healthy,
    /// `/readyz`: has every backend loaded its mappings?
    Ready,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Healthy => "/healthz",
            Self::Ready => "/readyz",
        }
    }
}

/// Why a server is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The certificate by which the server would be known.
    #[error(
        "cannot read {path}: {source}; name the server's state directory by --state-dir or the file of -c"
    )]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be set up at all.
    #[error("the HTTP client cannot be set up")]
    Client,
    /// No connection.
    #[error(
        "cannot connect to {url}: nothing listens there, or it does not show the certificate in {certificate}; \
         --address, --port and the file of -c say where the server is"
    )]
    Connect {
        /// Where.
        url: String,
        /// The certificate that was expected.
        certificate: PathBuf,
    },
    /// No answer in time.
    #[error("{url} does not answer within {} s", within.as_secs_f64())]
    Timeout {
        /// Where.
        url: String,
        /// How long it had.
        within: Duration,
    },
    /// The connection broke, or what came was no answer.
    #[error("{url} gives no answer that can be read")]
    Transport {
        /// Where.
        url: String,
    },
    /// It says that it is not well.
    #[error("{url} answers {status}: {text}")]
    Unwell {
        /// Where.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it says, without the line break at the end.
        text: String,
    },
}

/// Asks the server at the first of `addresses` that takes a connection, and gives what it answers.
///
/// `certificate` is the server's `cert.pem`; `within` bounds all of it.
///
/// # Errors
/// See [`ProbeError`].
pub async fn probe(
    addresses: &[SocketAddr],
    certificate: &Path,
    question: Question,
    within: Duration,
) -> Result<String, ProbeError> {
    // The name stands for the addresses; it is no other than the one that kube-apiserver has by default.
    let port = addresses.first().map_or(0, SocketAddr::port);
    let url = format!("https://localhost:{port}{}", question.path());
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(certificate)?)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs("localhost", addresses)
        .timeout(within)
        .build()
        .map_err(|_| ProbeError::Client)?;
    let failed = |error: reqwest::Error| {
        let url = url.clone();
        if error.is_timeout() {
            ProbeError::Timeout { url, within }
        } else if error.is_connect() {
            ProbeError::Connect { url, certificate: certificate.to_owned() }
        } else {
            ProbeError::Transport { url }
        }
    };
    let mut response = client.get(&url).send().await.map_err(failed)?;
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER {
            return Err(ProbeError::Transport { url });
        }
    }
    let (status, text) = (response.status(), String::from_utf8_lossy(&answer).trim_end().to_owned());
    if status == StatusCode::OK { Ok(text) } else { Err(ProbeError::Unwell { url, status, text }) }
}

fn client_config(certificate: &Path) -> Result<ClientConfig, ProbeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(certificate)
        .map_err(|source| ProbeError::Certificate { path: certificate.to_owned(), source })?;
    let verifier = Arc::new(ThisCertificate { certificate, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts one certificate, and whoever has its key.
#[derive(Debug)]
struct ThisCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThisCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
