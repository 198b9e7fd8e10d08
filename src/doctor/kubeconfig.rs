//! The webhook kubeconfig, by which kube-apiserver finds arngate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::Url;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Check, Status, certificate, in_time_blocking, trust::Verifier};
use crate::{
    config::ServerSettings,
    yaml::{self, Limits, Node, Value},
};

const NAME: &str = "kubeconfig";
const ANEW: &str =
    "restart arngate, which writes it anew, and then kube-apiserver, which reads it when it starts";

/// What the kubeconfig should say.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    path: PathBuf,
    /// The certificate that it should trust.
    certificate: PathBuf,
    hostname: String,
    /// 0 where the server takes any.
    port: u16,
    url: String,
    /// It is made by hand, and may reach the server by another name.
    by_hand: bool,
}

/// How kube-apiserver reaches the server.
#[derive(Debug)]
pub(super) struct Webhook {
    /// The server's URL, whose path is the reviews'.
    pub(super) url: Url,
    pub(super) verifier: Arc<Verifier>,
    /// The certificate that kube-apiserver shows, with its key.
    pub(super) own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Wanted {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        Self {
            path: settings.generate_kubeconfig.clone(),
            certificate: settings.state_dir.join("cert.pem"),
            hostname: settings.hostname.clone(),
            port: settings.port,
            url: settings.url(settings.port),
            by_hand: settings.kubeconfig_pregenerated,
        }
    }
}

/// Looks at the kubeconfig; and says how the server is reached by it, where it can be.
pub(super) async fn examine(
    wanted: &Wanted,
    within: Duration,
    now: Timestamp,
) -> (Vec<Check>, Option<Webhook>) {
    let (sender, webhook) = tokio::sync::oneshot::channel();
    let wanted = wanted.clone();
    let checks = in_time_blocking(NAME, within, move || {
        let (checks, webhook) = look(&wanted, now);
        // Nobody waits for it any more where it came too late.
        let _ = sender.send(webhook);
        checks
    });
    (checks.await, webhook.await.ok().flatten())
}

fn look(wanted: &Wanted, now: Timestamp) -> (Vec<Check>, Option<Webhook>) {
    let path = wanted.path.display();
    if !wanted.path.exists() {
        let found = format!("{path} is not there");
        return if wanted.by_hand {
            let advice =
                "kubeconfigPregenerated says that it is made by hand: make it, or leave that key out";
            (vec![Check::fail(NAME, found, advice)], None)
        } else {
            let advice = "arngate writes it when it starts; kube-apiserver does not start without it";
            (vec![Check::warn(NAME, found, advice)], None)
        };
    }
    let (believes_any, webhook) = match read(&wanted.path) {
        Ok(read) => read,
        Err(why) => return (vec![Check::fail(NAME, format!("{path}: {why}"), ANEW)], None),
    };
    let mut checks: Vec<Check> = [address(wanted, &webhook.url), trust(wanted, believes_any, &webhook, now)]
        .into_iter()
        .flatten()
        .collect();
    if checks.iter().all(|check| check.status == Status::Ok) {
        let found = format!("{path} has kube-apiserver ask {}, and trust its certificate", webhook.url);
        checks = vec![Check::ok(NAME, found)];
    }
    (checks, Some(webhook))
}

/// How the kubeconfig's current context reaches its cluster; and whether it has any certificate believed.
fn read(path: &Path) -> Result<(bool, Webhook), String> {
    let text = certificate::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|_| "it is not UTF-8")?;
    let limits = Limits::for_bytes(usize::try_from(certificate::MAX_LEN).unwrap_or(usize::MAX));
    // Where it stops being YAML is told, and not what stands there: that may be a key.
    let node = yaml::parse(&text, limits).map_err(|error| format!("{}: it is no YAML", error.position))?;
    let node = node.ok_or("it is empty")?;
    let current = text_of(&node, "current-context").ok_or("it has no current-context")?;
    let context = named(&node, "contexts", current, "context").ok_or("its current-context is none of it")?;
    let cluster = text_of(context, "cluster").and_then(|name| named(&node, "clusters", name, "cluster"));
    let cluster = cluster.ok_or("its current context names no cluster of it")?;
    let url = text_of(cluster, "server").and_then(|server| Url::parse(server).ok());
    let url = url.filter(|url| url.host_str().is_some()).ok_or("its cluster has no URL as its server")?;
    let authorities = match pem(cluster, "certificate-authority")? {
        Some(pem) => chain(&pem, "certificate-authority")?,
        None => Vec::new(),
    };
    let user = text_of(context, "user").and_then(|name| named(&node, "users", name, "user"));
    let own = match user {
        Some(user) => pem(user, "client-certificate")?.zip(pem(user, "client-key")?),
        None => None,
    };
    let own = match own {
        Some((certificates, key)) => {
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| "its client-key is no key in PEM")?;
            Some((chain(&certificates, "client-certificate")?, key))
        }
        None => None,
    };
    let believes_any = text_of(cluster, "insecure-skip-tls-verify") == Some("true");
    Ok((believes_any, Webhook { url, verifier: Arc::new(Verifier::new(authorities)), own }))
}

fn text_of<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::as_str)
}

/// What the item called `name` in the list `list` has as its `kind`.
fn named<'a>(node: &'a Node, list: &str, name: &str, kind: &str) -> Option<&'a Node> {
    let Value::Sequence(items) = &node.get(list)?.value else { return None };
    items.iter().find(|item| text_of(item, "name") == Some(name))?.get(kind)
}

