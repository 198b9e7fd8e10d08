//! Certificates that change on disk while the server runs, and clients that have to show one.

mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use support::{ACCOUNT, Server, Setup, emulator, post, token};

const MAPPED: &str = "  mapAccounts: ['111122223333']\n";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM.
fn issue(authority: &Authority, names: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn client(authority: &Authority) -> (String, String) {
    issue(authority, &[], ExtendedKeyUsagePurpose::ClientAuth)
}

fn review(token: &str) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}})
}

/// A client that trusts `authority`, and shows `identity`.
fn trusting(authority: &str, identity: Option<&(String, String)>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let builder =
        reqwest::Client::builder().tls_certs_only([root]).no_proxy().timeout(Duration::from_secs(30));
    match identity {
        None => builder,
        Some((certificate, key)) => {
            let pem = format!("{certificate}{key}");
            builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        }
    }
    .build()
    .unwrap()
}

async fn until(what: &str, server: &Server, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}:\n{}", server.log_text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn asked(client: &reqwest::Client, server: &Server, path: &str) -> Option<u16> {
    client.get(server.at(path)).send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn files_that_change_are_loaded_and_connections_that_there_are_stay() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, MAPPED).start();
    let (before, kubeconfig) = (server.client(), fs::read(server.path("webhook.kubeconfig")).unwrap());
    post(&before, &server.url, &review(&token(&bob))).await.user();

    let authority = authority("corporate");
    let (certificate, key) = issue(&authority, &["localhost"], ExtendedKeyUsagePurpose::ServerAuth);
    let after = trusting(&authority.pem(), None);
    assert_eq!(asked(&after, &server, "/healthz").await, None, "it is not trusted yet");
    // In place, one after the other, as people do.
    fs::write(server.path("state/key.pem"), key).unwrap();
    fs::write(server.path("state/cert.pem"), certificate + &authority.pem()).unwrap();
    until("it is not loaded", &server, async || asked(&after, &server, "/healthz").await == Some(200)).await;

    post(&before, &server.url, &review(&token(&bob))).await.user();
    post(&after, &server.url, &review(&token(&bob))).await.user();
    let metrics = after.get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"certificate_loads_total{result="loaded"} 1"#), "{metrics}");
    assert!(!metrics.contains(r#"certificate="authority""#), "it issues nothing any more: {metrics}");
    let log = server.log_text();
    assert!(log.contains("kube-apiserver must be restarted"), "{log}");
    assert!(log.contains("arngate.kube-system.svc"), "it lacks the admission webhook's name: {log}");
    assert_ne!(fs::read(server.path("webhook.kubeconfig")).unwrap(), kubeconfig);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_what_was_loaded() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let client = server.client();
    let good = fs::read(server.path("state/cert.pem")).unwrap();
    for (content, words) in [
        (b"nonsense".to_vec(), "holds no certificate"),
        (
            issue(&authority("x"), &["localhost"], ExtendedKeyUsagePurpose::ServerAuth).0.into_bytes(),
            "cannot be used together",
        ),
    ] {
        fs::write(server.path("state/cert.pem"), content).unwrap();
        until(words, &server, async || server.log_text().contains(words)).await;
        let fresh = trusting(&String::from_utf8(good.clone()).unwrap(), None);
        assert_eq!(asked(&fresh, &server, "/healthz").await, Some(200), "{words}");
    }
    let metrics = client.get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"certificate_loads_total{result="failed"} 2"#), "{metrics}");
}

#[tokio::test]
async fn what_ends_soon_and_what_lacks_a_name_is_told_at_the_start() {
    let (emulator, _) = emulator().await;
    let setup = Setup::new(&emulator, "");
    let state = setup.path("state");
    fs::create_dir(&state).unwrap();
    let mut params = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let end = now + 7 * 24 * 3600;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    let key = KeyPair::generate().unwrap();
    fs::write(state.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(state.join("key.pem"), key.serialize_pem()).unwrap();
    let server = setup.start();
    let log = server.log_text();
    for words in ["a certificate ends soon", "not for the host name", "arngate.kube-system.svc", "elsewhere"]
    {
        assert_eq!(log.contains(words), words != "elsewhere", "{words}: {log}");
    }
    let insecure =
        reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    let metrics = insecure.get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = format!(r#"certificate_expiry_timestamp_seconds{{certificate="serving"}} {end}"#);
    assert!(metrics.contains(&line), "{metrics}");
}

/// The certificate and key that a kubeconfig carries.
fn carried(kubeconfig: &Path) -> (String, String) {
    use base64::Engine;
    let text = fs::read_to_string(kubeconfig).unwrap();
    let of = |key: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap().trim();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value).unwrap()).unwrap()
    };
    (of("client-certificate-data:"), of("client-key-data:"))
}

