//! Start, files, health, and the end.

mod support;

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use arngate_lab::sts::Fault;
use support::{ACCOUNT, Setup, emulator, token};

const ACCOUNT_MAPPED: &str = "  mapAccounts: ['111122223333']\n";

#[tokio::test]
async fn the_first_start_makes_certificate_and_kubeconfig_and_the_next_one_keeps_them() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
    let mode = |name: &str| std::fs::metadata(server.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state/key.pem"), 0o600);
    assert_eq!(mode("webhook.kubeconfig"), 0o644);
    let kubeconfig = std::fs::read_to_string(server.path("webhook.kubeconfig")).unwrap();
    assert!(kubeconfig.contains(&format!("server: {}", server.url)), "{kubeconfig}");
    let certificate = std::fs::read_to_string(server.path("state/cert.pem")).unwrap();

    server.restart();
    assert_eq!(std::fs::read_to_string(server.path("state/cert.pem")).unwrap(), certificate);
    assert_eq!(std::fs::read_to_string(server.path("webhook.kubeconfig")).unwrap(), kubeconfig);
    server.review(&token(&bob)).await.user();
}

#[tokio::test]
async fn health_is_served_beside_the_webhook_and_on_a_port_of_its_own() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let health = plain.get(&server.health).send().await.unwrap();
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "ok"));
    for path in ["", "livez", "metrics"] {
        let health = plain.get(server.health.replace("healthz", path)).send().await.unwrap();
        assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "ok"), "/{path}");
    }
    let ready =
        "[+]MountedFile ok: 0 mappings, 0 entries invalid, 0 mappings kept, 0 errors, 0 warnings\nok\n";
    for (path, text) in [("/healthz", "ok"), ("/readyz", ready)] {
        let answer = server.client().get(server.at(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, text));
    }
}

#[tokio::test]
async fn before_aws_auth_has_loaded_nobody_is_denied_and_nobody_is_let_in() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let setup = Setup::new(
        &emulator,
        "  backendMode: [EKSConfigMap, MountedFile]\n  mapAccounts: ['111122223333']\n",
    );
    // A kubeconfig for an API server that is not there.
    let kubeconfig = setup.path("kubeconfig");
    std::fs::write(
        &kubeconfig,
        r#"{"apiVersion":"v1","kind":"Config","current-context":"x","users":[{"name":"x","user":{}}],
            "clusters":[{"name":"x","cluster":{"server":"http://127.0.0.1:1"}}],
            "contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}"#,
    )
    .unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap().to_owned();
    let server = setup.arg("--kubeconfig", &kubeconfig).start();
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let text = ready.text().await.unwrap();
    assert!(text.contains("[-]EKSConfigMap") && text.contains("[+]MountedFile ok"), "{text}");
    assert_eq!(server.client().get(server.at("/healthz")).send().await.unwrap().status(), 200);
    server.review(&token(&bob)).await.assert_no_verdict(503);
    server.review("garbage").await.assert_final_denial();
    assert!(server.metrics().await.contains(r#"backend_loaded{backend="EKSConfigMap"} 0"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn term_and_int_finish_the_reviews_under_way() {
    for signal in ["TERM", "INT"] {
        let (emulator, principals) = emulator().await;
        let bob = principals.user(ACCOUNT, "bob");
        let mut server = Setup::new(&emulator, ACCOUNT_MAPPED).start();
        emulator.faults().set(Fault::Delay(Duration::from_millis(700)));
        let token = token(&bob);
        let (client, url) = (server.client(), server.url.clone());
        let review = tokio::spawn(async move {
            let body = serde_json::json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
            });
            support::post(&client, &url, &body).await
        });
        // It is under way once STS has been asked.
        while emulator.calls() == 0 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let asked = Instant::now();
        server.signal(signal);
        let status = tokio::task::block_in_place(|| server.wait());
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{signal}: {:?}", asked.elapsed());
        review.await.unwrap().user();
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let output = support::arngate()
        .args(["server", "-i", "c", "--port", &port.to_string(), "--state-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let (_, stderr) = support::text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{stderr}");
}

#[tokio::test]
async fn a_taken_health_port_does_not_keep_it_from_serving() {
    let (emulator, _) = emulator().await;
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let server = Setup::new(&emulator, "").arg("--health-port", &port).start();
    server.review("garbage").await.assert_final_denial();
    assert!(server.log_text().contains("cannot listen for health checks"));
}

#[tokio::test]
async fn it_goes_on_when_nobody_takes_its_log_lines_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = support::arngate()
        .args(["server", "-i", "c", "--port", "0", "--health-port", "0", "-l", "json", "--state-dir"])
        .arg(folder.path())
        .arg("--generate-kubeconfig")
        .arg(folder.path().join("kubeconfig"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let listening = std::io::BufRead::lines(stderr)
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
        .find(|line| line["message"] == "listening")
        .unwrap();
    // The reader is gone now, and with it the pipe's other end.
    let pem = std::fs::read(folder.path().join("cert.pem")).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    let review = serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "garbage"},
    });
    for _ in 0..3 {
        support::post(&client, listening["url"].as_str().unwrap(), &review).await.assert_final_denial();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
