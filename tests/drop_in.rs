//! Command lines and configuration files with which aws-iam-authenticator starts, and arngate has to as well.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{arngate, text};

/// A flag of `server` or a key of its file, the case's other half empty.
struct Case {
    args: &'static [&'static str],
    /// Lines of the file's section `server`; without any there is no file.
    server: &'static str,
    /// What arngate says of it; nothing where it is nothing to speak of.
    told: &'static str,
}

const fn args(args: &'static [&'static str], told: &'static str) -> Case {
    Case { args, server: "", told }
}

const fn server(server: &'static str, told: &'static str) -> Case {
    Case { args: &[], server, told }
}

const NO_FORMAT: &str = "is no log format";
const STRAY: &str = "belong to no flag";
const AS_FALSE: &str = "taken as false";

const CASES: &[Case] = &[
    args(&["--kubeconfig-pregenerated", "true"], STRAY),
    args(&["stray", "words"], STRAY),
    args(&["--kubeconfig-pregenerated=True"], ""),
    args(&["--kubeconfig-pregenerated=1"], ""),
    args(&["--kubeconfig-pregenerated=T"], ""),
    args(&["--kubeconfig-pregenerated=F"], ""),
    args(&["--port", "1", "--port", "0"], ""),
    args(&["--cluster-id", "d", "-i", "e"], ""),
    args(&["--kubeconfig-pregenerated", "--kubeconfig-pregenerated"], ""),
    args(&["--feature-gates", "SSORoleMatch=true", "--feature-gates", "ConfiguredInitDirectories=true"], ""),
    args(&["--feature-gates", "AllAlpha=true"], ""),
    args(&["--feature-gates", "AllBeta=true"], ""),
    args(&["-l", "JSON"], NO_FORMAT),
    args(&["-l", ""], NO_FORMAT),
    args(&["-l", "yaml"], NO_FORMAT),
    args(&["--kubeconfig="], ""),
    args(&["-c", ""], ""),
    args(&["--state-dir="], ""),
    args(&["--kubeconfig-pregenerated", "--generate-kubeconfig="], ""),
    args(&["--master", "http://127.0.0.1:1", "--backend-mode", "EKSConfigMap"], ""),
    args(&["--master", "127.0.0.1:1", "--backend-mode", "EKSConfigMap"], ""),
    args(&["--master=", "--kubeconfig", "own.kubeconfig", "--backend-mode", "EKSConfigMap"], ""),
    args(&["--address", ""], ""),
    args(&["--address", "localhost"], ""),
    args(&["--port=0x0"], ""),
    args(&["--ec2-describeInstances-qps", "0x10"], ""),
    args(&["--backend-mode", "File,MountedFile"], "older name: write MountedFile"),
    server("kubeconfigPregenerated: no", AS_FALSE),
    server("kubeconfigPregenerated: off", AS_FALSE),
    server("kubeconfigPregenerated: yes", AS_FALSE),
    server("address: localhost", ""),
    server("ec2DescribeInstancesBurst: 0x10", ""),
    server("scrubbedAccounts: ['', '1234']", "twelve digits"),
    server("reservedPrefixConfig: [{backendMode: Foo, usernamePrefixReserveList: [a]}]", "no such backend"),
    server("reservedPrefixConfig: [{usernamePrefixReserveList: [a]}]", "reserves nothing"),
    server("reservedPrefixConfig: {backendMode: CRD, usernamePrefixReserveList: a}", ""),
];

/// Its files stand in a folder of its own, beside a certificate: with one, and not without, aws-iam-authenticator starts
/// whatever the address.
fn folder(certificate: &Path, case: &Case) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for state in ["state", "."] {
        fs::create_dir_all(folder.path().join(state)).unwrap();
        for file in ["cert.pem", "key.pem"].into_iter().filter(|file| certificate.join(file).exists()) {
            fs::copy(certificate.join(file), folder.path().join(state).join(file)).unwrap();
        }
    }
    fs::write(folder.path().join("config.yaml"), format!("clusterID: c\nserver:\n  {}\n", case.server))
        .unwrap();
    let cluster = "{name: c, cluster: {server: 'http://127.0.0.1:1'}}";
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{cluster}], users: [{{name: u, user: {{}}}}]}}"
    );
    fs::write(folder.path().join("own.kubeconfig"), kubeconfig).unwrap();
    folder
}

