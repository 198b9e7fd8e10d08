//! Tokens of every client that people use, in both versions of the webhook's API.

use std::{path::Path, process::Command};

use arngate_lab::{control_plane::ExecPlugin, sts::Credentials};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, VERSIONS},
    support::{ACCOUNT, CLUSTER_ID, REGION, arngate},
};

/// The snippet that people paste: botocore's own presigner.
const BOTO3: &str = r#"
import base64, sys, boto3
from botocore.signers import RequestSigner
cluster, region = sys.argv[1:3]
session = boto3.session.Session(region_name=region)
client = session.client("sts")
signer = RequestSigner(client.meta.service_model.service_id, region, "sts", "v4",
                       session.get_credentials(), session.events)
url = signer.generate_presigned_url(
    {"method": "GET", "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
     "body": {}, "headers": {"x-k8s-aws-id": cluster}, "context": {}},
    region_name=region, expires_in=60, operation_name="")
print("k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("="))
"#;

#[derive(Debug, Clone, Copy)]
enum Program {
    AwsCli,
    Go,
    Boto3,
    Arngate,
}

impl Program {
    const ALL: [Self; 4] = [Self::AwsCli, Self::Go, Self::Boto3, Self::Arngate];

    fn token(self, cluster: &Cluster, credentials: &Credentials, home: &Path) -> String {
        let assets = cluster.control_plane.assets();
        let mut command = match self {
            Self::AwsCli => {
                let mut command = Command::new(assets.aws_cli());
                command.args([
                    "eks",
                    "get-token",
                    "--cluster-name",
                    CLUSTER_ID,
                    "--region",
                    REGION,
                    "--output",
                    "json",
                ]);
                command
            }
            Self::Go => {
                let mut command = Command::new(assets.go_authenticator());
                command.args(["token", "-i", CLUSTER_ID]);
                command
            }
            Self::Boto3 => {
                let mut command = Command::new(assets.python());
                command.args(["-c", BOTO3, CLUSTER_ID, REGION]);
                command
            }
            Self::Arngate => {
                let mut command = arngate();
                command.args(["token", "-i", CLUSTER_ID]);
                command
            }
        };
        command.env_clear().envs(credentials.env()).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", home).env("AWS_REGION", REGION).env("AWS_DEFAULT_REGION", REGION);
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_STS_REGIONAL_ENDPOINTS", "regional");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        match serde_json::from_str::<Value>(&stdout) {
            Ok(credential) => credential["status"]["token"].as_str().unwrap().to_owned(),
            Err(_) => stdout.trim_end().to_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_with_the_tokens_of_every_client_in_both_versions() {
    for version in VERSIONS {
        let cluster = Cluster::start(version).await;
        let home = tempfile::tempdir().unwrap();
        let role = cluster.principals.role(ACCOUNT, "Admin", "alice@example.com");
        let user = cluster.principals.user(ACCOUNT, "bob");
        for program in Program::ALL {
            let me = cluster.whoami(&program.token(&cluster, &role, home.path())).await.unwrap();
            assert_eq!(me["username"], "admin:alice-example.com", "{program:?} {version:?}");
            assert_eq!(me["groups"], json!(["system:masters", "system:authenticated"]));
            let arn = "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.com";
            assert_eq!(me["extra"]["arn"], json!([arn]));
            assert_eq!(me["extra"]["canonicalArn"], json!(["arn:aws:iam::111122223333:role/Admin"]));
            assert!(
                me["uid"].as_str().unwrap().starts_with("aws-iam-authenticator:111122223333:AROA"),
                "{me}"
            );

            let me = cluster.whoami(&program.token(&cluster, &user, home.path())).await.unwrap();
            assert_eq!(me["username"], "bob", "{program:?} {version:?}");
            println!("{version:?}: {program:?}: admin:alice-example.com and bob");
        }
        cluster.control_plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_arngate_as_its_credential_plugin() {
    let cluster = Cluster::start(VERSIONS[0]).await;
    let user = cluster.principals.user(ACCOUNT, "bob");
    for api_version in ["v1", "v1beta1"] {
        let mut env = user.env();
        env.push(("AWS_REGION".to_owned(), REGION.to_owned()));
        let plugin = ExecPlugin {
            command: env!("CARGO_BIN_EXE_arngate").into(),
            args: ["token", "-i", CLUSTER_ID].map(str::to_owned).to_vec(),
            env,
            api_version: format!("client.authentication.k8s.io/{api_version}"),
        };
        let kubeconfig = cluster.control_plane.kubeconfig_with_exec(&plugin).unwrap();
        assert_eq!(cluster.whoami_by(kubeconfig).await.unwrap()["username"], "bob", "{api_version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rbac_through_a_mapped_group_allows_and_forbids_in_both_versions() {
    for version in VERSIONS {
        let cluster = Cluster::start(version).await;
        let plane = &cluster.control_plane;
        let admin = plane.admin_kubeconfig().to_owned();
        for args in [
            &["create", "namespace", "shop"][..],
            &["create", "role", "reader", "-n", "shop", "--verb=get,list", "--resource=configmaps"],
            &["create", "rolebinding", "readers", "-n", "shop", "--role=reader", "--group=developers"],
        ] {
            let output = plane.kubectl(&admin, args).await.unwrap();
            assert!(output.success(), "{args:?}: {}", output.stderr);
        }
        let developer = cluster.principals.role(ACCOUNT, "Developer", "dora");
        let kubeconfig = plane.kubeconfig_with_token(&crate::support::token(&developer)).unwrap();
        let allowed = plane.kubectl(&kubeconfig, &["get", "configmaps", "-n", "shop"]).await.unwrap();
        assert!(allowed.success(), "{}", allowed.stderr);
        for args in [
            &["get", "configmaps", "-n", "kube-system"][..],
            &["get", "secrets", "-n", "shop"],
            &["create", "configmap", "x", "-n", "shop"],
        ] {
            let forbidden = plane.kubectl(&kubeconfig, args).await.unwrap();
            assert!(!forbidden.success(), "{args:?}");
            assert!(
                forbidden.stderr.contains("Forbidden") || forbidden.stderr.contains("forbidden"),
                "{}",
                forbidden.stderr
            );
            assert!(forbidden.stderr.contains("developer:dora"), "{}", forbidden.stderr);
        }
    }
}
