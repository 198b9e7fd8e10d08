//! A cluster on aws-iam-authenticator changes to arngate, and back, under a loop of kubectl calls.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arngate_lab::control_plane::{ControlPlane, Webhook, WebhookVersion};
use jiff::{SignedDuration, Timestamp};

use crate::{
    support::{self, ACCOUNT, CLUSTER_ID, Setup, token, token_for},
    theirs::Theirs,
};

const MAPPINGS: &str = "  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: admin, groups: [system:masters]}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_changes_hands_without_a_failed_call() {
    let (emulator, principals) = support::emulator().await;
    let admin = principals.role(ACCOUNT, "Admin", "alice");
    let folder = tempfile::tempdir().unwrap();
    // The Go program cannot say which free port it took; this one was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut plane = ControlPlane::builder().prepare().unwrap();
    let kubeconfig = plane.admin_kubeconfig().to_owned();
    let config = format!("clusterID: {CLUSTER_ID}\nserver:\n{MAPPINGS}");
    let start_theirs =
        |plane: &ControlPlane| Theirs::start(plane, &emulator, &config, folder.path(), &kubeconfig, port);

    let theirs = start_theirs(&plane);
    let webhook = folder.path().join("theirs.kubeconfig");
    plane.set_webhook(Some(Webhook {
        kubeconfig: webhook.clone(),
        version: WebhookVersion::V1beta1,
        // kube-apiserver's default.
        cache_ttl: Duration::from_mins(2),
    }));
    plane.start().await.unwrap();
    let files = || {
        ["cert.pem", "key.pem", "theirs.kubeconfig"].map(|name| fs::read(folder.path().join(name)).unwrap())
    };
    let theirs_files = files();

    // kubectl keeps a token for 14 minutes: the loop has one, as people have.
    let plane = Arc::new(plane);
    let user = plane.kubeconfig_with_token(&token(&admin)).unwrap();
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let looping = tokio::spawn({
        let (plane, stop, calls) = (Arc::clone(&plane), Arc::clone(&stop), Arc::clone(&calls));
        async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let output = plane.kubectl(&user, &["get", "namespaces"]).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
                if !output.success() {
                    failures.push(output.stderr);
                }
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
    // A token that kube-apiserver has not seen: the webhook has to be asked.
    let new_client = async |age: i64| {
        let token = token_for(&admin, CLUSTER_ID, Timestamp::now() - SignedDuration::from_secs(age));
        let kubeconfig = plane.kubeconfig_with_token(&token).unwrap();
        plane.kubectl(&kubeconfig, &["auth", "whoami"]).await.unwrap()
    };
    more_calls(5).await;
    assert!(new_client(60).await.success());

    drop(theirs);
    let ours = Setup::new(&emulator, MAPPINGS)
        .arg("--state-dir", folder.path().to_str().unwrap())
        .arg("--generate-kubeconfig", webhook.to_str().unwrap())
        .arg("--port", &port.to_string())
        .start();
    more_calls(10).await;
    let output = new_client(120).await;
    assert!(output.success() && output.stdout.contains("admin"), "{}", output.stderr);
    assert_eq!(ours.audit().last().unwrap()["reason"], "mapped", "arngate was asked");
    assert_eq!(files()[..2], theirs_files[..2], "certificate and key are theirs still");

    drop(ours);
    let theirs = start_theirs(&plane);
    more_calls(10).await;
    let output = new_client(180).await;
    assert!(output.success(), "{}", output.stderr);

    stop.store(true, Ordering::Relaxed);
    let failures = looping.await.unwrap();
    println!(
        "{} calls of kubectl over two changes, {} failed",
        calls.load(Ordering::Relaxed),
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
    drop(theirs);
}
