use std::{
    fs,
    path::{Path, PathBuf},
};

use arngate::yaml::{self, Limits, Node, Value, YamlError};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The longest kubeconfig that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// What the current context of a kubeconfig says about a server: PEM where it is a certificate or key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The URL.
    pub server: String,
    /// Whom to trust; the system's CAs where absent.
    pub authority: Option<Vec<u8>>,
    /// The name that the certificate is checked for, where it is not the URL's.
    pub server_name: Option<String>,
    /// The client's certificate and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file is not there, or cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no YAML.
    #[error("{}: {source}", .path.display())]
    Yaml {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: YamlError,
    },
    /// Something that must be there is not.
    #[error("{}: there is no {what}", .path.display())]
    Missing {
        /// Which.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// Something is there that is not honoured, and that must not be ignored.
    #[error("{}: {position}: {key} is not supported here: take it out, or use a kubeconfig without it", .path.display())]
    Unsupported {
        /// Which.
        path: PathBuf,
        /// Where.
        position: yaml::Position,
        /// What.
        key: &'static str,
    },
    /// Something that should be base64 is not.
    #[error("{}: {position}: {key} is no base64", .path.display())]
    Base64 {
        /// Which.
        path: PathBuf,
        /// Where.
        position: yaml::Position,
        /// What.
        key: String,
    },
}

impl Kubeconfig {
    /// Reads a file; names of further files in it are relative to its folder.
    ///
    /// # Errors
    /// See [`KubeconfigError`].
    pub fn read(path: &Path) -> Result<Self, KubeconfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| KubeconfigError::File { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, KubeconfigError> {
        let missing = |what: String| KubeconfigError::Missing { path: path.to_owned(), what };
        let document = yaml::parse(text, Limits::for_bytes(LONGEST))
            .map_err(|source| KubeconfigError::Yaml { path: path.to_owned(), source })?
            .ok_or_else(|| missing("content".to_owned()))?;
        let context =
            field(&document, "current-context").ok_or_else(|| missing("current-context".to_owned()))?;
        let context = named(&document, "contexts", context, "context")
            .ok_or_else(|| missing(format!("context {context:?}")))?;
        let cluster =
            field(context, "cluster").ok_or_else(|| missing("cluster of the context".to_owned()))?;
        let cluster = named(&document, "clusters", cluster, "cluster")
            .ok_or_else(|| missing(format!("cluster {cluster:?}")))?;
        let server = field(cluster, "server").ok_or_else(|| missing("server of the cluster".to_owned()))?;
        for key in ["insecure-skip-tls-verify", "proxy-url"] {
            if let Some(node) =
                cluster.get(key).filter(|node| !matches!(node.as_str(), None | Some("" | "false")))
            {
                return Err(KubeconfigError::Unsupported { path: path.to_owned(), position: node.span, key });
            }
        }
        // A webhook's kubeconfig may name a user that it does not describe.
        let user = field(context, "user").and_then(|user| named(&document, "users", user, "user"));
        let pem = |node: Option<&Node>, key: &str| node.map_or(Ok(None), |node| pem(node, key, path));
        let client = pem(user, "client-certificate")?.zip(pem(user, "client-key")?);
        Ok(Self {
            server: server.to_owned(),
            authority: pem(Some(cluster), "certificate-authority")?,
            server_name: field(cluster, "tls-server-name").map(str::to_owned),
            client,
        })
    }
}

/// A text that is not empty.
fn field<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// What the entry `name` of a list says.
fn named<'a>(document: &'a Node, list: &str, name: &str, what: &str) -> Option<&'a Node> {
    let Value::Sequence(entries) = &document.get(list)?.value else { return None };
    entries.iter().find(|entry| field(entry, "name") == Some(name))?.get(what)
}

/// The PEM that `key-data` holds, or the file that `key` names.
fn pem(node: &Node, key: &str, path: &Path) -> Result<Option<Vec<u8>>, KubeconfigError> {
    let data = format!("{key}-data");
    if let Some(text) = field(node, &data) {
        let position = node.get(&data).map_or(node.span, |node| node.span);
        let base64 = |_| KubeconfigError::Base64 { path: path.to_owned(), position, key: data.clone() };
        return STANDARD.decode(text.trim()).map(Some).map_err(base64);
    }
    let Some(file) = field(node, key) else { return Ok(None) };
    let file = path.parent().unwrap_or(Path::new(".")).join(file);
    fs::read(&file).map(Some).map_err(|source| KubeconfigError::File { path: file, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: &str = "
apiVersion: v1
kind: Config
current-context: webhook
contexts:
- {name: other, context: {cluster: nowhere}}
- {name: webhook, context: {cluster: arngate, user: apiserver}}
clusters:
- name: arngate
  cluster:
    server: https://localhost:21362/authenticate
    certificate-authority-data: cGVt
users:
- name: apiserver
";

    fn parse(text: &str) -> Result<Kubeconfig, KubeconfigError> {
        Kubeconfig::parse(text, Path::new("/nowhere/kubeconfig"))
    }

    #[test]
    fn the_webhooks_is_read() {
        let read = parse(WEBHOOK).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.server, "https://localhost:21362/authenticate");
        assert_eq!((read.authority.as_deref(), read.client), (Some(&b"pem"[..]), None));
    }

    #[test]
    fn files_are_found_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), "ca").unwrap();
        fs::write(folder.path().join("tls.pem"), "certificate").unwrap();
        fs::write(folder.path().join("tls.key"), "key").unwrap();
        let text = WEBHOOK
            .replace(
                "certificate-authority-data: cGVt",
                "certificate-authority: ca.pem\n    tls-server-name: x.test",
            )
            .replace(
                "- name: apiserver",
                "- {name: apiserver, user: {client-certificate: tls.pem, client-key: tls.key}}",
            );
        let path = folder.path().join("kubeconfig");
        fs::write(&path, text).unwrap();
        let read = Kubeconfig::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.authority.as_deref(), Some(&b"ca"[..]));
        assert_eq!(read.server_name.as_deref(), Some("x.test"));
        assert_eq!(read.client, Some((b"certificate".to_vec(), b"key".to_vec())));
    }

    #[test]
    fn what_is_missing_or_not_honoured_is_named() {
        for (text, words) in [
            (String::new(), "there is no content"),
            (WEBHOOK.replace("current-context: webhook", "x: y"), "there is no current-context"),
            (WEBHOOK.replace("current-context: webhook", "current-context: z"), "there is no context \"z\""),
            (WEBHOOK.replace("cluster: arngate,", "cluster: z,"), "there is no cluster \"z\""),
            (WEBHOOK.replace("server:", "sever:"), "there is no server"),
            (WEBHOOK.replace("cGVt", "'?'"), "no base64"),
            (WEBHOOK.replace("certificate-authority-data: cGVt", "proxy-url: http://p"), "line 12"),
            (
                WEBHOOK.replace("certificate-authority-data: cGVt", "certificate-authority: /nowhere/ca"),
                "/nowhere/ca",
            ),
        ] {
            let error = match parse(&text) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("taken: {text}"),
            };
            assert!(error.contains(words), "{error}");
        }
    }
}
