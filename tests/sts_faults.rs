//! STS fails, and nobody is let in for it; what kube-apiserver is told fits what happened.

mod support;

use std::time::{Duration, Instant};

use arngate_lab::sts::Fault;
use support::{ACCOUNT, Setup, emulator, token};

const ACCOUNT_MAPPED: &str = "  mapAccounts: ['111122223333']\n";

#[tokio::test]
async fn no_verdict_of_sts_is_no_verdict_of_ours_and_recovery_is_at_once() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    // Tokens that are signed within one second are the same token: what is tried is what STS says of each.
    let server =
        Setup::new(&emulator, ACCOUNT_MAPPED).arg("--sts-timeout", "1").arg("--sts-cache-ttl", "0").start();
    let identity = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::111122223333:user/bob</Arn><UserId>AIDAX</UserId><Account>111122223333</Account>\
        </GetCallerIdentityResult></GetCallerIdentityResponse>";
    let body = |text: &str| Fault::Body("text/xml".to_owned(), text.to_owned().into());
    for (fault, code, reason) in [
        (Fault::Throttle, 429, "sts_throttled"),
        (Fault::Status(http::StatusCode::INTERNAL_SERVER_ERROR), 503, "sts_server_error"),
        (Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE), 503, "sts_server_error"),
        (Fault::Reset, 503, "sts_transport"),
        (Fault::Hang, 503, "sts_timeout"),
        (Fault::Redirect("https://sts.us-west-2.amazonaws.com/".to_owned()), 503, "sts_unexpected_status"),
        (Fault::Oversized(1024 * 1024), 503, "sts_oversized"),
        (body("not XML"), 503, "sts_unreadable"),
        (body(&identity[..150]), 503, "sts_unreadable"),
        (body(&format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{identity}")), 503, "sts_unreadable"),
    ] {
        emulator.faults().set(fault.clone());
        let started = Instant::now();
        let answer = server.review(&token(&bob)).await;
        answer.assert_no_verdict(code);
        assert!(started.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", started.elapsed());
        let audit = server.audit();
        assert_eq!(audit.last().unwrap()["reason"], reason, "{fault:?}");

        emulator.faults().clear();
        server.review(&token(&bob)).await.user();
    }
    let metrics = server.metrics().await;
    assert!(metrics.contains(r#"sts_throttling_total{StsRegion="us-east-1"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"sts_connection_failures_total{StsRegion="us-east-1"} 2"#), "{metrics}");
}

#[tokio::test]
async fn an_answer_about_somebody_impossible_lets_nobody_in() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).arg("--sts-cache-ttl", "0").start();
    for (arn, user_id, account, reason) in [
        ("arn:aws:iam::111122223333:user/bob", "AIDAX", "444455556666", "caller_account_mismatch"),
        ("arn:aws-cn:iam::111122223333:user/bob", "AIDAX", "111122223333", "caller_other_partition"),
        ("arn:aws:iam::111122223333:group/bob", "AIDAX", "111122223333", "caller_not_a_principal"),
        ("arn:aws:sts::111122223333:assumed-role/R/s", "AROAX", "111122223333", "caller_malformed_user_id"),
        ("arn:aws:iam::111122223333:user/bob", "AIDAX", "", "caller_account_mismatch"),
    ] {
        let body = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user_id}</UserId>\
             <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        emulator.faults().set(Fault::Body("text/xml".to_owned(), body.into()));
        let answer = server.review(&token(&bob)).await;
        match reason {
            "caller_other_partition" | "caller_not_a_principal" => answer.assert_final_denial(),
            _ => answer.assert_passing_denial(),
        }
        assert_eq!(server.audit().last().unwrap()["reason"], reason);
    }
}

#[tokio::test]
async fn connections_are_kept_and_shared() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server = Setup::new(&emulator, ACCOUNT_MAPPED).arg("--sts-cache-ttl", "0").start();
    for _ in 0..20 {
        server.review(&token(&bob)).await.user();
    }
    assert_eq!((emulator.calls(), emulator.connections()), (20, 1));
}

#[tokio::test]
async fn an_sts_whose_certificate_nobody_vouches_for_is_not_asked() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let server =
        Setup::without_sts(ACCOUNT_MAPPED).arg("--sts-connect-to", &emulator.address().to_string()).start();
    server.review(&token(&bob)).await.assert_no_verdict(503);
    assert_eq!(emulator.calls(), 0);
    assert_eq!(server.audit()[0]["reason"], "sts_connect");
}

#[tokio::test]
async fn sts_is_reached_by_the_proxy_variables_and_ssl_cert_file_too() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let mut setup = Setup::without_sts(ACCOUNT_MAPPED);
    let ca = setup.path("ca.pem");
    emulator.write_ca(&ca).unwrap();
    setup = setup
        .env("HTTPS_PROXY", &format!("http://{}", emulator.proxy_address()))
        .env("SSL_CERT_FILE", ca.to_str().unwrap());
    setup.start().review(&token(&bob)).await.user();
}

#[tokio::test]
async fn nobody_at_all_is_no_verdict() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "bob");
    let ca = tempfile::NamedTempFile::new().unwrap();
    emulator.write_ca(ca.path()).unwrap();
    let server = Setup::without_sts(ACCOUNT_MAPPED)
        .arg("--sts-connect-to", "127.0.0.1:1")
        .arg("--sts-ca-bundle", ca.path().to_str().unwrap())
        .start();
    server.review(&token(&bob)).await.assert_no_verdict(503);
    assert_eq!(server.audit()[0]["reason"], "sts_connect");
}
