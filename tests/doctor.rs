//! `arngate doctor` finds what makes an installation fail, says what to do, and changes nothing.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::SystemTime,
};

use arngate_lab::sts::{Clock, Emulator, Fault, Principals};
use jiff::SignedDuration;
use serde_json::Value;
use support::{ACCOUNT, Server, Setup, arngate, text};

const MAPPINGS: &str = "  mapUsers: [{userarn: 'arn:aws:iam::111122223333:user/bob', username: bob}]\n";

/// What doctor finds, by the checks' names; where there are several of a name, the last that is not ok.
struct Found {
    code: i32,
    checks: BTreeMap<String, (String, String)>,
    text: String,
}

impl Found {
    #[track_caller]
    fn assert(&self, name: &str, status: &str, told: &str) {
        let (found, words) = self.checks.get(name).unwrap_or_else(|| panic!("{name}: {}", self.text));
        assert!(found == status && words.contains(told), "{name}: {found}, {words}");
    }

    /// The names of the checks that failed.
    fn failures(&self) -> Vec<&str> {
        self.checks.iter().filter(|(_, check)| check.0 == "fail").map(|(name, _)| name.as_str()).collect()
    }
}

/// Runs doctor for a server that stands in `folder`, on its port.
fn doctor(folder: &Path, args: &[&str], env: &[(String, String)]) -> Found {
    let run = |output: &[&str]| {
        let mut command = arngate();
        command.current_dir(folder).args(["doctor", "-c", "config.yaml", "--timeout", "30"]).args(args);
        command.envs(env.iter().map(|(key, value)| (key, value))).args(output).output().unwrap()
    };
    let output = run(&["-o", "json"]);
    let (stdout, stderr) = text(&output);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    let mut checks = BTreeMap::new();
    for check in report["checks"].as_array().unwrap() {
        let of = |key: &str| check[key].as_str().unwrap().to_owned();
        let (name, status) = (of("name"), of("status"));
        if status != "ok" || !checks.contains_key(&name) {
            checks.insert(name, (status, format!("{} -> {}", of("found"), of("advice"))));
        }
    }
    let code = output.status.code().unwrap();
    assert_eq!(report["ok"], code == 0, "{stdout}");
    Found { code, checks, text: stdout }
}

/// Where a server is, as the arguments of doctor that its folder does not tell.
struct Installation {
    server: Server,
    args: Vec<String>,
}

impl Installation {
    fn new(emulator: &Emulator, server: &str) -> Self {
        let server = Setup::new(emulator, server).start();
        let port = server.url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
        let manifest = server.path("kube-apiserver.yaml");
        fs::write(&manifest, pod(&server.path("webhook.kubeconfig"))).unwrap();
        let args = [
            "--port",
            &port,
            "--sts-connect-to",
            &emulator.address().to_string(),
            "--sts-ca-bundle",
            "sts-ca.pem",
            "--apiserver-manifest",
            manifest.to_str().unwrap(),
        ];
        Self { args: args.map(str::to_owned).to_vec(), server }
    }

    async fn examine(&self, more: &[&str]) -> Found {
        self.examine_with(more, &[]).await
    }

    /// Off the runtime's thread, on which the emulator answers.
    async fn examine_with(&self, more: &[&str], env: &[(String, String)]) -> Found {
        let folder = self.folder();
        let args: Vec<String> =
            self.args.iter().cloned().chain(more.iter().map(|arg| (*arg).to_owned())).collect();
        let env = env.to_vec();
        let run = move || doctor(&folder, &args.iter().map(String::as_str).collect::<Vec<_>>(), &env);
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.server.path("config.yaml").parent().unwrap().to_owned()
    }

    /// Every file, with its content and when it was changed.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != "log" {
                    let changed = entry.metadata().unwrap().modified().unwrap();
                    files.push((path.clone(), fs::read(&path).unwrap(), changed));
                }
            }
        }
        files.sort();
        files
    }
}

/// A kube-apiserver that reads `kubeconfig`.
fn pod(kubeconfig: &Path) -> String {
    let (folder, name) =
        (kubeconfig.parent().unwrap().display(), kubeconfig.file_name().unwrap().to_str().unwrap());
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: kube-apiserver}}
spec:
  containers:
  - name: kube-apiserver
    command: [kube-apiserver, --authentication-token-webhook-config-file=/webhook/{name}]
    volumeMounts: [{{name: webhook, mountPath: /webhook}}]
  volumes: [{{name: webhook, hostPath: {{path: {folder}}}}}]
"
    )
}

