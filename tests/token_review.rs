//! What the webhook answers to TokenReviews, and to what is none.

mod support;

use serde_json::{Value, json};
use support::{ACCOUNT, Setup, answer, emulator, post, token};

const MAPPINGS: &str = "  mapRoles:
  - rolearn: arn:aws:iam::111122223333:role/team/a/Admin
    username: admin:{{SessionName}}
    groups: [system:masters, 'account:{{AccountID}}']
  mapUsers:
  - userarn: arn:aws:iam::111122223333:user/ops/bob
    username: bob
    groups: []
  mapAccounts:
  - 000000000012
";

fn review(version: &str, token: &str, audiences: &Value) -> Value {
    json!({
        "apiVersion": format!("authentication.k8s.io/{version}"), "kind": "TokenReview",
        "spec": {"token": token, "audiences": audiences},
    })
}

#[tokio::test]
async fn a_role_becomes_its_user_in_both_versions_and_over_both_http_versions() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice@example.com");
    let server = Setup::new(&emulator, MAPPINGS).start();
    let http1 = server.client_builder().http1_only().build().unwrap();
    let http2 = server.client_builder().http2_prior_knowledge().build().unwrap();
    for client in [http1, http2] {
        for version in ["v1", "v1beta1"] {
            let url = format!("{}?timeout=30s", server.url);
            let answer = post(&client, &url, &review(version, &token(&role), &Value::Null)).await;
            assert_eq!(answer.body["apiVersion"], format!("authentication.k8s.io/{version}"));
            assert_eq!(answer.body["kind"], "TokenReview");
            assert_eq!(answer.body["spec"], json!({}), "the token is not sent back");
            let user = answer.user();
            let id = user["extra"]["principalId"][0].as_str().unwrap();
            assert!(id.starts_with("AROA"), "{id}");
            assert_eq!(
                *user,
                json!({
                    "username": "admin:alice-example.com",
                    "uid": format!("aws-iam-authenticator:{ACCOUNT}:{id}"),
                    "groups": ["system:masters", format!("account:{ACCOUNT}")],
                    "extra": {
                        "arn": [format!("arn:aws:sts::{ACCOUNT}:assumed-role/Admin/alice@example.com")],
                        "canonicalArn": [format!("arn:aws:iam::{ACCOUNT}:role/Admin")],
                        "sessionName": ["alice@example.com"],
                        "accessKeyId": [role.access_key_id],
                        "principalId": [id],
                        "sigs.k8s.io/aws-iam-authenticator/principalId": [id],
                    },
                })
            );
        }
    }
}

#[tokio::test]
async fn users_and_accounts_are_mapped_and_strangers_are_not() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "ops/bob");
    let other_bob = principals.user(ACCOUNT, "bob");
    let of_account = principals.user("000000000012", "anybody");
    let root = principals.root("000000000012");
    let federated = principals.federated_user("000000000012", "carol");
    let server = Setup::new(&emulator, MAPPINGS).start();

    let answer = server.review(&token(&bob)).await;
    assert_eq!(answer.user()["username"], "bob");
    assert_eq!(answer.user()["groups"], json!([]));
    for (credentials, arn) in [
        (of_account, "arn:aws:iam::000000000012:user/anybody"),
        (root, "arn:aws:iam::000000000012:root"),
        (federated, "arn:aws:sts::000000000012:federated-user/carol"),
    ] {
        let answer = server.review(&token(&credentials)).await;
        assert_eq!(answer.user()["username"], arn);
        assert_eq!(answer.user()["groups"], json!([]));
    }
    server.review(&token(&other_bob)).await.assert_passing_denial();

    let reasons: Vec<Value> = server.audit().iter().map(|record| record["reason"].clone()).collect();
    assert_eq!(reasons, ["mapped", "mapped", "mapped", "mapped", "not_mapped"]);
}

#[tokio::test]
async fn audiences_are_answered_by_intersection() {
    let (emulator, principals) = emulator().await;
    let bob = principals.user(ACCOUNT, "ops/bob");
    let server = Setup::new(&emulator, &format!("{MAPPINGS}  audiences: [a, b]\n")).start();
    let client = server.client();
    for (asked, want) in [
        (json!(null), Value::Null),
        (json!([]), Value::Null),
        (json!(["b", "c"]), json!(["b"])),
        (json!(["a", "b"]), json!(["a", "b"])),
    ] {
        let answer = post(&client, &server.url, &review("v1", &token(&bob), &asked)).await;
        assert_eq!(answer.user()["username"], "bob");
        assert_eq!(answer.body["status"]["audiences"], want, "{asked}");
    }
    let calls = emulator.calls();
    post(&client, &server.url, &review("v1", &token(&bob), &json!(["c"]))).await.assert_final_denial();
    assert_eq!(emulator.calls(), calls, "STS is not asked where no audience is served");

    let unconfigured = Setup::new(&emulator, MAPPINGS).start();
    let answer =
        post(&unconfigured.client(), &unconfigured.url, &review("v1", &token(&bob), &json!(["c"]))).await;
    assert_eq!(answer.user()["username"], "bob");
    assert_eq!(answer.body["status"]["audiences"], Value::Null, "requested audiences are not echoed");
}

