//! Scrubbed accounts leave no trace but the username that their mapping gives, and reserved usernames are given
//! by nobody: whichever list maps the principal.

mod support;

use serde_json::json;
use support::{ACCOUNT, Setup, emulator, token};

const SCRUBBED: &str = "444455556666";

#[tokio::test]
async fn a_scrubbed_accounts_principal_is_let_in_and_not_told_of() {
    let (emulator, principals) = emulator().await;
    let mapped = principals.role(SCRUBBED, "Support", "canary-session");
    let by_account = principals.user(SCRUBBED, "canary-user");
    let stranger = principals.user("777788889999", "mallory");
    let by_key = principals.role(SCRUBBED, "Keyed", "s");
    let in_group = principals.role(SCRUBBED, "Grouped", "s");
    let open = principals.role(ACCOUNT, "Admin", "alice");
    let server = Setup::new(
        &emulator,
        "  scrubbedAccounts: ['444455556666', '777788889999']
  mapRoles:
  - {rolearn: 'arn:aws:iam::444455556666:role/Support', username: support, groups: [helpers]}
  - {rolearn: 'arn:aws:iam::444455556666:role/Keyed', username: 'k:{{AccessKeyID}}', groups: [keyed]}
  - {rolearn: 'arn:aws:iam::444455556666:role/Grouped', username: g, groups: ['{{AccessKeyID}}', '{{AccountID}}']}
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: admin}
  - {rolearn: 'arn:aws:iam::444455556666:group/Mallory', username: m, note: 'arn:aws:iam::444455556666:role/Canary'}
  - {rolearn: '444455556666, and nothing that can be read', username: '{{444455556666}}'}
  mapAccounts: ['444455556666']
",
    )
    // A removed key is to be refused at once.
    .arg("--sts-cache-ttl", "0")
    .start();

    let answer = server.review(&token(&mapped)).await;
    assert_eq!(
        *answer.user(),
        json!({
            "username": "support", "uid": "aws-iam-authenticator:administrative:support",
            "groups": ["helpers"], "extra": {},
        })
    );
    let answer = server.review(&token(&by_account)).await;
    let arn = "arn:aws:iam::444455556666:user/canary-user";
    assert_eq!(answer.user()["username"], arn);
    assert_eq!(answer.user()["uid"], format!("aws-iam-authenticator:administrative:{arn}"));
    assert_eq!(answer.user()["extra"], json!({}));
    server.review(&token(&stranger)).await.assert_passing_denial();
    emulator.principals().remove(&mapped.access_key_id);
    server.review(&token(&mapped)).await.assert_passing_denial();

    assert_eq!(
        server.review(&token(&by_key)).await.user()["username"],
        format!("k:{}", by_key.access_key_id)
    );
    assert_eq!(server.review(&token(&in_group)).await.user()["groups"][0], in_group.access_key_id);

    let log = server.log_text();
    assert!(
        log.contains("mapRoles, entry 5, line") && log.contains("an IAM group is not a principal"),
        "{log}"
    );
    let audit = server.audit();
    assert_eq!(audit[0]["username"], "support");
    assert_eq!((&audit[4]["username"], &audit[4]["groups"]), (&json!(null), &json!("keyed")));
    assert_eq!((&audit[5]["username"], &audit[5]["groups"]), (&json!("g"), &json!(null)));
    let ids =
        [&mapped, &by_account, &by_key, &in_group].map(|credentials| credentials.access_key_id.as_str());
    for secret in [SCRUBBED, "777788889999", "canary", "mallory", "AROA", "AIDA"].into_iter().chain(ids) {
        assert!(!log.contains(secret), "the log tells {secret}:\n{log}");
    }

    // Others are told of as ever.
    assert!(server.review(&token(&open)).await.user()["extra"]["arn"].is_array());
    assert!(server.log_text().contains("assumed-role/Admin/alice"));
}

#[tokio::test]
async fn a_reserved_username_is_refused_after_rendering_on_every_path() {
    let (emulator, principals) = emulator().await;
    let rendered = principals.role(ACCOUNT, "R", "system");
    let by_account = principals.user(ACCOUNT, "bob");
    let fine = principals.role(ACCOUNT, "R", "other");
    let server = Setup::new(
        &emulator,
        "  reservedPrefixConfig:
  - backendMode: MountedFile
    usernamePrefixReserveList: ['system:', 'arn:aws:iam::111122223333:user/']
  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/R', username: '{{SessionName}}:x'}
  mapAccounts: ['111122223333']
",
    )
    .start();
    for credentials in [&rendered, &by_account] {
        server.review(&token(credentials)).await.assert_passing_denial();
        assert_eq!(server.audit().last().unwrap()["reason"], "username_reserved");
    }
    assert_eq!(server.review(&token(&fine)).await.user()["username"], "other:x");
}
