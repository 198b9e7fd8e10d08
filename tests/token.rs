//! `token`, as kubectl, scripts and people use it: whose it is, for which STS, and in which form.

mod support;

use std::process::{Command, Output};

use arngate_lab::sts::{Credentials, TrustPolicy};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::{ACCOUNT, CLUSTER_ID, arngate, emulator, text, verify::Verify};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn with_keys(credentials: &Credentials) -> Command {
    let mut command = arngate();
    command.envs(credentials.env());
    command
}

/// Off the runtime's thread, on which the emulator answers.
async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A token's host.
fn host(token: &str) -> String {
    let url = arngate_lab::hostile::url_of(token.trim_end());
    url.split('/').nth(2).unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_an_exec_credential_of_the_version_asked_for() {
    let (_emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    for (info, version) in [
        (None, "v1beta1"),
        (
            Some(
                r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#,
            ),
            "v1",
        ),
        (
            Some(
                r#"{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{}}"#,
            ),
            "v1beta1",
        ),
        (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1alpha1"}"#), "v1alpha1"),
        (Some("{not JSON"), "v1beta1"),
        (Some(r#"{"apiVersion":"client.authentication.k8s.io/v9"}"#), "v1beta1"),
    ] {
        let mut command = with_keys(&role);
        command.args(["token", "-i", CLUSTER_ID, "--region", "eu-central-1"]);
        if let Some(info) = info {
            command.env("KUBERNETES_EXEC_INFO", info);
        }
        let before = Timestamp::now();
        let output = command.output().unwrap();
        let (stdout, stderr) = text(&output);
        assert!(output.status.success(), "{stderr}");
        let credential: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(credential["apiVersion"], format!("client.authentication.k8s.io/{version}"));
        assert_eq!(credential["kind"], "ExecCredential");
        let token = credential["status"]["token"].as_str().unwrap();
        let url = arngate_lab::hostile::url_of(token);
        assert!(url.starts_with("https://sts.eu-central-1.amazonaws.com/?"), "{}", &url[..60]);
        let expires = credential["status"]["expirationTimestamp"].as_str().unwrap();
        let left = expires.parse::<Timestamp>().unwrap().duration_since(before);
        assert!((SignedDuration::from_secs(838)..=SignedDuration::from_secs(850)).contains(&left), "{left}");
        assert_eq!(
            (expires.len(), expires.ends_with('Z')),
            (20, true),
            "as Kubernetes writes times: {expires}"
        );
    }
}

#[tokio::test]
async fn a_bare_token_is_what_sts_verifies() {
    let (emulator, principals) = emulator().await;
    let verify = Verify::new(&emulator);
    for credentials in [principals.user(ACCOUNT, "bob"), principals.role(ACCOUNT, "Admin", "alice")] {
        for region in [None, Some("us-west-2")] {
            let mut command = with_keys(&credentials);
            command.args(["token", "-i", CLUSTER_ID, "--token-only"]);
            if let Some(region) = region {
                command.env("AWS_REGION", region);
            }
            let output = command.output().unwrap();
            let (stdout, stderr) = text(&output);
            assert!(output.status.success(), "{stderr}");
            let token = stdout.trim_end();
            let host = format!("sts.{}.amazonaws.com", region.unwrap_or("us-east-1"));
            let output = verify.run(token, &["-o", "json"]).await;
            let (stdout, stderr) = text(&output);
            assert!(output.status.success(), "{stdout}{stderr}");
            let verified: Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(verified["STSEndpoint"], host);
            assert_eq!(verified["AccessKeyID"], credentials.access_key_id);
            assert_eq!(verified["AccountID"], ACCOUNT);
        }
    }
}

#[tokio::test]
async fn a_token_is_signed_as_the_role_that_is_asked_for() {
    const ROLE: &str = "arn:aws:iam::111122223333:role/Deployer";
    let (emulator, principals) = emulator().await;
    let verify = Verify::new(&emulator);
    let user = principals.user(ACCOUNT, "bob");
    let session = principals.role(ACCOUNT, "Admin", "alice@example.com");
    let token = async |credentials: &Credentials, args: &[&str], env: &[(&str, &str)]| {
        let mut command = with_keys(credentials);
        command.args(["token", "-i", CLUSTER_ID, "--token-only"]).args(args);
        command.envs(emulator.client_env()).envs(env.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    for (credentials, args, env, want) in [
        (&user, &["-r", ROLE, "-s", "nightly"][..], &[][..], "assumed-role/Deployer/nightly"),
        (
            &user,
            &["-s", "nightly", "-e", "external"],
            &[("DEFAULT_ROLE", ROLE)],
            "assumed-role/Deployer/nightly",
        ),
        (&session, &["-r", ROLE, "--forward-session-name"], &[], "assumed-role/Deployer/alice@example.com"),
        (&user, &["-r", ROLE, "--region", "eu-central-1"], &[], "assumed-role/Deployer/arngate-"),
    ] {
        let output = token(credentials, args, env).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output).1);
        let verified = verify.run(text(&output).0.trim_end(), &["-o", "json"]).await;
        let (stdout, stderr) = text(&verified);
        assert!(verified.status.success() && stdout.contains(want), "{args:?}: {stdout}{stderr}");
    }
    // What there is nothing to do with is told, and nobody is left without a token for it, as today.
    for (args, want, told) in [
        (&["-r", ROLE, "--forward-session-name"][..], "assumed-role/Deployer/arngate-", "no session name"),
        (&["-s", "x", "-e", "y"], "user/bob", "mean nothing without a role"),
        (&["-r", "", "-s", ""], "user/bob", ""),
        (&["--forward-session-name=F", "-s", "x"], "user/bob", "mean nothing without a role"),
        (&["--cache=false", "--token-only=True", "--token-only", "true"], "user/bob", "belong to no flag"),
    ] {
        let output = token(&user, args, &[("DEFAULT_ROLE", "")]).await;
        assert!(output.status.success() && text(&output).1.contains(told), "{args:?}: {}", text(&output).1);
        let verified = verify.run(text(&output).0.trim_end(), &["-o", "json"]).await;
        assert!(text(&verified).0.contains(want), "{args:?}: {}", text(&verified).0);
    }
    let output = token(&user, &["-r", ROLE, "-s", "x", "--forward-session-name"], &[]).await;
    assert_eq!(output.status.code(), Some(1), "two names for one session");
}

#[test]
fn a_token_without_credentials_says_where_they_are_looked_for() {
    let home = tempfile::tempdir().unwrap();
    let output = arngate()
        .args(["token", "-i", "c", "--region", "us-east-1"])
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("AWS_PROFILE"), "{}", text(&output).1);
}

#[tokio::test]
async fn an_external_id_is_what_the_trust_policy_wants_or_sts_says_no() {
    const ROLE: &str = "arn:aws:iam::111122223333:role/Partner";
    let (emulator, principals) = emulator().await;
    let policy = TrustPolicy { external_id: Some("partner-7".to_owned()), ..TrustPolicy::default() };
    emulator.trust().set(ROLE, policy);
    let user = principals.user(ACCOUNT, "bob");
    let token = |id: &str| {
        let mut command = with_keys(&user);
        command.args(["token", "-i", CLUSTER_ID, "--token-only", "-r", ROLE, "-e", id]);
        command.envs(emulator.client_env());
        output(command)
    };
    assert!(token("partner-7").await.status.success());
    let refused = token("partner-8").await;
    let (stdout, stderr) = text(&refused);
    assert_eq!((refused.status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    for words in
        ["role/Partner", "AccessDenied", "is not authorized to perform: sts:AssumeRole", "external ID"]
    {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    assert!(!stderr.contains(&user.secret_access_key), "{stderr}");
}

#[tokio::test]
async fn the_cluster_id_may_stand_in_the_configuration_file() {
    let (emulator, principals) = emulator().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, format!("clusterid: {CLUSTER_ID}\n")).unwrap();
    let mut command = with_keys(&principals.user(ACCOUNT, "bob"));
    command.args(["token", "--token-only", "-c"]).arg(&file);
    let token = text(&output(command).await).0;
    let verified = Verify::new(&emulator).run(token.trim_end(), &[]).await;
    assert!(verified.status.success(), "signed for another cluster: {}", text(&verified).1);
}

#[tokio::test]
async fn the_region_is_the_first_that_somebody_names() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let profiles = "[profile tokyo]\nregion = ap-northeast-1\n[profile nowhere]\noutput = json\n";
    std::fs::write(home.path().join(".aws/config"), profiles).unwrap();
    let imds = imds("eu-west-3").await;
    let keys = support::emulator().await.1.user(ACCOUNT, "bob");
    let host = async |args: &[&str], env: &[(&str, &str)]| {
        let mut command = with_keys(&keys);
        command.args(["token", "-i", "c", "--token-only"]).args(args).env("HOME", home.path());
        command.env_remove("AWS_EC2_METADATA_DISABLED").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds);
        command.envs(env.iter().copied());
        let output = output(command).await;
        assert!(output.status.success(), "{args:?} {env:?}: {}", text(&output).1);
        host(&text(&output).0)
    };
    let (region, default) = (("AWS_REGION", "us-west-2"), ("AWS_DEFAULT_REGION", "us-east-2"));
    let tokyo = ("AWS_PROFILE", "tokyo");
    for (args, env, want) in [
        (&["--region", "eu-central-1"][..], &[region, default, tokyo][..], "sts.eu-central-1.amazonaws.com"),
        (&[], &[region, default, tokyo], "sts.us-west-2.amazonaws.com"),
        (&["--region", ""], &[("AWS_REGION", ""), default, tokyo], "sts.us-east-2.amazonaws.com"),
        (&[], &[tokyo], "sts.ap-northeast-1.amazonaws.com"),
        (&[], &[("AWS_PROFILE", "nowhere")], "sts.eu-west-3.amazonaws.com"),
        (&[], &[("AWS_EC2_METADATA_DISABLED", "true")], "sts.us-east-1.amazonaws.com"),
        (&[], &[region, ("AWS_USE_FIPS_ENDPOINT", "true")], "sts-fips.us-west-2.amazonaws.com"),
        (&[], &[region, ("AWS_USE_DUALSTACK_ENDPOINT", "true")], "sts.us-west-2.api.aws"),
        (&["--region", "aws-global"], &[], "sts.amazonaws.com"),
        // The server sends the request, and knows nothing of this machine's endpoints.
        (&[], &[region, ("AWS_ENDPOINT_URL_STS", "https://vpce.example")], "sts.us-west-2.amazonaws.com"),
    ] {
        assert_eq!(host(args, env).await, want, "{args:?} {env:?}");
    }
}

/// What an EC2 instance's metadata says of its region, in version 2 of the protocol; the URL.
async fn imds(region: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(request).unwrap().to_lowercase();
                let (status, body) = if head.starts_with("put /latest/api/token ") {
                    ("200 OK", "secret")
                } else if !head.contains("x-aws-ec2-metadata-token: secret") {
                    ("401 Unauthorized", "")
                } else if head.starts_with("get /latest/meta-data/placement/region ") {
                    ("200 OK", region)
                } else {
                    ("404 Not Found", "")
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    url
}
