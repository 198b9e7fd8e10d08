//! The kubeconfig by which kube-apiserver finds the webhook
//! (`--authentication-token-webhook-config-file`).
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication>

use std::{io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::atomic_file;

/// Writes the kubeconfig to `path`. Its names are aws-iam-authenticator's, and its content is public: it holds
/// a URL and a certificate.
///
/// # Errors
/// Where the file or its folder cannot be written.
pub fn write(path: &Path, server_url: &str, certificate_pem: &str) -> io::Result<()> {
    let authority = STANDARD.encode(certificate_pem);
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: aws-iam-authenticator
    cluster:
      certificate-authority-data: {authority}
      server: {server_url}
# The user is kube-apiserver itself; it needs no credentials to ask.
users:
  - name: apiserver
contexts:
  - name: webhook
    context:
      cluster: aws-iam-authenticator
      user: apiserver
current-context: webhook
"
    );
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    atomic_file::write(path, text.as_bytes(), 0o644)
}
