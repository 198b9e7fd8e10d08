//! `server.adminPrincipals`: administrators whom no ConfigMap names and no edit locks out.

mod support;

use support::{ACCOUNT, Setup, emulator, token};

#[tokio::test]
async fn an_administrator_gets_in_whatever_the_backends_say_and_is_told_of() {
    let (emulator, principals) = emulator().await;
    let (creator, bob) = (principals.role(ACCOUNT, "Creator", "alice"), principals.user(ACCOUNT, "bob"));
    let setup = Setup::new(
        &emulator,
        "  backendMode: [EKSConfigMap, MountedFile]
  adminPrincipals: ['arn:aws:iam::111122223333:role/ops/Creator']
  mapRoles: [{rolearn: 'arn:aws:iam::111122223333:role/Creator', username: demoted}]
",
    );
    // Nobody answers there: the backends have not loaded, and say nothing.
    let kubeconfig = setup.path("kubeconfig");
    let nowhere = r#"{"apiVersion":"v1","kind":"Config","current-context":"x","users":[{"name":"x","user":{}}],
        "clusters":[{"name":"x","cluster":{"server":"http://127.0.0.1:1"}}],
        "contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}"#;
    std::fs::write(&kubeconfig, nowhere).unwrap();
    let server = setup.arg("--kubeconfig", kubeconfig.to_str().unwrap()).start();
    let answer = server.review(&token(&creator)).await;
    let user = answer.user();
    assert_eq!(user["username"], "arn:aws:sts::111122223333:assumed-role/Creator/alice");
    assert_eq!(user["groups"], serde_json::json!(["system:masters"]));
    server.review(&token(&bob)).await.assert_no_verdict(503);

    let audit = server.audit();
    assert_eq!(
        (&audit[0]["backend"], &audit[0]["entry"]),
        (&"AdminPrincipals".into(), &"adminPrincipals entry 1".into())
    );
    let start = server
        .log_lines()
        .into_iter()
        .find(|line| line["message"].to_string().contains("whatever the backends"));
    let start = start.expect("told at the start");
    assert_eq!(
        (&start["number"], &start["arns"]),
        (&1.into(), &"arn:aws:iam::111122223333:role/ops/Creator".into())
    );
    assert!(server.metrics().await.contains(r#"mappings{backend="AdminPrincipals"} 1"#));
}

#[tokio::test]
async fn the_flag_wins_over_the_file_and_a_scrubbed_accounts_arn_is_not_told() {
    let (emulator, principals) = emulator().await;
    let (alice, bob) = (principals.user(ACCOUNT, "alice"), principals.user(ACCOUNT, "bob"));
    let server = Setup::new(
        &emulator,
        "  adminPrincipals: ['arn:aws:iam::111122223333:user/alice']\n  scrubbedAccounts: ['111122223333']\n",
    )
    .arg("--admin-principals", "arn:aws:iam::111122223333:user/bob")
    .start();
    server.review(&token(&bob)).await.user();
    server.review(&token(&alice)).await.assert_passing_denial();
    assert!(!server.log_text().contains(ACCOUNT), "{}", server.log_text());
}

#[test]
fn what_is_no_principal_does_not_start() {
    for (arn, told) in [
        ("arn:aws:iam::111122223333:group/Admins", "IAM group is not a principal"),
        ("arn:aws-cn:iam::111122223333:role/A", "lets in principals of the partition aws alone"),
        ("Admin", "not of the form"),
    ] {
        let output = support::arngate()
            .args(["server", "-i", "c", "--port", "0", "--health-port", "0", "--admin-principals", arn])
            .output()
            .unwrap();
        let (_, stderr) = support::text(&output);
        assert!(!output.status.success() && stderr.contains(told), "{arn}: {stderr}");
    }
}