#[tokio::test]
async fn what_is_no_token_review_gets_a_status() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let client = server.client();
    let post_text = |body: String, content_type: &'static str| {
        client.post(&server.url).header("content-type", content_type).body(body).send()
    };
    for (body, content_type, code) in [
        (String::new(), "application/json", 400),
        ("{".to_owned(), "application/json", 400),
        ("{}".to_owned(), "application/json", 400),
        (review("v2", "t", &Value::Null).to_string(), "application/json", 400),
        (review("v1", "t", &Value::Null).to_string().replace("TokenReview", "Pod"), "application/json", 400),
        (review("v1", "secret-canary", &json!("x")).to_string(), "application/json", 400),
        ("k8s\0\u{1}".to_owned(), "application/vnd.kubernetes.protobuf", 415),
        (review("v1", &"t".repeat(1024 * 1024), &Value::Null).to_string(), "application/json", 413),
    ] {
        let answer = answer(post_text(body, content_type).await.unwrap()).await;
        assert_eq!(answer.code, code, "{answer:?}");
        assert_eq!((&answer.body["kind"], &answer.body["code"]), (&json!("Status"), &json!(code)));
        assert!(!answer.body.to_string().contains("canary"), "the body is not quoted: {answer:?}");
    }
    for (method, path, code) in [
        ("GET", "/authenticate", 405),
        ("PUT", "/authenticate", 405),
        ("POST", "/metrics", 405),
        ("POST", "/", 404),
        ("GET", "/authenticate/", 404),
    ] {
        let response = client.request(method.parse().unwrap(), server.at(path)).send().await.unwrap();
        let answer = answer(response).await;
        assert_eq!((answer.code, &answer.body["kind"]), (code, &json!("Status")), "{method} {path}");
    }
    assert_eq!(emulator.calls(), 0);
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let endless =
        futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 65536])));
    let sent = server.client().post(&server.url).body(reqwest::Body::wrap_stream(endless)).send().await;
    // The server answers while the client still sends: it sees the answer, or that nobody takes its bytes.
    if let Ok(response) = sent {
        assert_eq!(response.status(), 413);
    }
    server.review("garbage").await.assert_final_denial();
}

#[tokio::test]
async fn every_decision_has_one_audit_record_and_no_secret() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let server = Setup::new(&emulator, MAPPINGS).start();
    let good = token(&role);
    let forged = {
        let mut other = role.clone();
        other.secret_access_key = "canary-of-another-secret".to_owned();
        token(&other)
    };
    server.review(&good).await.user();
    server.review(&forged).await.assert_final_denial();
    server.review("k8s-aws-v1.canary-garbage").await.assert_final_denial();
    server.review("canary-garbage").await.assert_final_denial();

    let audit = server.audit();
    let reasons: Vec<&str> = audit.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 4, "{audit:#?}");
    assert_eq!(reasons[..2], ["mapped", "sts_signature_does_not_match"]);
    assert_eq!(audit[0]["username"], "admin:alice");
    assert_eq!(audit[0]["backend"], "MountedFile");
    assert_eq!(audit[0]["arn"], format!("arn:aws:sts::{ACCOUNT}:assumed-role/Admin/alice"));
    assert_eq!(audit[1]["access_key_id"], role.access_key_id);

    let log = server.log_text();
    let metrics = server.metrics().await;
    let session = role.session_token.unwrap();
    for secret in [
        good.as_str(),
        &good[40..200],
        forged.as_str(),
        "canary",
        &session,
        &session[..30],
        "X-Amz-Signature",
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
        assert!(!metrics.contains(secret), "the metrics hold {secret}");
    }
    for line in [
        r#"authenticate_latency_seconds_count{result="success"} 1"#,
        r#"authenticate_latency_seconds_count{result="sts_error"} 1"#,
        r#"authenticate_latency_seconds_count{result="invalid_token"} 2"#,
        r#"sts_responses_total{ResponseCode="200",StsRegion="us-east-1"} 1"#,
        r#"sts_responses_total{ResponseCode="403",StsRegion="us-east-1"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
}
