//! A pod, run as a kubelet would run it: its volumes at their places, its containers by their command lines, users and
//! capabilities, in a file system of their own, with a service account's token and the API server's address.
//!
//! What takes a container runtime is left out: name spaces, seccomp, limits. The port is any free one, and STS is the
//! emulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use arngate_lab::{control_plane::ControlPlane, sts::Emulator};
use serde_json::{Value, json};

use crate::{
    crd::{kubectl, until},
    support::{Answer, post},
};

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The port that the manifests name; what is run takes a free one in its place.
const PORT: u64 = 21362;

/// A node: the file system that containers see, their host paths included.
pub(crate) struct Node {
    root: tempfile::TempDir,
    secrets: BTreeMap<String, Vec<(String, String)>>,
    env: Vec<(String, String)>,
    sts: String,
    state: &'static str,
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn make_folder(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).unwrap();
}

/// The shared libraries that a program is started with; none where it is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

impl Node {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let node = Self {
            root,
            secrets: BTreeMap::new(),
            env: Vec::new(),
            sts: emulator.address().to_string(),
            state: "/var/aws-iam-authenticator",
        };
        let program = Path::new(env!("CARGO_BIN_EXE_arngate"));
        fs::copy(program, node.path("/arngate")).unwrap();
        for library in libraries(program) {
            let there = node.path(library.to_str().unwrap());
            make_folder(there.parent().unwrap());
            fs::copy(library, there).unwrap();
        }
        emulator.write_ca(&node.path("/sts-ca.pem")).unwrap();
        fs::set_permissions(node.path("/sts-ca.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        node
    }

    /// With the server's state elsewhere.
    pub(crate) fn with_state(mut self, folder: &'static str) -> Self {
        self.state = folder;
        self
    }

    /// Where one of its files is for us.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// Puts a file there, as root's.
    pub(crate) fn write(&self, inside: &str, content: &str) {
        let path = self.path(inside);
        make_folder(path.parent().unwrap());
        fs::write(path, content).unwrap();
    }

    /// Puts a file there that its owner alone may read, as `install -o 10000 -m 0400` does.
    pub(crate) fn write_for(&self, user: u32, inside: &str, content: &str) {
        self.write(inside, content);
        fs::set_permissions(self.path(inside), fs::Permissions::from_mode(0o400)).unwrap();
        if is_root() {
            chown(self.path(inside), Some(user), Some(user)).unwrap();
        }
    }

    /// A Secret of the cluster.
    pub(crate) fn add_secret(&mut self, name: &str, content: &[(&str, String)]) {
        let content = content.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.secrets.insert(name.to_owned(), content);
    }

    /// What a kubelet gives a pod with the service account arngate.
    pub(crate) async fn add_service_account(&mut self, plane: &ControlPlane) {
        let token = kubectl(plane, &["create", "token", "arngate", "-n", "kube-system"]).await;
        self.write(&format!("{SERVICE_ACCOUNT}/token"), token.trim());
        self.write(&format!("{SERVICE_ACCOUNT}/namespace"), "kube-system");
        self.write(&format!("{SERVICE_ACCOUNT}/ca.crt"), &fs::read_to_string(plane.ca_file()).unwrap());
        let (host, port) = plane.url().trim_start_matches("https://").split_once(':').unwrap();
        self.env = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    }

    /// Runs the pod's init containers, and starts its container; `objects` has its `ConfigMap`s.
    pub(crate) async fn start(self, pod: &Value, objects: &[Value]) -> Running {
        for volume in list(&pod["volumes"]) {
            self.mount(pod, volume, objects);
        }
        let before = self.outside_of_volumes(pod);
        for container in list(&pod["initContainers"]) {
            let output = self.command(pod, container).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {stderr}", container["name"]);
        }
        let container = &pod["containers"][0];
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        let log = self.root.path().with_extension("log");
        let mut command = self.command(pod, container);
        command.args(["--port", "0", "--health-port", "0"]);
        command.args(["--sts-connect-to", &self.sts, "--sts-ca-bundle", "/sts-ca.pem"]);
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let mut running =
            Running { child, log, url: String::new(), container: container.clone(), node: self };
        running.wait_until_it_listens().await;
        assert_eq!(
            running.node.outside_of_volumes(pod),
            before,
            "nothing is written to the root file system"
        );
        running
    }

    fn mount(&self, pod: &Value, volume: &Value, objects: &[Value]) {
        let name = &volume["name"];
        let containers = list(&pod["initContainers"]).iter().chain(list(&pod["containers"]));
        let places: BTreeSet<&str> = containers
            .flat_map(|container| list(&container["volumeMounts"]))
            .filter(|mount| mount["name"] == *name)
            .map(|mount| mount["mountPath"].as_str().unwrap())
            .collect();
        let [place] = places.into_iter().collect::<Vec<_>>()[..] else { panic!("{name} has one place") };
        if let Some(path) = volume["hostPath"]["path"].as_str() {
            assert_eq!(path, place, "{name}: a path of the node is the same in the pod");
            match volume["hostPath"]["type"].as_str() {
                // The kubelet makes it as root's own.
                Some("DirectoryOrCreate") => make_folder(&self.path(path)),
                Some("Directory") => assert!(self.path(path).is_dir(), "{path} must be there"),
                Some("File") => assert!(self.path(path).is_file(), "{path} must be there"),
                other => panic!("{name}: {other:?}"),
            }
        } else if let Some(wanted) = volume["configMap"]["name"].as_str() {
            let is_it =
                |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == wanted;
            let object = objects.iter().find(is_it).unwrap_or_else(|| panic!("no ConfigMap {wanted}"));
            for (file, content) in object["data"].as_object().unwrap() {
                self.write(&format!("{place}/{file}"), content.as_str().unwrap());
            }
        } else if let Some(wanted) = volume["secret"]["secretName"].as_str() {
            let mode = u32::try_from(volume["secret"]["defaultMode"].as_u64().unwrap()).unwrap();
            for (file, content) in &self.secrets[wanted] {
                let inside = format!("{place}/{file}");
                self.write(&inside, content);
                fs::set_permissions(self.path(&inside), fs::Permissions::from_mode(mode)).unwrap();
                if is_root() {
                    let group = id(&pod["securityContext"], "fsGroup");
                    chown(self.path(&inside), Some(0), Some(group)).unwrap();
                }
            }
        } else {
            panic!("{name} is a volume of a kind that is not known here");
        }
    }

    /// The container's process, with the rights that its security context leaves it.
    fn command(&self, pod: &Value, container: &Value) -> Command {
        let (context, of_pod) = (&container["securityContext"], &pod["securityContext"]);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        let user = |key: &str| id(if context[key].is_null() { of_pod } else { context }, key);
        let (uid, gid) = (user("runAsUser"), user("runAsGroup"));
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            // It takes rights to become somebody else in another root; they go with the user, and root keeps but the
            // right to change its root once more.
            let mut kept = "-all,+sys_chroot".to_owned();
            for capability in list(&context["capabilities"]["add"]) {
                kept.push_str(",+");
                kept.push_str(&capability.as_str().unwrap().to_lowercase());
            }
            if uid != 0 {
                kept += ",+setuid,+setgid";
            }
            command.args([
                "--no-new-privs",
                "--clear-groups",
                "--bounding-set",
                &kept,
                "--inh-caps=-all",
                "chroot",
            ]);
            if uid != 0 {
                command.args([format!("--userspec={uid}:{gid}"), format!("--groups={gid}")]);
            }
            command
        } else {
            // Root within a name space of its own: it is whoever it is, and may write what is ours.
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "chroot"]);
            command
        };
        command.arg(self.root.path()).arg("/arngate");
        command.args(list(&container["args"]).iter().map(|arg| arg.as_str().unwrap()));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// The files that are on no volume.
    fn outside_of_volumes(&self, pod: &Value) -> BTreeSet<PathBuf> {
        let containers = list(&pod["containers"]);
        let mounts: Vec<PathBuf> = containers
            .iter()
            .flat_map(|container| list(&container["volumeMounts"]))
            .map(|mount| self.path(mount["mountPath"].as_str().unwrap()))
            .collect();
        let mut found = BTreeSet::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if mounts.iter().any(|mount| path.starts_with(mount)) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path);
            }
        }
        found
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn id(context: &Value, key: &str) -> u32 {
    u32::try_from(context[key].as_u64().unwrap_or_else(|| panic!("no {key}"))).unwrap()
}

