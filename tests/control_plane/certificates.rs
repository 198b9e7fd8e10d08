//! A kube-apiserver, which reads what it trusts when it starts, goes on while certificates are renewed.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arngate_lab::{
    control_plane::{Assets, ControlPlane, Webhook, WebhookVersion},
    sts::Credentials,
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::support::{self, ACCOUNT, CLUSTER_ID, Server, Setup, token_for};

const MAPPINGS: &str = "  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: 'admin', groups: [system:masters]}
";

/// kubectl with tokens that nobody has seen before.
struct Callers {
    plane: ControlPlane,
    admin: Credentials,
    started: Timestamp,
    tokens: AtomicI64,
}

impl Callers {
    fn new(plane: ControlPlane, admin: Credentials) -> Arc<Self> {
        Arc::new(Self { plane, admin, started: Timestamp::now(), tokens: AtomicI64::new(0) })
    }

    /// `Err` with kubectl's words.
    async fn call(&self) -> Result<(), String> {
        let age = SignedDuration::from_secs(self.tokens.fetch_add(1, Ordering::Relaxed));
        let token = token_for(&self.admin, CLUSTER_ID, self.started - age);
        let kubeconfig = self.plane.kubeconfig_with_token(&token).unwrap();
        let output = self.plane.kubectl(&kubeconfig, &["auth", "whoami"]).await.unwrap();
        if output.success() && output.stdout.contains("admin") { Ok(()) } else { Err(output.stderr) }
    }
}

/// What stands in `folder` as cert.pem, with five days to go: same key, same subject to the byte.
fn about_to_end(folder: &Path, printable: bool) -> String {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("key.pem")).unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = if printable {
        DnValue::PrintableString("aws-iam-authenticator".try_into().unwrap())
    } else {
        DnValue::Utf8String("aws-iam-authenticator".to_owned())
    };
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(2016, 1, 1);
    let end = u64::try_from(Timestamp::now().as_second()).unwrap() + 5 * 24 * 3600;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    params.self_signed(&key).unwrap().pem()
}

fn webhook(kubeconfig: PathBuf) -> Webhook {
    Webhook { kubeconfig, version: WebhookVersion::V1beta1, cache_ttl: Duration::ZERO }
}

async fn until(server: &Server, words: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !server.log_text().contains(words) {
        assert!(std::time::Instant::now() < deadline, "{words}:\n{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewals_of_either_programs_certificate_fail_no_review() {
    let go = Assets::locate().unwrap().go_authenticator();
    for maker in [go.as_path(), Path::new(env!("CARGO_BIN_EXE_arngate"))] {
        let theirs = maker == go;
        let (emulator, principals) = support::emulator().await;
        let folder = tempfile::tempdir().unwrap();
        // Neither program can be told to write down which free port it would take; this one was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!("clusterID: {CLUSTER_ID}\nserver:\n  port: {port}\n");
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        let made = Command::new(maker)
            .args(["init", "-i", CLUSTER_ID, "-c", "config.yaml"])
            .current_dir(folder.path())
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let first = read("cert.pem");

        let mut server = Setup::new(&emulator, MAPPINGS)
            .arg("--state-dir", folder.path().to_str().unwrap())
            .arg("--port", &port.to_string())
            .start();
        let mut plane = ControlPlane::builder().prepare().unwrap();
        plane.set_webhook(Some(webhook(folder.path().join("aws-iam-authenticator.kubeconfig"))));
        plane.start().await.unwrap();
        let callers = Callers::new(plane, principals.role(ACCOUNT, "Admin", "alice"));
        callers.call().await.unwrap();
        assert_eq!(read("cert.pem"), first, "it is left as it is");

        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let looping = tokio::spawn({
            let (callers, stop, calls) = (Arc::clone(&callers), Arc::clone(&stop), Arc::clone(&calls));
            async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    failures.extend(callers.call().await.err());
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                failures
            }
        });
        let more_calls = async |count: usize| {
            let until = calls.load(Ordering::Relaxed) + count;
            while calls.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        more_calls(3).await;
        fs::write(folder.path().join("cert.pem"), about_to_end(folder.path(), theirs)).unwrap();
        until(&server, "renewed the certificate that kube-apiserver trusts").await;
        until(&server, "new connections get a new certificate").await;
        more_calls(3).await;
        // kube-apiserver, which trusts the first one, has to connect anew.
        tokio::task::block_in_place(|| server.restart());
        more_calls(5).await;
        stop.store(true, Ordering::Relaxed);
        let failures = looping.await.unwrap();
        println!(
            "{}: {} reviews over a renewal and a restart, {} failed",
            maker.file_name().unwrap().display(),
            calls.load(Ordering::Relaxed),
            failures.len()
        );
        assert!(failures.is_empty(), "{failures:#?}");
        assert_ne!(read("cert.pem"), first);

        // One that starts now trusts the renewed one.
        let mut callers = Arc::into_inner(callers).unwrap();
        callers.plane.set_webhook(Some(webhook(server.path("webhook.kubeconfig"))));
        callers.plane.restart_apiserver().await.unwrap();
        callers.call().await.unwrap();
        drop(server);
        callers.plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_apiserver_shows_the_certificate_that_it_was_issued() {
    let (emulator, principals) = support::emulator().await;
    let server = Setup::new(&emulator, MAPPINGS).arg("--client-certificate", "generate").start();
    let mut plane = ControlPlane::builder().prepare().unwrap();
    plane.set_webhook(Some(webhook(server.path("webhook.kubeconfig"))));
    plane.start().await.unwrap();
    let mut callers = Callers {
        plane,
        admin: principals.role(ACCOUNT, "Admin", "alice"),
        started: Timestamp::now(),
        tokens: AtomicI64::new(0),
    };
    callers.call().await.unwrap();
    assert_eq!(server.audit().last().unwrap()["reason"], "mapped");

    // One that shows none is told so, and lets nobody in.
    let text = fs::read_to_string(server.path("webhook.kubeconfig")).unwrap();
    let bare: String = text
        .lines()
        .filter(|line| !line.contains("client-") && line.trim() != "user:")
        .fold(String::new(), |text, line| text + line + "\n");
    let kubeconfig = server.path("bare.kubeconfig");
    fs::write(&kubeconfig, bare).unwrap();
    callers.plane.set_webhook(Some(webhook(kubeconfig)));
    callers.plane.restart_apiserver().await.unwrap();
    let before = server.audit().len();
    callers.call().await.unwrap_err();
    assert_eq!(server.audit().len(), before, "nobody was looked at");
    let log = fs::read_to_string(callers.plane.apiserver_log()).unwrap();
    assert!(log.contains("a client certificate is wanted here"), "kube-apiserver says why");
    callers.plane.stop().await;
}