#[tokio::test]
async fn a_good_installation_passes_and_stays_as_it_is() {
    let (emulator, _) = support::emulator().await;
    let installation = Installation::new(&emulator, MAPPINGS);
    installation.server.wait_until_ready().await;
    let before = installation.files();
    let found = installation.examine(&[]).await;
    for (name, status, told) in [
        ("configuration", "ok", "valid: cluster ID test-cluster, backends MountedFile"),
        ("sts", "ok", "sts.us-east-1.amazonaws.com by way of 127.0.0.1:"),
        ("clock", "ok", "within 30 s of STS's"),
        ("api server", "skip", "no backend of these is the cluster's"),
        ("rights", "skip", "not needed"),
        ("mappings", "ok", "MountedFile (the configuration file): 1 mapped"),
        ("ec2 credentials", "skip", "not needed"),
        ("certificate", "ok", "and its key fit"),
        ("certificate names", "ok", "localhost, arngate.kube-system.svc, 127.0.0.1"),
        ("kubeconfig", "ok", "has kube-apiserver ask https://localhost:"),
        ("port", "ok", "arngate answers, and is ready"),
        ("kube-apiserver", "ok", "reads /webhook/webhook.kubeconfig, which arngate writes"),
    ] {
        found.assert(name, status, told);
    }
    assert_eq!((found.code, found.checks.len()), (0, 12), "{}", found.text);
    assert!(installation.files() == before, "nothing is changed");
    assert_eq!(emulator.calls(), 1, "STS is asked once");

    // For people: a line a check.
    let args = [
        "doctor",
        "-c",
        "config.yaml",
        "--apiserver-manifest",
        "absent.yaml",
        "--sts-connect-to",
        "127.0.0.1:1",
    ];
    let folder = installation.folder();
    let output =
        tokio::task::spawn_blocking(move || arngate().current_dir(folder).args(args).output().unwrap());
    let output = output.await.unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.starts_with("ok    configuration       valid: cluster ID test-cluster"), "{stdout}");
    assert!(
        stdout.contains("\nFAIL  sts                 sts.us-east-1.amazonaws.com by way of 127.0.0.1:1: "),
        "{stdout}"
    );
    assert!(
        stdout.contains("\n                          -> see which address its name has here"),
        "{stdout}"
    );
    assert!(stdout.contains("\nskip  kube-apiserver      there is no absent.yaml"), "{stdout}");
    assert!(stdout.ends_with("\n1 failure, 0 warnings\n"), "{stdout}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let clock = Clock::system();
    let emulator =
        Emulator::builder().principals(Principals::new()).clock(clock.clone()).start().await.unwrap();
    let installation = Installation::new(&emulator, MAPPINGS);
    for (minutes, code, status, told) in [
        (
            2,
            0,
            "warn",
            "s behind STS's: a token that is signed more than 5 min ahead is refused -> set the clock",
        ),
        (10, 1, "fail", "s behind STS's"),
        (-10, 1, "fail", "s ahead of STS's: a token counts as expired 15 min after it was signed"),
    ] {
        clock.set(jiff::Timestamp::now() + SignedDuration::from_mins(minutes));
        let found = installation.examine(&[]).await;
        found.assert("clock", status, told);
        assert_eq!(found.code, code, "{}", found.text);
    }
}

#[tokio::test]
async fn an_sts_that_is_not_reached_or_not_believed_is_told_with_what_to_do() {
    let (emulator, _) = support::emulator().await;
    let installation = Installation::new(&emulator, MAPPINGS);
    let stranger = installation.server.path("state/cert.pem");
    let found = installation.examine(&["--sts-ca-bundle", stranger.to_str().unwrap()]).await;
    found.assert(
        "sts",
        "fail",
        "its certificate is not believed: nobody who is trusted has signed it -> where a proxy",
    );
    assert_eq!((found.code, found.failures()), (1, vec!["sts"]), "{}", found.text);
    let found = installation.examine(&["--sts-connect-to", "127.0.0.1:1"]).await;
    found.assert("sts", "fail", "refused");
    found.assert("clock", "skip", "STS did not say");
    for (fault, status, told) in [
        (Fault::Hang, "fail", "no answer within 1 s"),
        (
            Fault::Body("text/html".to_owned(), "<html>log in</html>".into()),
            "fail",
            "and not as STS -> something between",
        ),
        (Fault::Redirect("https://portal.example/".to_owned()), "fail", "and not as STS"),
        (Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE), "warn", "answers, and fails (503"),
    ] {
        let seconds = if fault == Fault::Hang { "1" } else { "30" };
        emulator.faults().set(fault);
        installation.examine(&["--timeout", seconds]).await.assert("sts", status, told);
    }
}

