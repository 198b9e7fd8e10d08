//! The kubeconfig by which kube-apiserver finds the webhook
//! (`--authentication-token-webhook-config-file`).
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication>

use std::{fs, io, path::Path};

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
    // One that was put there read-only, and says the same, is as good.
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match atomic_file::write(path, text.as_bytes(), 0o644) {
        // A file that is mounted by itself into a container can be written, but not replaced. kube-apiserver, which
        // might see half of it then, reads it only when it starts.
        Err(_) if path.is_file() => fs::write(path, text),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_replaced_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig.yaml");
        write(&path, "https://localhost:1/authenticate", "pem").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        // Where the new file would be made before it takes the old one's place.
        fs::create_dir(folder.path().join("kubeconfig.yaml.new")).unwrap();
        write(&path, "https://localhost:2/authenticate", "pem").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("https://localhost:2/authenticate"));
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }

    #[test]
    fn a_file_that_says_the_same_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig.yaml");
        write(&path, "https://localhost:1/authenticate", "pem").unwrap();
        let before = fs::metadata(&path).unwrap();
        write(&path, "https://localhost:1/authenticate", "pem").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
        write(&path, "https://localhost:1/authenticate", "other").unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    }
}
