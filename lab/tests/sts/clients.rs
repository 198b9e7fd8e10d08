//! AWS's own clients, which know nothing of the emulator but a proxy and a CA.
use std::process::Stdio;

use arngate_lab::{
    control_plane::Assets,
    sts::{Credentials, Emulator},
};
use tokio::process::Command;

use crate::support::{ACCOUNT, emulator};

const ARN: &str = "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.org";

#[tokio::test]
async fn the_aws_cli_asks_who_it_is() {
    let (emulator, alice) = emulator().await;
    let args = ["sts", "get-caller-identity", "--region", "us-east-1", "--output", "json"];
    let answer: serde_json::Value =
        serde_json::from_str(&run("aws", &args, &emulator, &alice).await).unwrap();
    assert_eq!((&answer["Arn"], &answer["Account"]), (&ARN.into(), &ACCOUNT.into()));
    let seen = &emulator.last_requests()[0];
    assert_eq!((seen.method.as_str(), seen.host.as_str()), ("POST", "sts.us-east-1.amazonaws.com"));
}

#[tokio::test]
async fn the_aws_cli_assumes_a_role_and_is_then_its_session() {
    let (emulator, alice) = emulator().await;
    let args = [
        "sts",
        "assume-role",
        "--region",
        "eu-west-1",
        "--role-arn",
        "arn:aws:iam::444455556666:role/team/Deployer",
        "--role-session-name",
        "ci",
        "--query",
        "Credentials.[AccessKeyId,SecretAccessKey,SessionToken]",
        "--output",
        "text",
    ];
    let answer = run("aws", &args, &emulator, &alice).await;
    let [access_key_id, secret_access_key, session_token] = answer.split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("three words: {answer}")
    };
    let session = Credentials {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
        session_token: Some(session_token.to_owned()),
    };
    let args = ["sts", "get-caller-identity", "--region", "eu-west-1", "--query", "Arn", "--output", "text"];
    let arn = run("aws", &args, &emulator, &session).await;
    assert_eq!(arn.trim(), "arn:aws:sts::444455556666:assumed-role/Deployer/ci");
}

#[tokio::test]
async fn a_url_presigned_by_boto3() {
    let (emulator, alice) = emulator().await;
    let script = r#"
import base64, json, ssl, sys, urllib.request, boto3, os
from botocore.signers import RequestSigner
session = boto3.session.Session(region_name="eu-central-1")
client = session.client("sts")
signer = RequestSigner(client.meta.service_model.service_id, "eu-central-1", "sts", "v4",
                       session.get_credentials(), session.events)
url = signer.generate_presigned_url({
    "method": "GET",
    "url": "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
    "body": {}, "headers": {"x-k8s-aws-id": "test"}, "context": {},
}, region_name="eu-central-1", expires_in=60, operation_name="")
# The checks that Python makes by default from 3.13 on.
context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
request = urllib.request.Request(url, headers={"x-k8s-aws-id": "test", "accept": "application/json"})
print(urllib.request.urlopen(request, context=context).read().decode())
"#;
    let answer = run("python3", &["-c", script], &emulator, &alice).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Arn"], ARN);
}

#[tokio::test]
async fn the_token_of_aws_eks_get_token() {
    let (emulator, alice) = emulator().await;
    let script = r#"
import base64, json, subprocess, urllib.request
token = subprocess.run(["aws", "eks", "get-token", "--cluster-name", "test", "--region", "us-east-1"],
                       check=True, capture_output=True).stdout
token = json.loads(token)["status"]["token"].removeprefix("k8s-aws-v1.")
url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
request = urllib.request.Request(url, headers={"x-k8s-aws-id": "test"})
print(urllib.request.urlopen(request).read().decode())
"#;
    let answer = run("python3", &["-c", script], &emulator, &alice).await;
    assert!(answer.contains(&format!("<Arn>{ARN}</Arn>")), "{answer}");
}

#[tokio::test]
async fn a_token_made_and_verified_by_the_go_authenticator() {
    let (emulator, alice) = emulator().await;
    let authenticator = Assets::locate().expect("`make assets` builds it").go_authenticator();
    let authenticator = authenticator.to_str().unwrap();
    let args = ["token", "-i", "test", "--region", "us-east-1", "--token-only"];
    let token = run(authenticator, &args, &emulator, &alice).await;
    assert_eq!(emulator.calls(), 0, "signing asks nobody");

    let args = ["verify", "-i", "test", "-o", "json", "-t", token.trim()];
    let answer = run(authenticator, &args, &emulator, &alice).await;
    assert!(answer.contains(ARN), "{answer}");
    assert_eq!(emulator.last_requests()[0].cluster_id.as_deref(), Some("test"));
}

/// Runs a program as a principal, and returns what it prints.
async fn run(program: &str, args: &[&str], emulator: &Emulator, credentials: &Credentials) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    // Nothing of whoever runs the tests.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    for name in ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(name);
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.envs(emulator.client_env()).envs(credentials.env());
    // Those that `make assets` installs, if it has; else, those of this machine.
    if let Ok(assets) = Assets::locate() {
        let path = std::env::var("PATH").unwrap_or_default();
        let directory = assets.aws_cli().parent().map(|path| path.display().to_string()).unwrap_or_default();
        command.env("PATH", format!("{directory}:{path}"));
    }
    let output = command.output().await.unwrap_or_else(|error| {
        panic!(
            "{program} can't be run ({error}): the AWS CLI and boto3 have to be on PATH, or be installed by `make assets`"
        )
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