/// A pod's container. It is ended when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    url: String,
    container: Value,
    node: Node,
}

impl Running {
    async fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.url.is_empty() {
            let log = fs::read_to_string(&self.log).unwrap();
            let url = |line: &str| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == "listening").then(|| line["url"].as_str().map(str::to_owned))?
            };
            self.url = log.lines().find_map(url).unwrap_or_default();
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// `https://localhost:PORT/authenticate`, or with the name that its certificate was made for.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client that believes its certificate, and finds it whatever its name is.
    fn client(&self) -> reqwest::Client {
        let pem = fs::read(self.node.path(self.node.state).join("cert.pem")).unwrap();
        let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([certificate])
            // The kubelet does not look at a probe's certificate.
            .tls_danger_accept_invalid_hostnames(true)
            .no_proxy()
            .build()
            .unwrap()
    }

    pub(crate) async fn review(&self, token: &str) -> Answer {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        post(&self.client(), &self.url, &body).await
    }

    /// Asks as the container's probes do, until both say yes.
    pub(crate) async fn assert_probes_succeed(&self) {
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            let http = &self.container[probe]["httpGet"];
            let ports = list(&self.container["ports"]);
            let named = ports.iter().find(|port| port["name"] == http["port"]);
            let port = named.map_or(&http["port"], |port| &port["containerPort"]);
            assert_eq!((port.as_u64(), http["scheme"].as_str()), (Some(PORT), Some("HTTPS")), "{probe}");
            assert_eq!(http["path"], path);
            let url = self.url.replace("/authenticate", path);
            let client = self.client();
            until(probe, Duration::from_secs(20), async || {
                client.get(&url).send().await.unwrap().status().is_success()
            })
            .await;
        }
    }

    /// Its state is its user's, the `further` files of an earlier program included.
    pub(crate) fn assert_files_are_its_own(&self, further: &[&str]) {
        if !is_root() {
            return;
        }
        let state = self.node.state;
        let made = [state, "/etc/kubernetes/aws-iam-authenticator"].map(str::to_owned);
        let files = ["cert.pem", "key.pem"].map(|name| format!("{state}/{name}"));
        let further = further.iter().map(|path| (*path).to_owned());
        for path in made.into_iter().chain(files).chain(further) {
            let there = fs::metadata(self.node.path(&path)).unwrap();
            assert_eq!((there.uid(), there.gid()), (10000, 10000), "{path}");
        }
        assert_eq!(fs::metadata(self.node.path("/")).unwrap().uid(), 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}
