//! The examples of README.md and docs/aws-auth.md do what is said of them, as they stand there.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use arngate_lab::sts::Credentials;

use crate::{
    cluster::{Cluster, VERSIONS},
    edits::until,
    support::{ACCOUNT, REGION, text},
};

/// A shell with `arngate` and `kubectl`, the cluster's administrator's kubeconfig, and somebody's AWS credentials.
struct Shell<'c> {
    cluster: &'c Cluster,
    folder: PathBuf,
    credentials: Credentials,
}

impl<'c> Shell<'c> {
    fn new(cluster: &'c Cluster, credentials: Credentials) -> Self {
        let folder = cluster.control_plane.directory().join("desk");
        fs::create_dir(&folder).unwrap();
        symlink(env!("CARGO_BIN_EXE_arngate"), folder.join("arngate")).unwrap();
        symlink(cluster.control_plane.assets().kubectl(), folder.join("kubectl")).unwrap();
        Self { cluster, folder, credentials }
    }

    /// Runs a script that says yes to what it is asked; its exit code, and what it writes, stdout first.
    async fn run(&self, script: &str) -> (i32, String) {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(&self.folder).env_clear();
        command.env("PATH", format!("{}:{path}", self.folder.display())).env("HOME", &self.folder);
        command.env("KUBECONFIG", self.cluster.control_plane.admin_kubeconfig()).env("AWS_REGION", REGION);
        command.envs(self.cluster.emulator.client_env()).envs(self.credentials.env());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = move || {
            let mut child = command.spawn().unwrap();
            // It may end without reading it.
            let _ = child.stdin.take().unwrap().write_all(b"y\n");
            child.wait_with_output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let (stdout, stderr) = text(&output);
        (output.status.code().unwrap(), format!("{stdout}{stderr}"))
    }

    /// Runs a script that has to succeed.
    async fn done(&self, script: &str) -> String {
        let (code, told) = self.run(script).await;
        assert_eq!(code, 0, "{script}: {told}");
        println!("$ {script}\n{told}");
        told
    }
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The indented block whose first line begins so.
fn block(document: &str, first: &str) -> String {
    let mut lines = document.lines().skip_while(|line| !line.trim_start().starts_with(first)).peekable();
    let indent = lines.peek().map(|line| line.len() - line.trim_start().len()).unwrap();
    assert!(indent >= 4, "{first} begins no block");
    lines
        .map_while(|line| line.get(..indent)?.trim().is_empty().then(|| format!("{}\n", &line[indent..])))
        .collect()
}

/// The code within a paragraph that begins so, in one line.
fn inline(document: &str, first: &str) -> String {
    let (_, rest) = document.split_once(&format!("`{first}")).unwrap();
    let (rest, _) = rest.split_once('`').unwrap();
    format!("{first}{rest}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_examples_work_as_written() {
    let readme = document("README.md");
    let cluster = Cluster::start(VERSIONS[0]).await;
    let admin = cluster.principals.role(ACCOUNT, "Admin", "alice");
    let shell = Shell::new(&cluster, admin.clone());
    shell.done("kubectl delete -n kube-system configmap/aws-auth").await;
    until(&cluster, &admin, false, Instant::now()).await;

    fs::write(shell.folder.join("config.yaml"), block(&readme, "clusterID: my-cluster")).unwrap();
    let shown = shell.done("arngate config show -c config.yaml").await;
    assert!(shown.contains("my-cluster") && shown.contains("EKSConfigMap"), "{shown}");

    shell.done(&block(&readme, "kubectl apply -f - <<'YAML'")).await;
    until(&cluster, &admin, true, Instant::now()).await;
    let me = cluster.whoami(&cluster.fresh_token(&admin)).await.unwrap();
    assert_eq!(me["username"], "admin:alice");
    let explained = shell.done("arngate explain arn:aws:iam::111122223333:role/Admin").await;
    assert!(explained.contains("groups: system:masters"), "{explained}");

    // Or by command: the entry is there already, which is told; where it is not, it is added.
    let add = inline(&readme, "arngate add role --rolearn");
    let (code, told) = shell.run(&add).await;
    assert!(code == 1 && told.contains("already, in entry 1"), "{told}");
    shell.done("arngate delete iamidentitymapping --arn arn:aws:iam::111122223333:role/Admin").await;
    until(&cluster, &admin, false, Instant::now()).await;
    assert!(shell.done(&add).await.contains("is written"), "it is asked, and said yes to");
    until(&cluster, &admin, true, Instant::now()).await;
    assert_eq!(cluster.whoami(&cluster.fresh_token(&admin)).await.unwrap()["username"], "admin");
    shell.done("arngate undo").await;
    until(&cluster, &admin, false, Instant::now()).await;

    // Or an object for each principal.
    shell.done(&inline(&readme, "arngate crd | kubectl apply -f -")).await;
    shell
        .done("kubectl wait --for=condition=Established crd/iamidentitymappings.iamauthenticator.k8s.aws")
        .await;
    fs::write(
        shell.folder.join("admin.yaml"),
        block(&readme, "apiVersion: iamauthenticator.k8s.aws/v1alpha1"),
    )
    .unwrap();
    shell.done("kubectl apply -f admin.yaml").await;
    let arn = shell.done("kubectl get iamidentitymapping admin -o jsonpath={.spec.arn}").await;
    assert_eq!(arn, "arn:aws:iam::111122223333:role/Admin");

    let verified = shell.done(&inline(&readme, "arngate token -i my-cluster --token-only |")).await;
    assert!(verified.contains("arn:aws:sts::111122223333:assumed-role/Admin/alice"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_docs_aws_auth_work_as_written() {
    let page = document("docs/aws-auth.md");
    let cluster = Cluster::start(VERSIONS[0]).await;
    let shell = Shell::new(&cluster, cluster.principals.user(ACCOUNT, "deployer"));
    let manifest = block(&document("README.md"), "kubectl apply -f - <<'YAML'");
    let (_, manifest) = manifest.split_once('\n').unwrap();
    fs::write(shell.folder.join("aws-auth.yaml"), manifest.strip_suffix("YAML\n").unwrap()).unwrap();
    let at_the_desk = block(&page, "arngate lint aws-auth.yaml");
    let lines: Vec<&str> = at_the_desk.lines().collect();
    let told = [
        (0, "0 errors, 0 warnings; 1 mapping"),
        (0, "0 errors"),
        (0, ""),
        (3, "bob"),
        (0, "groups: system:masters"),
    ];
    assert_eq!(lines.len(), told.len());
    for (line, (code, part)) in lines.into_iter().zip(told) {
        let (found, output) = shell.run(line).await;
        println!("$ {line}\n{output}");
        assert!(found == code && output.contains(part), "{line}: {found}: {output}");
    }

    shell.done("kubectl create namespace jobs").await;
    let before = shell.done("kubectl get -n kube-system cm/aws-auth -o jsonpath={.data}").await;
    let ops = cluster.principals.role(ACCOUNT, "Ops", "session");
    let emr = cluster.principals.role(ACCOUNT, "AWSServiceRoleForAmazonEMRContainers", "session");
    let editing = block(&page, "arngate get iamidentitymapping");
    assert_eq!(editing.lines().count(), 5);
    for line in editing.lines() {
        let told = shell.done(line).await;
        assert!(told.contains("ARN ") || told.contains("is written"), "{line}: {told}");
    }
    // The last edit, which took Ops away, is taken back.
    for credentials in [&ops, &emr] {
        until(&cluster, credentials, true, Instant::now()).await;
    }
    shell.done("arngate undo && arngate delete iamidentitymapping --arn arn:aws:iam::111122223333:role/AWSServiceRoleForAmazonEMRContainers").await;
    assert_eq!(shell.done("kubectl get -n kube-system cm/aws-auth -o jsonpath={.data}").await, before);
    let take_back = inline(&page, "kubectl delete -n NAMESPACE").replace("NAMESPACE", "jobs");
    assert_eq!(shell.done(&take_back).await.matches("deleted").count(), 2);
}
