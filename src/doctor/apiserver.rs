//! kube-apiserver's flags, as its static pod's manifest has them.

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use jiff::SignedDuration;

use super::{Check, certificate};
use crate::yaml::{self, Limits, Node, Value};

const NAME: &str = "kube-apiserver";
const CONFIG_FILE: &str = "--authentication-token-webhook-config-file";
const CACHE_TTL: &str = "--authentication-token-webhook-cache-ttl";
/// From where on a removed mapping counts for long: five times kube-apiserver's default.
const LONG: SignedDuration = SignedDuration::from_mins(10);

/// Looks at the manifest, which should name `kubeconfig`.
pub(super) fn examine(manifest: &Path, kubeconfig: &Path) -> Vec<Check> {
    let told = manifest.display();
    let text = match certificate::read(manifest) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let found =
                format!("there is no {told}: kube-apiserver is no static pod of this machine, or elsewhere");
            return vec![Check::skip(NAME, found)];
        }
        Err(error) => return vec![Check::skip(NAME, format!("cannot read {told}: {error}"))],
    };
    let pod = std::str::from_utf8(&text).map_err(|error| error.to_string()).and_then(|text| {
        let limits = Limits::for_bytes(usize::try_from(certificate::MAX_LEN).unwrap_or(usize::MAX));
        yaml::parse(text, limits).map_err(|error| error.to_string())
    });
    let pod = match pod {
        Ok(pod) => pod.and_then(|pod| Pod::read(&pod)),
        Err(error) => {
            return vec![Check::fail(NAME, format!("{told}: {error}"), "kubelet cannot read it either")];
        }
    };
    let Some(pod) = pod else {
        return vec![Check::skip(NAME, format!("{told} is no pod with a container kube-apiserver"))];
    };
    let mut checks = vec![config_file(&pod, &told.to_string(), kubeconfig)];
    checks.extend(cache_ttl(&pod));
    checks
}

fn config_file(pod: &Pod, told: &str, kubeconfig: &Path) -> Check {
    let wanted = format!("{CONFIG_FILE}={}", kubeconfig.display());
    let Some(named) = pod.flag(CONFIG_FILE).map(PathBuf::from) else {
        let found = format!("{told} has no {CONFIG_FILE}: kube-apiserver asks nobody");
        return Check::fail(NAME, found, format!("add {wanted}, and mount its folder"));
    };
    let named_told = named.display();
    let Some(on_node) = pod.on_node(&named) else {
        let found =
            format!("{told} names {named_told}, and mounts nothing there: kube-apiserver cannot start");
        let advice = format!("mount {} as a hostPath", kubeconfig.parent().unwrap_or(kubeconfig).display());
        return Check::fail(NAME, found, advice);
    };
    let same = on_node == plain(kubeconfig) || same_content(&on_node, kubeconfig);
    if same {
        return Check::ok(NAME, format!("reads {named_told}, which arngate writes"));
    }
    let found = format!("reads {}, and arngate writes {}", on_node.display(), kubeconfig.display());
    Check::fail(NAME, found, format!("set {wanted}, or server.generateKubeconfig to what it reads"))
}

