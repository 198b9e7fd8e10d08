//! The emulated EC2 and the instance metadata service, as their clients see them.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic as the tests do")]

#[allow(dead_code, reason = "STS's tests use the rest")]
#[path = "sts/support.rs"]
mod support;

use std::time::SystemTime;

use arngate_lab::{
    ec2::Metadata,
    sts::{Credentials, Emulator, Fault, KeyStatus, Principals, TrustPolicy},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use support::{ACCOUNT, Answer, answer, builder};

const HOST: &str = "ec2.us-east-1.amazonaws.com";
const ONE: &str = "i-0000000000000001a";
const TWO: &str = "i-0000002b";

async fn emulator() -> (Emulator, Credentials) {
    let principals = Principals::new();
    let credentials = principals.role(ACCOUNT, "Authenticator", "server");
    let emulator = Emulator::builder().principals(principals).start().await.unwrap();
    emulator.instances().add(ONE, "ip-10-0-0-1.ec2.internal");
    emulator.instances().add(TWO, "ip-10-0-0-2.ec2.internal");
    (emulator, credentials)
}

/// A call by POST, signed in its head by AWS's own signer.
struct Call {
    host: &'static str,
    region: &'static str,
    service: &'static str,
    form: String,
    signed: Vec<(&'static str, &'static str)>,
    unsigned: Vec<(&'static str, &'static str)>,
}

impl Call {
    fn describe(instances: &[&str]) -> Self {
        let ids = instances.iter().zip(1..).map(|(id, number)| format!("&InstanceId.{number}={id}"));
        let form = format!("Action=DescribeInstances&Version=2016-11-15{}", ids.collect::<String>());
        let (signed, unsigned) = (Vec::new(), Vec::new());
        Self { host: HOST, region: "us-east-1", service: "ec2", form, signed, unsigned }
    }

    async fn send(&self, emulator: &Emulator, credentials: &Credentials) -> Answer {
        let identity = aws_credential_types::Credentials::new(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            credentials.session_token.clone(),
            None,
            "test",
        )
        .into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let url = format!("https://{}/", self.host);
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers = || self.signed.iter().copied().chain([form]);
        let body = SignableBody::Bytes(self.form.as_bytes());
        let signable = SignableRequest::new("POST", &url, headers(), body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = http::Request::post(&url);
        for (name, value) in headers().chain(self.unsigned.iter().copied()) {
            request = request.header(name, value);
        }
        let mut request = request.body(self.form.clone()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let client = builder(emulator).no_proxy().resolve(self.host, emulator.address()).build().unwrap();
        let request = request.try_into().unwrap();
        answer(reqwest::RequestBuilder::from_parts(client, request)).await
    }
}

#[tokio::test]
async fn it_describes_what_it_has() {
    let (emulator, server) = emulator().await;
    let answer = Call::describe(&[ONE, TWO]).send(&emulator, &server).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for text in [
        "<instanceId>i-0000000000000001a</instanceId>",
        "<privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName>",
        "<privateDnsName>ip-10-0-0-2.ec2.internal</privateDnsName>",
    ] {
        assert!(answer.body.contains(text), "{text} is missing in {}", answer.body);
    }
    let request = emulator.last_requests().pop().unwrap();
    assert_eq!((request.host.as_str(), request.outcome), (HOST, "Success"));
    assert_eq!(request.instances, [ONE, TWO]);
}

#[tokio::test]
async fn one_unknown_instance_fails_all_and_is_named() {
    let (emulator, server) = emulator().await;
    for (asked, code, message) in [
        (
            &[ONE, "i-0000009a"][..],
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0000009a' does not exist",
        ),
        (
            &["i-0000009a", TWO, "i-0000009b"],
            "InvalidInstanceID.NotFound",
            "The instance IDs 'i-0000009a, i-0000009b' do not exist",
        ),
        (&[ONE, "i-x"], "InvalidInstanceID.Malformed", "Invalid id: \"i-x\""),
    ] {
        let answer = Call::describe(asked).send(&emulator, &server).await;
        assert_eq!(answer.verdict(), (400, code));
        assert_eq!(answer.element("Message").replace("&apos;", "'").replace("&quot;", "\""), message);
        assert!(!answer.body.contains("ip-10-0-0-"), "{answer:?}");
    }
}

#[tokio::test]
async fn who_asks_is_checked() {
    let (emulator, server) = emulator().await;
    let mut wrong = server.clone();
    wrong.secret_access_key.push('x');
    let describe = || Call::describe(&[ONE]);
    for (call, credentials) in [
        (describe(), &wrong),
        (Call { service: "sts", ..describe() }, &server),
        (Call { region: "eu-west-1", ..describe() }, &server),
    ] {
        assert_eq!(call.send(&emulator, credentials).await.verdict(), (401, "AuthFailure"));
    }
    assert!(emulator.principals().set_status(&server.access_key_id, KeyStatus::Expired));
    assert_eq!(describe().send(&emulator, &server).await.verdict(), (400, "RequestExpired"));

    assert!(emulator.principals().set_status(&server.access_key_id, KeyStatus::Active));
    emulator.instances().allow_only("Another");
    assert_eq!(describe().send(&emulator, &server).await.verdict(), (403, "UnauthorizedOperation"));
    emulator.instances().allow_only("Authenticator");
    assert_eq!(describe().send(&emulator, &server).await.status, 200);
}

#[tokio::test]
async fn its_faults_are_not_stss() {
    let (emulator, server) = emulator().await;
    let who = || Call {
        host: "sts.us-east-1.amazonaws.com",
        service: "sts",
        form: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
        ..Call::describe(&[])
    };
    emulator.instances().faults().set(Fault::Throttle);
    let describe = || Call::describe(&[ONE]);
    assert_eq!(describe().send(&emulator, &server).await.verdict(), (503, "RequestLimitExceeded"));
    assert_eq!(who().send(&emulator, &server).await.status, 200);
    emulator.instances().faults().clear();
    emulator.faults().set(Fault::Throttle);
    assert_eq!(describe().send(&emulator, &server).await.status, 200);
    assert_eq!(who().send(&emulator, &server).await.verdict(), (400, "Throttling"));
}

#[tokio::test]
async fn a_source_counts_where_it_is_signed() {
    const ROLE: &str = "arn:aws:iam::111122223333:role/Describe";
    const SOURCE: &str = "arn:aws:eks:us-east-1:111122223333:cluster/test";
    let (emulator, server) = emulator().await;
    let source = Some((SOURCE.to_owned(), ACCOUNT.parse().unwrap()));
    emulator.trust().set(ROLE, TrustPolicy { source, ..TrustPolicy::default() });
    let both = vec![("x-amz-source-arn", SOURCE), ("x-amz-source-account", ACCOUNT)];
    let assume = |signed, unsigned| Call {
        host: "sts.us-east-1.amazonaws.com",
        service: "sts",
        form: format!("Action=AssumeRole&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=test"),
        signed,
        unsigned,
        ..Call::describe(&[])
    };
    assert_eq!(assume(both.clone(), vec![]).send(&emulator, &server).await.status, 200);
    let denied = (403, "AccessDenied");
    assert_eq!(assume(vec![], both.clone()).send(&emulator, &server).await.verdict(), denied);
    assert_eq!(assume(vec![both[0]], vec![]).send(&emulator, &server).await.verdict(), denied);
    let other = vec![both[0], ("x-amz-source-account", "444455556666")];
    assert_eq!(assume(other, vec![]).send(&emulator, &server).await.verdict(), denied);
}

#[tokio::test]
async fn metadata_is_told_to_whoever_has_a_token() {
    let role = Principals::new().role(ACCOUNT, "Node", ONE);
    let metadata = Metadata::start("eu-west-1", "Node", role.clone()).await.unwrap();
    let url = metadata.env()[0].1.clone();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, token: Option<&str>| {
        let mut request = client.get(format!("{url}/latest/meta-data/{path}"));
        if let Some(token) = token {
            request = request.header("x-aws-ec2-metadata-token", token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("placement/region", None).await.0, 401);
    assert_eq!(get("placement/region", Some("guessed")).await.0, 401);
    let token = async |ttl: &str| {
        let request = client.put(format!("{url}/latest/api/token"));
        request.header("x-aws-ec2-metadata-token-ttl-seconds", ttl).send().await.unwrap()
    };
    assert_eq!(token("0").await.status(), 400);
    let token = token("60").await.text().await.unwrap();
    assert_eq!(get("placement/region", Some(&token)).await, (200, "eu-west-1".to_owned()));
    assert_eq!(get("iam/security-credentials/", Some(&token)).await, (200, "Node".to_owned()));
    let (status, credentials) = get("iam/security-credentials/Node", Some(&token)).await;
    let credentials: serde_json::Value = serde_json::from_str(&credentials).unwrap();
    assert_eq!((status, credentials["AccessKeyId"].as_str()), (200, Some(role.access_key_id.as_str())));
    assert_eq!(get("iam/security-credentials/Other", Some(&token)).await.0, 404);
    assert_eq!((metadata.credentials_fetched(), metadata.refused()), (1, 2));
}