#[tokio::test]
async fn a_port_where_nobody_or_somebody_else_answers_is_told() {
    let (emulator, _) = support::emulator().await;
    let (mut installation, other) =
        (Installation::new(&emulator, MAPPINGS), Installation::new(&emulator, MAPPINGS));
    let kubeconfig = installation.server.path("webhook.kubeconfig");
    let good = fs::read_to_string(&kubeconfig).unwrap();
    let port = |url: &str| url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let (own, others) = (port(&installation.server.url), port(&other.server.url));

    // Another server has the port that kube-apiserver asks, with another certificate.
    fs::write(&kubeconfig, good.replace(&own, &others)).unwrap();
    let found = installation.examine(&[]).await;
    found.assert("kubeconfig", "fail", "and the configuration is for");
    found.assert("port", "fail", "its certificate is not believed");

    fs::write(&kubeconfig, &good).unwrap();
    installation.server.signal("TERM");
    assert!(installation.server.wait().success());
    let found = installation.examine(&[]).await;
    found.assert("port", "fail", "Connection refused (os error 111) -> start arngate");
    assert_eq!(found.failures(), ["port"]);
}

#[tokio::test]
async fn certificate_and_kubeconfig_before_the_first_start_and_after_a_change_of_one() {
    let (emulator, _) = support::emulator().await;
    let installation = Installation::new(&emulator, MAPPINGS);
    let at = |name: &str| installation.server.path(name);
    let certificate = fs::read(at("state/cert.pem")).unwrap();
    let key = fs::read(at("state/key.pem")).unwrap();
    fs::remove_dir_all(at("state")).unwrap();
    let found = installation.examine(&[]).await;
    found.assert("certificate", "warn", "is not there yet -> arngate makes it when it first starts");
    fs::create_dir(at("state")).unwrap();

    // A certificate of aws-iam-authenticator or an older arngate: it has one name, and another key than is trusted.
    let made = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(at("state/cert.pem"), params.self_signed(&made).unwrap().pem()).unwrap();
    fs::write(at("state/key.pem"), made.serialize_pem()).unwrap();
    let found = installation.examine(&[]).await;
    found.assert("certificate", "warn", "others than its owner may use");
    found.assert("certificate names", "warn", "is for localhost, and not for arngate.kube-system.svc");
    found.assert("kubeconfig", "fail", "kube-apiserver will not believe");
    assert_eq!(found.code, 1);

    fs::write(at("state/cert.pem"), certificate).unwrap();
    let found = installation.examine(&[]).await;
    found.assert("certificate", "fail", "is not the key of cert.pem");
    fs::write(at("state/key.pem"), key).unwrap();
    fs::remove_file(at("webhook.kubeconfig")).unwrap();
    let found = installation.examine(&["--kubeconfig-pregenerated=true"]).await;
    found.assert("kubeconfig", "fail", "is not there -> kubeconfigPregenerated says");
    found.assert("port", "skip", "no kubeconfig says where it is");
}

#[tokio::test]
async fn a_configuration_that_does_not_hold_is_all_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), "clusterID: c\nserver: {backendMode: [DynamicFile]}\n")
        .unwrap();
    let found = doctor(folder.path(), &[], &[]);
    found.assert("configuration", "fail", "backend-mode names DynamicFile, but no file");
    assert_eq!((found.code, found.checks.len()), (1, 1), "{}", found.text);
}

#[tokio::test]
async fn credentials_for_ec2_are_looked_for_where_mappings_name_instances() {
    let (emulator, principals) = support::emulator().await;
    let nodes = "  mapRoles:\n  - {rolearn: 'arn:aws:iam::111122223333:role/N', username: \
                 'system:node:{{EC2PrivateDNSName}}'}\n";
    let installation = Installation::new(&emulator, nodes);
    let found = installation.examine(&[]).await;
    found.assert("ec2 credentials", "fail", "and EC2 cannot be asked: no AWS region");
    let mut env = vec![("AWS_REGION".to_owned(), "eu-central-1".to_owned())];
    let found = installation.examine_with(&[], &env).await;
    found.assert("ec2 credentials", "fail", "no AWS credentials for EC2");
    found.assert("sts", "ok", "sts.eu-central-1.amazonaws.com");
    let credentials = principals.role(ACCOUNT, "Control", "plane");
    env.extend(credentials.env());
    let found = installation.examine_with(&[], &env).await;
    found.assert("ec2 credentials", "ok", "EC2 is asked at https://ec2.eu-central-1.amazonaws.com/");
    assert_eq!(found.code, 0, "{}", found.text);
    for secret in [&credentials.secret_access_key, credentials.session_token.as_ref().unwrap()] {
        assert!(!found.text.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_not_waited_for_longer_than_said() {
    let (emulator, _) = support::emulator().await;
    let installation = Installation::new(&emulator, MAPPINGS);
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let master = format!("http://{}", silent.local_addr().unwrap());
    let args = ["--timeout", "1", "--backend-mode", "EKSConfigMap,CRD", "--master", &master];
    let found = installation.examine(&args).await;
    found.assert("api server", "fail", "nothing within 1 s");
    found.assert("rights", "skip", "the API server was not reached");
    assert!(!found.checks.contains_key("mappings"), "what is not reached is not told twice: {}", found.text);
    let args = ["--backend-mode", "EKSConfigMap"];
    let found = installation.examine(&args).await;
    found.assert("api server", "fail", "no kubeconfig given");
}
