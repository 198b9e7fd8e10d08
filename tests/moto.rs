//! moto, an emulator of AWS that others make (<https://github.com/getmoto/moto>), in EC2's and STS's place: its
//! instances are made by boto3, and named by arngate.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use arngate_lab::control_plane::Assets;
use futures::future::join_all;
use serde_json::Value;
use support::{ACCOUNT, Setup, emulator, token};

/// Starts moto on a free port, has boto3 start three instances, prints where and which, and lives as long as its
/// standard input.
const MOTO: &str = r#"
import json, sys, boto3
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://%s:%d" % server.get_host_and_port()
ec2 = boto3.client("ec2", region_name="eu-west-1", endpoint_url=url,
                   aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="secret")
image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
instances = ec2.run_instances(ImageId=image, MinCount=3, MaxCount=3)["Instances"]
names = {instance["InstanceId"]: instance["PrivateDnsName"] for instance in instances}
print(json.dumps({"url": url, "names": names}), flush=True)
sys.stdin.read()
"#;

/// moto, killed when dropped.
struct Moto {
    child: Child,
    url: String,
    names: Vec<(String, String)>,
}

impl Moto {
    fn start() -> Self {
        let python = Assets::locate().unwrap().python();
        let mut child = Command::new(&python)
            .args(["-c", MOTO])
            .env_clear()
            .env("HOME", std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make assets` installs it", python.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).expect("moto starts; `make assets` installs it");
        let names = said["names"].as_object().unwrap().iter();
        let names = names.map(|(id, name)| (id.clone(), name.as_str().unwrap().to_owned())).collect();
        Self { child, url: said["url"].as_str().unwrap().to_owned(), names }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NODES: &str = "  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Node', username: 'system:node:{{EC2PrivateDNSName}}'}
";

#[tokio::test]
async fn instances_of_another_emulator_have_the_names_that_boto3_sees() {
    let moto = Moto::start();
    assert_eq!(moto.names.len(), 3);
    let (emulator, principals) = emulator().await;
    let node = |session: &str| token(&principals.role(ACCOUNT, "Node", session));
    for (variable, role) in [
        ("AWS_ENDPOINT_URL_EC2", ""),
        // The session is moto's STS's as well.
        ("AWS_ENDPOINT_URL", "  ec2DescribeInstancesRoleARN: arn:aws:iam::123456789012:role/Describe\n"),
    ] {
        let server = Setup::new(&emulator, &format!("{role}{NODES}"))
            .env(variable, &moto.url)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .start();
        // One that moto does not know comes with them: its error is read, and the others are asked about again.
        let unknown = ("i-0123456789abcdef0".to_owned(), String::new());
        let asked: Vec<_> = moto.names.iter().chain([&unknown]).collect();
        let tokens: Vec<_> = asked.iter().map(|(id, _)| node(id)).collect();
        let answers = join_all(tokens.iter().map(|token| server.review(token))).await;
        for ((id, name), answer) in asked.into_iter().zip(answers) {
            println!("{variable}: {id} is {}", answer.body["status"]["user"]["username"]);
            if name.is_empty() {
                answer.assert_passing_denial();
            } else {
                assert!(name.ends_with(".eu-west-1.compute.internal"), "{name}");
                assert_eq!(answer.user()["username"], format!("system:node:{name}"));
            }
        }
        let reasons: Vec<_> = server.audit().iter().map(|record| record["reason"].clone()).collect();
        assert_eq!(reasons.iter().filter(|reason| *reason == "instance_unknown").count(), 1, "{reasons:?}");
    }
}