/// Starts it until it listens, ends it, and gives what it said.
fn start(mut command: Command, folder: &Path, case: &Case) -> Result<String, String> {
    command.env("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", "c");
    for (flag, value) in [("--port", "0"), ("--state-dir", "state"), ("--generate-kubeconfig", "k.yaml")] {
        if !case.args.iter().any(|arg| arg.starts_with(flag)) {
            command.args([flag, value]);
        }
    }
    if !case.server.is_empty() {
        command.args(["-c", "config.yaml"]);
    }
    let log = folder.join("log");
    let stderr = fs::File::create(&log).unwrap();
    let child = command
        .args(case.args)
        .current_dir(folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.lines().any(|line| line.contains("listening")) {
            return Ok(said);
        }
        if child.0.try_wait().unwrap().is_some() || Instant::now() > deadline {
            return Err(fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the test of the control plane has built aws-iam-authenticator, where it has.
fn aws_iam_authenticator() -> Option<PathBuf> {
    let assets = std::env::var_os("ARNGATE_ASSETS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/control-plane"), PathBuf::from);
    let program = assets.join("bin/aws-iam-authenticator");
    program.exists().then_some(program)
}

#[test]
fn what_starts_aws_iam_authenticator_starts_arngate() {
    let made = tempfile::tempdir().unwrap();
    let init = arngate().args(["init", "-i", "c"]).current_dir(made.path()).output().unwrap();
    assert!(init.status.success(), "{}", text(&init).1);
    let theirs = aws_iam_authenticator();
    let mut failures = Vec::new();
    for case in CASES {
        let name = format!("{:?} {:?}", case.args, case.server);
        let own = folder(made.path(), case);
        let mut command = arngate();
        // aws-iam-authenticator has a fixed one, and serves without it where it is taken.
        command.args(["server", "--health-port", "0"]);
        match start(command, own.path(), case) {
            Ok(said) if said.contains(case.told) => {
                let warned =
                    ["WARN arngate::cli", "WARN arngate::config"].iter().any(|words| said.contains(words));
                if warned == case.told.is_empty() {
                    failures.push(format!("{name}: a warning is {warned}:\n{said}"));
                }
            }
            Ok(said) => failures.push(format!("{name} does not say {:?}:\n{said}", case.told)),
            Err(said) => failures.push(format!("{name} does not start:\n{said}")),
        }
        let Some(theirs) = &theirs else { continue };
        let other = folder(made.path(), case);
        let mut command = Command::new(theirs);
        command.env_clear().arg("server");
        if let Err(said) = start(command, other.path(), case) {
            failures.push(format!("{name} does not start aws-iam-authenticator:\n{said}"));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), CASES.len(), failures.join("\n\n"));
}

#[test]
fn an_empty_address_is_every_address() {
    let made = tempfile::tempdir().unwrap();
    for case in [args(&["--address="], ""), server("address: ''", "")] {
        let own = folder(made.path(), &case);
        let mut command = arngate();
        command.args(["server", "--health-port", "0"]);
        let said = start(command, own.path(), &case).unwrap();
        let line = said.lines().find(|line| line.contains("listening")).unwrap();
        assert!(line.contains("address=\"[::]:") || line.contains("address=\"0.0.0.0:"), "{line}");
    }
}

#[test]
fn an_empty_state_directory_is_the_working_directory() {
    let made = tempfile::tempdir().unwrap();
    let init = arngate().args(["init", "-i", "c"]).current_dir(made.path()).output().unwrap();
    assert!(init.status.success());
    let case = args(&["--state-dir="], "");
    let own = folder(made.path(), &case);
    fs::remove_file(own.path().join("cert.pem")).unwrap();
    let mut command = arngate();
    command.args(["server", "--health-port", "0"]);
    start(command, own.path(), &case).unwrap();
    assert!(own.path().join("cert.pem").exists(), "it is made where it is missing");
}

#[test]
fn what_stops_aws_iam_authenticator_stops_arngate() {
    for args in [
        &["--kubeconfig-pregenerated=yes"][..],
        &["--feature-gates", "Foo=true"],
        &["--port="],
        &["--partition="],
        &["--backend-mode", "MountedFile,MountedFile"],
    ] {
        let output = arngate().args(["server", "-i", "c", "--port", "0"]).args(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}: {}", text(&output).1);
    }
}