/// The PEM that a field has, or the file that it names.
fn pem(node: &Node, field: &str) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = text_of(node, &format!("{field}-data")) {
        let decoded = STANDARD.decode(data.trim());
        return decoded.map(Some).map_err(|_| format!("its {field}-data is no base64"));
    }
    let Some(path) = text_of(node, field) else { return Ok(None) };
    certificate::read(Path::new(path))
        .map(Some)
        .map_err(|error| format!("cannot read its {field} {path}: {error}"))
}

fn chain(pem: &[u8], field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("its {field} is no PEM"))
}

/// Whether the URL is the server's.
fn address(wanted: &Wanted, url: &Url) -> Option<Check> {
    let path = wanted.path.display();
    if url.scheme() != "https" || url.path() != "/authenticate" {
        let found =
            format!("{path} has kube-apiserver ask {url}; reviews are answered at https, path /authenticate");
        return Some(Check::fail(NAME, found, ANEW));
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    if host.eq_ignore_ascii_case(&wanted.hostname) && (wanted.port == 0 || wanted.port == port) {
        return None;
    }
    let found = format!("{path} has kube-apiserver ask {url}, and the configuration is for {}", wanted.url);
    Some(if wanted.by_hand {
        Check::warn(NAME, found, "see that what it names reaches this server")
    } else {
        Check::fail(NAME, found, ANEW)
    })
}

/// Whether its CAs stand for the certificate that is there.
fn trust(wanted: &Wanted, believes_any: bool, webhook: &Webhook, now: Timestamp) -> Option<Check> {
    let path = wanted.path.display();
    if believes_any {
        let found = format!("{path} has kube-apiserver believe any certificate (insecure-skip-tls-verify)");
        return Some(Check::warn(NAME, found, "whoever takes the port could say who anybody is: remove it"));
    }
    let Ok(chain) = certificate::certificates(&wanted.certificate) else {
        // That is told where the certificate is looked at.
        return None;
    };
    let host = webhook.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let why = webhook.verifier.refuses(&chain, host, now)?;
    let certificate = wanted.certificate.display();
    let found = format!("kube-apiserver will not believe {certificate} by {path}: {why}");
    Some(Check::fail(NAME, found, ANEW))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn the_kubeconfig_fits_the_server_or_it_is_told_in_what_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = || {
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
        };
        let pem = made();
        std::fs::write(at("cert.pem"), &pem).unwrap();
        let wanted = Wanted {
            path: at("kubeconfig"),
            certificate: at("cert.pem"),
            hostname: "localhost".to_owned(),
            port: 21362,
            url: "https://localhost:21362/authenticate".to_owned(),
            by_hand: false,
        };
        crate::webhook::kubeconfig::write(&wanted.path, &wanted.url, &pem, None).unwrap();
        let good = std::fs::read_to_string(&wanted.path).unwrap();
        let ca = format!("certificate-authority-data: {}", STANDARD.encode(&pem));
        let other = format!("certificate-authority-data: {}", STANDARD.encode(made()));
        std::fs::write(at("ca.pem"), &pem).unwrap();
        let file = format!("certificate-authority: {}", at("ca.pem").display());
        for (text, status, told) in [
            (good.clone(), Status::Ok, "has kube-apiserver ask https://localhost:21362/authenticate"),
            (good.replace(&ca, &file), Status::Ok, "and trust its certificate"),
            (
                good.replace(":21362", ":1"),
                Status::Fail,
                "and the configuration is for https://localhost:21362",
            ),
            (good.replace("localhost", "elsewhere"), Status::Fail, "and the configuration is for"),
            (good.replace("https:", "http:"), Status::Fail, "reviews are answered at https"),
            (good.replace("/authenticate", ""), Status::Fail, "path /authenticate"),
            (good.replace(&ca, &other), Status::Fail, "will not believe"),
            (good.replace(&ca, "x: y"), Status::Fail, "will not believe"),
            (good.replace(&ca, "insecure-skip-tls-verify: true"), Status::Warn, "believe any certificate"),
            (good.replace(&ca, "certificate-authority-data: '*'"), Status::Fail, "is no base64"),
            (good.replace("current-context: webhook", ""), Status::Fail, "has no current-context"),
            (good.replace("    cluster:\n", "    cluster: [\n"), Status::Fail, "it is no YAML"),
        ] {
            std::fs::write(&wanted.path, &text).unwrap();
            let (checks, webhook) = look(&wanted, Timestamp::now());
            let check = &checks[0];
            assert!(check.status == status && check.found.contains(told), "{text}: {checks:?}");
            assert!(webhook.is_some() || status == Status::Fail, "{text}");
        }
        std::fs::write(&wanted.path, good.replace(":21362", ":1")).unwrap();
        let (checks, _) = look(&Wanted { by_hand: true, ..wanted.clone() }, Timestamp::now());
        assert_eq!(checks[0].status, Status::Warn, "another name for it may be meant");
        let (checks, _) = look(&Wanted { port: 0, ..wanted.clone() }, Timestamp::now());
        assert_eq!(checks[0].status, Status::Ok, "any port is as good as another");
        std::fs::remove_file(&wanted.path).unwrap();
        assert_eq!(look(&wanted, Timestamp::now()).0[0].status, Status::Warn);
        let (checks, _) = look(&Wanted { by_hand: true, ..wanted }, Timestamp::now());
        assert_eq!(checks[0].status, Status::Fail);
    }
}