#[tokio::test]
async fn with_a_generated_client_certificate_reviews_are_kube_apiservers_alone() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut server = Setup::new(&emulator, MAPPED).arg("--client-certificate", "generate").start();
    let kubeconfig = server.path("webhook.kubeconfig");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&kubeconfig).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds a key");
    let identity = carried(&kubeconfig);
    let trusted = fs::read_to_string(server.path("state/cert.pem")).unwrap();

    let kube_apiserver = trusting(&trusted, Some(&identity));
    post(&kube_apiserver, &server.url, &review(&token(&bob))).await.user();
    let refused = post(&server.client(), &server.url, &review(&token(&bob))).await;
    assert_eq!((refused.code, &refused.body["kind"]), (401, &json!("Status")), "{refused:?}");
    let stranger = trusting(&trusted, Some(&client(&authority("a CA elsewhere"))));
    // Whoever shows none that the server asks for shows none: rustls and Go keep it back.
    if let Ok(answer) = stranger.post(&server.url).body("{}").send().await {
        assert_eq!(answer.status(), 401);
    }
    // What kubelet, Prometheus and the API server's admission ask has none to show.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(asked(&server.client(), &server, path).await, Some(200), "{path}");
    }
    let edit = post(&server.client(), &server.at("/validate/aws-auth"), &json!({})).await;
    assert_ne!(edit.code, 401, "{edit:?}");
    assert!(server.metrics().await.contains(r#"reason="no_client_certificate"} "#));
    assert!(server.audit().iter().all(|record| record["reason"] == "mapped"), "nobody else was looked at");
    let key = identity.1.lines().nth(1).unwrap();
    assert!(!server.log_text().contains(key));

    server.restart();
    assert_eq!(carried(&kubeconfig), identity, "a kube-apiserver that runs has this one");
    let kube_apiserver = trusting(&trusted, Some(&identity));
    post(&kube_apiserver, &server.url, &review(&token(&bob))).await.user();
}

#[tokio::test]
async fn with_a_ca_file_its_clients_alone_are_answered_and_a_new_ca_counts_at_once() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let (first, second) = (authority("first"), authority("second"));
    let [old, new] = [&first, &second].map(client);
    let setup = Setup::new(&emulator, MAPPED);
    let file = |name: &str, content: &str| {
        let path = setup.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, certificate, key) = (file("ca", &first.pem()), file("c", &old.0), file("k", &old.1));
    let server = setup
        .arg("--client-ca-file", &ca)
        .arg("--client-certificate", &certificate)
        .arg("--client-key", &key)
        .start();
    let trusted = fs::read_to_string(server.path("state/cert.pem")).unwrap();
    assert_eq!(carried(&server.path("webhook.kubeconfig")), old);
    post(&trusting(&trusted, Some(&old)), &server.url, &review(&token(&bob))).await.user();
    let as_new = async || {
        let sent = trusting(&trusted, Some(&new)).post(&server.url).body(review("garbage").to_string());
        sent.header("content-type", "application/json")
            .send()
            .await
            .ok()
            .map(|answer| answer.status().as_u16())
    };
    assert_ne!(as_new().await, Some(200));

    for (path, content) in [(&certificate, &new.0), (&key, &new.1), (&ca, &second.pem())] {
        fs::write(path, content).unwrap();
    }
    until("the new CA is not loaded", &server, async || as_new().await == Some(200)).await;
    let gone = trusting(&trusted, Some(&old)).post(&server.url).body(review(&token(&bob)).to_string());
    let gone = gone.header("content-type", "application/json").send().await;
    assert!(gone.is_err() || gone.is_ok_and(|answer| answer.status() == 401), "the old one counts no more");
    // It is written once what it says holds.
    let kubeconfig = server.path("webhook.kubeconfig");
    until("the kubeconfig is not written anew", &server, async || carried(&kubeconfig) == new).await;
}

#[test]
fn client_certificates_that_nobody_could_show_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (args, words) in [
        (&["--client-ca-file", "ca.pem"][..], "clientCAFile is set"),
        (&["--client-certificate", "c.pem", "--client-key", "k.pem"], "set clientCAFile"),
        (&["--client-ca-file", "ca.pem", "--client-certificate", "generate"], "remove clientCAFile"),
        (
            &["--client-ca-file", "ca.pem", "--client-certificate", "c.pem", "--client-key", "k.pem"],
            "ca.pem: No such file",
        ),
    ] {
        let output = support::arngate()
            .args([
                "server",
                "-i",
                "c",
                "--port",
                "0",
                "--health-port",
                "0",
                "--state-dir=",
                "--generate-kubeconfig=k",
            ])
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let (_, stderr) = support::text(&output);
        assert!(!output.status.success() && stderr.contains(words), "{args:?}: {stderr}");
    }
}
