use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::directory::write_private;
use super::{Certificates, Directory, Error};

/// A program that kubectl runs to have a token.
#[derive(Clone, Debug)]
pub struct ExecPlugin {
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beside the `PATH` and `HOME` that kubectl is run with.
    pub env: Vec<(String, String)>,
    /// The `ExecCredential` version asked for, as `client.authentication.k8s.io/v1`.
    pub api_version: String,
}

/// Writes kubeconfigs of one apiserver. They are JSON, which is YAML as well: a token
/// or an argument can't break out of it.
#[derive(Debug)]
pub(super) struct Kubeconfigs {
    directory: PathBuf,
    cluster: Value,
    admin: PathBuf,
    /// Numbers the files, so that none replaces one in use.
    written: AtomicU32,
}

impl Kubeconfigs {
    pub(super) fn new(directory: &Directory, url: &str, certificates: &Certificates) -> Result<Self, Error> {
        let cluster = json!({ "server": url, "certificate-authority": certificates.ca });
        let user = json!({
            "client-certificate": certificates.admin,
            "client-key": certificates.admin_key,
        });
        let admin = directory.path("admin.kubeconfig");
        write_private(&admin, &kubeconfig(&cluster, &user))?;
        Ok(Self { directory: directory.root().to_owned(), cluster, admin, written: AtomicU32::new(0) })
    }

    pub(super) fn admin(&self) -> &Path {
        &self.admin
    }

    pub(super) fn with_token(&self, token: &str) -> Result<PathBuf, Error> {
        self.write("token", &json!({ "token": token }))
    }

    pub(super) fn with_exec(&self, plugin: &ExecPlugin) -> Result<PathBuf, Error> {
        let env: Vec<_> =
            plugin.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let exec = json!({
            "apiVersion": plugin.api_version,
            "command": plugin.command,
            "args": plugin.args,
            "env": env,
            "interactiveMode": "Never",
        });
        self.write("exec", &json!({ "exec": exec }))
    }

    fn write(&self, kind: &str, user: &Value) -> Result<PathBuf, Error> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{kind}-{number}.kubeconfig"));
        write_private(&path, &kubeconfig(&self.cluster, user))?;
        Ok(path)
    }
}

fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let name = "arngate-lab";
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": cluster }],
        "users": [{ "name": name, "user": user }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
        "current-context": name,
    });
    format!("{content:#}\n")
}
