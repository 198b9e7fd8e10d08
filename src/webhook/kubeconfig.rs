//! The kubeconfig by which kube-apiserver finds the webhook
//! (`--authentication-token-webhook-config-file`).
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication>

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::certificate::ClientPem;
use crate::atomic_file;

/// Writes the kubeconfig to `path`. Its names are aws-iam-authenticator's. Its content is public, a URL and a certificate,
/// unless it carries a key of kube-apiserver's: then its owner alone may read it.
///
/// # Errors
/// Where the file or its folder cannot be written.
pub fn write(
    path: &Path,
    server_url: &str,
    certificate_pem: &str,
    client: Option<&ClientPem>,
) -> io::Result<()> {
    let authority = STANDARD.encode(certificate_pem);
    let (user, mode) = match client {
        None => (
            "# The user is kube-apiserver itself; it needs no credentials to ask.
users:
  - name: apiserver"
                .to_owned(),
            0o644,
        ),
        Some(ClientPem { certificate, key }) => (
            format!(
                "# The user is kube-apiserver itself.
users:
  - name: apiserver
    user:
      client-certificate-data: {}
      client-key-data: {}",
                STANDARD.encode(certificate),
                STANDARD.encode(key)
            ),
            0o600,
        ),
    };
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: aws-iam-authenticator
    cluster:
      certificate-authority-data: {authority}
      server: {server_url}
{user}
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
    match atomic_file::write(path, text.as_bytes(), mode) {
        // A file that is mounted by itself into a container can be written, but not replaced. kube-apiserver, which
        // might see half of it then, reads it only when it starts.
        Err(_) if path.is_file() => {
            if client.is_some() {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
            fs::write(path, text)
        }
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
        write(&path, "https://localhost:1/authenticate", "pem", None).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        // Where the new file would be made before it takes the old one's place.
        fs::create_dir(folder.path().join("kubeconfig.yaml.new")).unwrap();
        write(&path, "https://localhost:2/authenticate", "pem", None).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("https://localhost:2/authenticate"));
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }

    #[test]
    fn a_file_that_says_the_same_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig.yaml");
        write(&path, "https://localhost:1/authenticate", "pem", None).unwrap();
        let before = fs::metadata(&path).unwrap();
        write(&path, "https://localhost:1/authenticate", "pem", None).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
        write(&path, "https://localhost:1/authenticate", "other", None).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    }

    #[test]
    fn one_with_a_key_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig.yaml");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        let client = ClientPem { certificate: "certificate".to_owned(), key: "key".to_owned() };
        write(&path, "https://localhost:1/authenticate", "pem", None).unwrap();
        assert_eq!(mode(), 0o644);
        write(&path, "https://localhost:1/authenticate", "pem", Some(&client)).unwrap();
        assert_eq!(mode(), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("client-key-data: a2V5\n"), "{text}");
        // The same where it can only be written in place.
        write(&path, "https://localhost:1/authenticate", "pem", None).unwrap();
        fs::create_dir(folder.path().join("kubeconfig.yaml.new")).unwrap();
        write(&path, "https://localhost:1/authenticate", "pem", Some(&client)).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