fn same_content(one: &Path, other: &Path) -> bool {
    matches!((certificate::read(one), certificate::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn cache_ttl(pod: &Pod) -> Option<Check> {
    let text = pod.flag(CACHE_TTL)?;
    let Ok(length) = text.parse::<SignedDuration>() else {
        return (text != "0").then(|| {
            Check::fail(NAME, format!("{CACHE_TTL}={text} is no length of time"), "write one such as 2m0s")
        });
    };
    if length > LONG {
        let found =
            format!("{CACHE_TTL}={text}: so long a removed mapping lets in whoever has just been let in");
        return Some(Check::warn(NAME, found, "leave it out, which is 2m0s"));
    }
    None
}

/// What of a pod's manifest decides here.
struct Pod {
    /// The container's command and arguments.
    words: Vec<String>,
    /// Where in the container which path of the node is.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Pod {
    /// `None` where it is no pod with such a container.
    fn read(pod: &Node) -> Option<Self> {
        let spec = pod.get("spec")?;
        let is_it = |container: &&Node| {
            let named = text(container, "name").is_some_and(|name| name == "kube-apiserver");
            named || words(container).first().is_some_and(|word| word.ends_with("kube-apiserver"))
        };
        let container = items(spec.get("containers")).iter().find(is_it)?;
        let volumes = items(spec.get("volumes"));
        let host_path = |name: &str| {
            let volume = volumes.iter().find(|volume| text(volume, "name") == Some(name))?;
            text(volume.get("hostPath")?, "path").map(PathBuf::from)
        };
        let mount = |mount: &Node| {
            let path = host_path(text(mount, "name")?)?;
            let path = text(mount, "subPath").map_or(path.clone(), |below| path.join(below));
            Some((plain(Path::new(text(mount, "mountPath")?)), plain(&path)))
        };
        let mounts = items(container.get("volumeMounts")).iter().filter_map(mount).collect();
        Some(Self { words: words(container), mounts })
    }

    /// The last value of a flag, in either way of writing it.
    fn flag(&self, name: &str) -> Option<&str> {
        let mut found = None;
        for (index, word) in self.words.iter().enumerate() {
            match word.strip_prefix(name) {
                Some("") => found = self.words.get(index + 1).map(String::as_str),
                Some(rest) => found = rest.strip_prefix('=').or(found),
                None => {}
            }
        }
        found
    }

    /// Where on the node a path of the container is, by the mount that is nearest to it.
    fn on_node(&self, path: &Path) -> Option<PathBuf> {
        let path = plain(path);
        let below = self.mounts.iter().filter_map(|(mounted, host)| {
            let rest = path.strip_prefix(mounted).ok()?;
            let host = if rest.as_os_str().is_empty() { host.clone() } else { host.join(rest) };
            Some((mounted.components().count(), host))
        });
        below.max_by_key(|(depth, _)| *depth).map(|(_, host)| host)
    }
}

/// A path without `.`, `..` and doubled slashes; links are not followed, which are another machine's perhaps.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn items(node: Option<&Node>) -> &[Node] {
    if let Some(Value::Sequence(items)) = node.map(|node| &node.value) { items } else { &[] }
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::as_str)
}

fn words(container: &Node) -> Vec<String> {
    let of = |key| items(container.get(key)).iter().filter_map(|word| word.as_str().map(str::to_owned));
    of("command").chain(of("args")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::Status, *};

    const KUBECONFIG: &str = "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml";
    const MANIFEST: &str = "apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - name: kube-apiserver
    command:
    - kube-apiserver
    - --authorization-mode=Node,RBAC
    - --authentication-token-webhook-config-file=/etc/webhook/kubeconfig.yaml
    volumeMounts:
    - {mountPath: /etc, name: etc}
    - {mountPath: /etc/webhook, name: webhook, readOnly: true}
  volumes:
  - {name: etc, hostPath: {path: /etc}}
  - {name: webhook, hostPath: {path: /etc/kubernetes/aws-iam-authenticator/}}
";

    fn looked(text: &str) -> Vec<(Status, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kube-apiserver.yaml");
        fs::write(&path, text).unwrap();
        let checks = examine(&path, Path::new(KUBECONFIG));
        checks.into_iter().map(|check| (check.status, check.found)).collect()
    }

    #[test]
    fn the_flag_is_followed_to_the_node() {
        let flag = "    - --authentication-token-webhook-config-file=/etc/webhook/kubeconfig.yaml\n";
        let apart = flag.replacen('=', "\n    - ", 1);
        for (text, status, told) in [
            (MANIFEST.to_owned(), Status::Ok, "reads /etc/webhook/kubeconfig.yaml, which arngate writes"),
            (MANIFEST.replace(flag, &apart), Status::Ok, "which arngate writes"),
            (MANIFEST.replace(flag, ""), Status::Fail, "has no --authentication-token-webhook-config-file"),
            (
                MANIFEST.replace("/aws-iam-authenticator/", "/other"),
                Status::Fail,
                "reads /etc/kubernetes/other/kubeconfig.yaml, and arngate writes /etc/kubernetes/aws-iam",
            ),
            (MANIFEST.replace("mountPath: /etc", "mountPath: /var"), Status::Fail, "mounts nothing there"),
            (
                MANIFEST
                    .replace("- kube-apiserver\n", "- x\n")
                    .replace("name: kube-apiserver\n", "name: x\n"),
                Status::Skip,
                "no pod with",
            ),
            ("kind: [".to_owned(), Status::Fail, "while parsing"),
            (String::new(), Status::Skip, "no pod with"),
        ] {
            let found = looked(&text);
            assert!(found[0].0 == status && found[0].1.contains(told), "{text}: {found:?}");
        }
        let absent = examine(Path::new("/nowhere/kube-apiserver.yaml"), Path::new(KUBECONFIG));
        assert_eq!(absent[0].status, Status::Skip);
    }

    #[test]
    fn a_cache_that_remembers_for_long_is_told() {
        let with = |value: &str| {
            let flag = format!("    - --authentication-token-webhook-cache-ttl={value}\n    volumeMounts:\n");
            looked(&MANIFEST.replace("    volumeMounts:\n", &flag))
        };
        for (value, status) in [
            ("2m0s", None),
            ("0", None),
            ("10m", None),
            ("1h0m0s", Some(Status::Warn)),
            ("long", Some(Status::Fail)),
        ] {
            assert_eq!(with(value).get(1).map(|check| check.0), status, "{value}: {:?}", with(value));
        }
    }
}
