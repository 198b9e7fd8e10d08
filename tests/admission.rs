//! `/validate/aws-auth` as an API server asks it, under either of its names.

mod support;

use serde_json::{Value, json};
use support::{Setup, emulator, post};

fn review(before: &str, after: &str) -> Value {
    let object = |users: &str| json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"mapUsers": users}});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "operation": "UPDATE",
            "namespace": "kube-system", "name": "aws-auth", "object": object(after), "oldObject": object(before),
        }
    })
}

const BOB: &str = "- userarn: arn:aws:iam::111122223333:user/bob\n  username: bob\n";

#[tokio::test]
async fn a_broken_edit_is_refused_and_a_reserved_name_is_warned_of() {
    let (emulator, _) = emulator().await;
    let reserved =
        "  reservedPrefixConfig: [{backendMode: EKSConfigMap, usernamePrefixReserveList: ['system:']}]\n";
    let server = Setup::new(&emulator, reserved).start();
    let (client, url) = (server.client(), server.at("/validate/aws-auth"));
    let answer = post(&client, &url, &review(BOB, &BOB.replace("userarn", "userarm"))).await;
    assert_eq!((answer.code, &answer.body["response"]["allowed"]), (200, &json!(false)));
    assert_eq!(answer.body["response"]["status"]["code"], 422);
    let message = answer.body["response"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("mapUsers, entry 1, line 1, column 3: has no userarn"), "{message}");

    let answer =
        post(&client, &url, &review(BOB, &BOB.replace("username: bob", "username: system:bob"))).await;
    assert_eq!(answer.body["response"]["allowed"], true);
    let warning = answer.body["response"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("system:bob begins with system:, which is reserved"), "{warning}");

    assert_eq!(client.get(&url).send().await.unwrap().status(), 405);
    assert_eq!(post(&client, &url, &json!({})).await.code, 400);
    let metrics = server.metrics().await;
    for (verdict, count) in [("allowed", 1), ("refused", 1), ("unanswered", 1)] {
        let figure = format!(r#"admission_reviews_total{{verdict="{verdict}"}} {count}"#);
        assert!(metrics.contains(&figure), "{metrics}");
    }
}

#[tokio::test]
async fn where_accounts_are_scrubbed_a_refusal_names_the_place_and_no_arn() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "  scrubbedAccounts: ['111122223333']\n").start();
    let (client, url) = (server.client(), server.at("/validate/aws-auth"));
    let broken = BOB.replace("user/bob", "usr/bob");
    let answer = post(&client, &url, &review(BOB, &broken)).await;
    assert_eq!(answer.body["response"]["allowed"], false);
    let text = answer.body.to_string();
    assert!(text.contains("mapUsers, entry 1, line 1") && !text.contains("111122223333"), "{text}");
}

#[tokio::test]
async fn the_certificate_has_the_name_by_which_a_service_is_asked() {
    let (emulator, _) = emulator().await;
    let server = Setup::new(&emulator, "").start();
    let port: u16 = server.url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let name = "arngate.kube-system.svc";
    let client = server.client_builder().resolve(name, ([127, 0, 0, 1], port).into()).build().unwrap();
    let answer = post(&client, &format!("https://{name}:{port}/validate/aws-auth"), &review(BOB, BOB)).await;
    assert_eq!(answer.body["response"], json!({"uid": "705ab4f5", "allowed": true}));
}
