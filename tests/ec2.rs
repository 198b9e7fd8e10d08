//! Nodes are told by their instances' private DNS names, which EC2 knows: `{{EC2PrivateDNSName}}`.

mod support;

use std::time::{Duration, Instant};

use arngate_lab::{
    ec2::Metadata,
    sts::{Credentials, Emulator, Fault, Principals, Record, TrustPolicy},
};
use futures::future::join_all;
use serde_json::Value;
use support::{ACCOUNT, Answer, Server, Setup, emulator, token};

const NODES: &str = "  mapRoles:
  - rolearn: arn:aws:iam::111122223333:role/Node
    username: system:node:{{EC2PrivateDNSName}}
    groups: [system:bootstrappers, system:nodes, 'of:{{EC2PrivateDNSName}}']
  mapUsers:
  - userarn: arn:aws:iam::111122223333:user/bob
    username: '{{EC2PrivateDNSName}}'
";

/// A server that has the emulator as EC2 too, and credentials of a role for it.
fn setup(emulator: &Emulator, server: &str) -> Setup {
    let authenticator = emulator.principals().role(ACCOUNT, "Authenticator", "server");
    authenticator
        .env()
        .iter()
        .fold(without_credentials(emulator, server), |setup, (name, value)| setup.env(name, value))
}

fn without_credentials(emulator: &Emulator, server: &str) -> Setup {
    Setup::new(emulator, &format!("{server}{NODES}"))
        .arg("--ec2-connect-to", &emulator.address().to_string())
        .env("AWS_REGION", "eu-west-1")
}

fn id(number: usize) -> String {
    format!("i-{number:017x}")
}

fn name(number: usize) -> String {
    format!("ip-10-0-0-{number}.eu-west-1.compute.internal")
}

/// A token of the node role's session on an instance.
fn node(principals: &Principals, session: &str) -> String {
    token(&principals.role(ACCOUNT, "Node", session))
}

/// The calls of DescribeInstances so far.
fn calls(emulator: &Emulator) -> Vec<Record> {
    let requests = emulator.last_requests().into_iter();
    requests.filter(|record| record.action.as_deref() == Some("DescribeInstances")).collect()
}

fn last_reason(server: &Server) -> Value {
    server.audit().last().unwrap()["reason"].clone()
}

async fn review_all(server: &Server, tokens: &[String]) -> Vec<Answer> {
    join_all(tokens.iter().map(|token| server.review(token))).await
}

#[tokio::test]
async fn a_node_is_its_instances_private_dns_name() {
    let (emulator, principals) = emulator().await;
    emulator.instances().add(&id(1), &name(1));
    emulator.instances().add("i-0123abcd", &name(2));
    let server = setup(&emulator, "").start();
    for (session, name) in [(id(1), name(1)), ("i-0123abcd".to_owned(), name(2))] {
        let answer = server.review(&node(&principals, &session)).await;
        let user = answer.user();
        assert_eq!(user["username"], format!("system:node:{name}"));
        assert_eq!(user["groups"][2], format!("of:{name}"));
        assert_eq!(user["extra"]["sessionName"][0], session);
    }
    let calls = calls(&emulator);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].host, "ec2.eu-west-1.amazonaws.com");
    server.review(&node(&principals, &id(1))).await.user();
    let metrics = server.metrics().await;
    for line in [
        "aws_iam_authenticator_ec2_describe_instances_calls_total 2",
        "aws_iam_authenticator_ec2_names 2",
        r#"aws_iam_authenticator_ec2_name_lookups_total{result="known"} 1"#,
        r#"aws_iam_authenticator_ec2_name_lookups_total{result="asked"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn only_a_roles_session_that_is_named_after_an_instance_is_asked_about() {
    let (emulator, principals) = emulator().await;
    let server = setup(&emulator, "").start();
    let sessions =
        ["alice", "i-0123", "i-0123456789abcdefg", "i-0123ABCD", "x-0123abcd", "i-0123abcd.", "i-0123_bcd"];
    let mut tokens: Vec<_> = sessions.iter().map(|session| node(&principals, session)).collect();
    // No session at all.
    tokens.push(token(&principals.user(ACCOUNT, "bob")));
    for token in tokens {
        server.review(&token).await.assert_passing_denial();
        assert_eq!(last_reason(&server), "not_rendered");
    }
    assert_eq!(calls(&emulator), []);
}

#[tokio::test]
async fn nodes_that_come_together_are_one_call_and_a_node_that_comes_twice_is_asked_about_once() {
    let (emulator, principals) = emulator().await;
    let server = setup(&emulator, "").start();
    for number in 0..50 {
        emulator.instances().add(&id(number), &name(number));
    }
    // Looking the AWS configuration up is the first call's; what comes meanwhile is gathered by time alone.
    let tokens: Vec<_> = (0..50).map(|number| node(&principals, &id(number))).collect();
    // Each twice.
    let answers = review_all(&server, &[tokens.clone(), tokens].concat()).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.user()["username"], format!("system:node:{}", name(number % 50)));
    }
    let asked: Vec<_> = calls(&emulator).into_iter().map(|call| call.instances).collect();
    assert_eq!(asked.iter().map(Vec::len).sum::<usize>(), 50, "each instance once");
    assert!(asked.len() < 50, "{} calls", asked.len());
}

#[tokio::test]
async fn an_unknown_instance_is_a_passing_denial_and_spoils_nobody_elses_answer() {
    let (emulator, principals) = emulator().await;
    let server = setup(&emulator, "").start();
    for number in 0..5 {
        emulator.instances().add(&id(number), &name(number));
    }
    emulator.instances().add(&id(7), "");
    let tokens: Vec<_> = (0..8).map(|number| node(&principals, &id(number))).collect();
    let answers = review_all(&server, &tokens).await;
    for (number, answer) in answers.iter().enumerate() {
        if number < 5 {
            assert_eq!(answer.user()["username"], format!("system:node:{}", name(number)));
        } else {
            // 5 and 6 are unknown; 7 is terminated, and has no name any more.
            answer.assert_passing_denial();
        }
    }
    let outcomes: Vec<_> = calls(&emulator).into_iter().map(|call| call.outcome).collect();
    assert!(
        outcomes.contains(&"InvalidInstanceID.NotFound") && outcomes.contains(&"Success"),
        "{outcomes:?}"
    );
    let reasons: Vec<_> = server.audit().iter().map(|record| record["reason"].clone()).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "instance_unknown").count(), 3);

    // It is remembered for some seconds, and EC2 is spared.
    let before = calls(&emulator).len();
    server.review(&tokens[5]).await.assert_passing_denial();
    assert_eq!(calls(&emulator).len(), before);
}

#[tokio::test]
async fn what_passes_is_asked_again_and_what_does_not_is_no_verdict() {
    let (emulator, principals) = emulator().await;
    for number in 0..20 {
        emulator.instances().add(&id(number), &name(number));
    }
    let server = setup(&emulator, "").start();
    let faults = emulator.instances().faults().clone();
    for (number, fault) in
        [Fault::Throttle, Fault::Status(http::StatusCode::INTERNAL_SERVER_ERROR), Fault::Reset]
            .into_iter()
            .enumerate()
    {
        faults.set_for(fault, 2);
        server.review(&node(&principals, &id(number))).await.user();
    }
    let xml = |text: &str| Fault::Body("text/xml".to_owned(), text.to_owned().into());
    for (fault, reason) in [
        (Fault::Throttle, "ec2_throttled"),
        (Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE), "ec2_server_error"),
        (Fault::Hang, "ec2_timeout"),
        (Fault::Reset, "ec2_transport"),
        (Fault::Redirect("https://ec2.us-east-1.amazonaws.com/".to_owned()), "ec2_unexpected_status"),
        (Fault::Oversized(16 * 1024 * 1024), "ec2_oversized"),
        (xml("what?"), "ec2_unreadable"),
        (xml("<!DOCTYPE a [<!ENTITY b 'c'>]><DescribeInstancesResponse/>"), "ec2_unreadable"),
    ] {
        faults.set(fault.clone());
        let started = Instant::now();
        server.review(&node(&principals, &id(10))).await.assert_no_verdict(503);
        assert!(started.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", started.elapsed());
        assert_eq!(last_reason(&server), reason, "{fault:?}");
    }
    faults.clear();
    server.review(&node(&principals, &id(10))).await.user();
    let metrics = server.metrics().await;
    for reason in ["ec2_throttled", "ec2_timeout", "ec2_transport"] {
        assert!(metrics.contains(&format!("failures_total{{reason=\"{reason}\"}}")), "{reason}\n{metrics}");
    }
    assert!(metrics.contains(r#"authenticate_latency_seconds_count{result="uknown_user"} 8"#), "{metrics}");
}

#[tokio::test]
async fn an_answer_about_somebody_else_names_nobody() {
    let (emulator, principals) = emulator().await;
    let server = setup(&emulator, "").start();
    let answer = |id: &str, name: &str| {
        let instance =
            format!("<item><instanceId>{id}</instanceId><privateDnsName>{name}</privateDnsName></item>");
        let body = format!(
            "<DescribeInstancesResponse><reservationSet><item><instancesSet>{instance}</instancesSet></item>\
             </reservationSet></DescribeInstancesResponse>"
        );
        Fault::Body("text/xml".to_owned(), body.into())
    };
    for (number, fault) in
        [answer(&id(99), &name(1)), answer(&id(1), "master system:x"), answer(&id(2), "a/b")]
            .into_iter()
            .enumerate()
    {
        emulator.instances().faults().set(fault);
        server.review(&node(&principals, &id(number))).await.assert_passing_denial();
        assert_eq!(last_reason(&server), "instance_unknown");
    }
}

#[tokio::test]
async fn the_role_is_assumed_on_behalf_of_its_source() {
    const ROLE: &str = "arn:aws:iam::444455556666:role/path/DescribeInstances";
    const SOURCE: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/test";
    let (emulator, principals) = emulator().await;
    emulator.instances().add(&id(1), &name(1));
    emulator.instances().allow_only("DescribeInstances");
    let source = Some((SOURCE.to_owned(), ACCOUNT.parse().unwrap()));
    emulator.trust().set(ROLE, TrustPolicy { source, ..TrustPolicy::default() });
    let node = node(&principals, &id(1));

    let reviewed = async |server: &str| {
        let server = setup(&emulator, server).start();
        let answer = server.review(&node).await;
        (answer, server)
    };
    let (answer, server) = reviewed("").await;
    answer.assert_no_verdict(503);
    assert_eq!(last_reason(&server), "ec2_refused", "the credentials found may not describe instances");
    assert!(server.log_text().contains("UnauthorizedOperation"), "{}", server.log_text());

    let role = format!("  ec2DescribeInstancesRoleARN: {ROLE}\n");
    for source in
        [String::new(), "  sourceARN: arn:aws:eks:eu-west-1:111122223333:cluster/other\n".to_owned()]
    {
        let (answer, server) = reviewed(&format!("{role}{source}")).await;
        answer.assert_no_verdict(503);
        assert_eq!(last_reason(&server), "ec2_no_credentials", "the role may not be assumed");
        assert!(server.log_text().contains("STS refuses with AccessDenied"), "{}", server.log_text());
    }

    let (answer, server) = reviewed(&format!("{role}  sourceARN: {SOURCE}\n")).await;
    assert_eq!(answer.user()["username"], format!("system:node:{}", name(1)));
    let assumed: Vec<_> = emulator
        .last_requests()
        .into_iter()
        .filter(|record| record.action.as_deref() == Some("AssumeRole"))
        .collect();
    assert_eq!(assumed.last().map(|record| record.host.as_str()), Some("sts.eu-west-1.amazonaws.com"));
    // One session serves many calls.
    emulator.instances().add(&id(2), &name(2));
    server.review(&support::token(&principals.role(ACCOUNT, "Node", &id(2)))).await.user();
    assert_eq!(emulator.outcomes()["Success"], 5 + 2 + 1, "reviews, calls of EC2, one session");
}

#[tokio::test]
async fn credentials_and_region_come_from_the_instances_metadata() {
    let (emulator, principals) = emulator().await;
    emulator.instances().add(&id(1), &name(1));
    emulator.instances().add(&id(2), &name(2));
    let profile = principals.role(ACCOUNT, "ControlPlane", "i-0000000000000cafe");
    let metadata = Metadata::start("ap-southeast-2", "ControlPlane", profile.clone()).await.unwrap();
    let mut setup = Setup::new(&emulator, NODES).arg("--ec2-connect-to", &emulator.address().to_string());
    for (name, value) in metadata.env() {
        setup = setup.env(&name, &value);
    }
    let server = setup.start();
    assert_eq!(metadata.credentials_fetched(), 0, "nothing is looked up before it is needed");
    for number in [1, 2] {
        let answer = server.review(&node(&principals, &id(number))).await;
        assert_eq!(answer.user()["username"], format!("system:node:{}", name(number)));
    }
    let calls = calls(&emulator);
    assert!(calls.iter().all(|call| call.host == "ec2.ap-southeast-2.amazonaws.com"), "{calls:?}");
    assert!(calls.iter().all(|call| call.access_key_id.as_ref() == Some(&profile.access_key_id)));
    assert_eq!((metadata.credentials_fetched(), metadata.refused()), (1, 0), "fetched once, by version 2");
    let secrets = [&profile.secret_access_key, profile.session_token.as_ref().unwrap()];
    assert!(secrets.into_iter().all(|secret| !server.log_text().contains(secret)));
}

#[tokio::test]
async fn without_credentials_or_a_region_there_is_no_verdict_and_the_log_says_what_to_do() {
    let (emulator, principals) = emulator().await;
    let node = node(&principals, &id(1));
    let server = without_credentials(&emulator, "").start();
    server.review(&node).await.assert_no_verdict(503);
    assert_eq!(last_reason(&server), "ec2_no_credentials");

    let server = setup(&emulator, "").env("AWS_REGION", "").start();
    server.review(&node).await.assert_no_verdict(503);
    assert_eq!(last_reason(&server), "ec2_no_region");
    assert!(server.log_text().contains("set AWS_REGION"), "{}", server.log_text());
    // Where nothing else names one, the server's does.
    emulator.instances().add(&id(1), &name(1));
    let server = setup(&emulator, "  region: us-west-2\n").env("AWS_REGION", "").start();
    server.review(&node).await.user();
    assert_eq!(calls(&emulator).last().unwrap().host, "ec2.us-west-2.amazonaws.com");
}

#[tokio::test]
async fn ec2_is_reached_by_the_proxy_variables_and_another_endpoint_by_the_aws_configuration() {
    let (emulator, principals) = emulator().await;
    emulator.instances().add(&id(1), &name(1));
    let authenticator = principals.role(ACCOUNT, "Authenticator", "server");
    let node = node(&principals, &id(1));
    let with = |setup: Setup, env: &[(&str, &str)]| {
        let setup = authenticator.env().iter().fold(setup, |setup, (name, value)| setup.env(name, value));
        env.iter().fold(setup.env("AWS_REGION", "eu-west-1"), |setup, (name, value)| setup.env(name, value))
    };
    let ca = emulator.ca_file().to_str().unwrap();
    let proxy = format!("http://{}", emulator.proxy_address());
    // The bundle by the variable that AWS's programs have for it.
    let server = with(Setup::without_sts(NODES), &[("HTTPS_PROXY", &proxy), ("AWS_CA_BUNDLE", ca)]).start();
    server.review(&node).await.user();
    assert_eq!(calls(&emulator)[0].host, "ec2.eu-west-1.amazonaws.com");
    // An empty one says nothing.
    let file = format!("  stsCABundle: {ca}\n{NODES}");
    let server = with(Setup::without_sts(&file), &[("HTTPS_PROXY", &proxy), ("AWS_CA_BUNDLE", "")]).start();
    server.review(&node).await.user();

    let url = format!("https://{}", emulator.address());
    let server = with(Setup::new(&emulator, NODES), &[("AWS_ENDPOINT_URL_EC2", &url)]).start();
    server.review(&node).await.user();
    assert_eq!(calls(&emulator)[2].host, emulator.address().to_string());
}

#[tokio::test]
async fn a_name_is_held_to_the_reserved_ones_and_a_scrubbed_accounts_is_told_with_nothing_beside_it() {
    let (emulator, principals) = emulator().await;
    for number in [1, 2] {
        emulator.instances().add(&id(number), &name(number));
    }
    let server = format!(
        "  scrubbedAccounts: ['{ACCOUNT}']\n  reservedPrefixConfig:\n  - backendMode: MountedFile\n    \
         usernamePrefixReserveList: ['system:node:ip-10-0-0-1.']\n"
    );
    let server = setup(&emulator, &server).start();
    server.review(&node(&principals, &id(1))).await.assert_passing_denial();
    assert_eq!(last_reason(&server), "username_reserved");
    let answer = server.review(&node(&principals, &id(2))).await;
    let (user, username) = (answer.user(), format!("system:node:{}", name(2)));
    assert_eq!(user["username"], username);
    assert_eq!(user["uid"], format!("aws-iam-authenticator:administrative:{username}"));
    assert_eq!(user["extra"], serde_json::json!({}));
    assert!(!server.log_text().contains(ACCOUNT), "{}", server.log_text());
}

#[tokio::test]
async fn a_role_that_maps_nobodys_instance_never_asks_ec2() {
    let (emulator, principals) = emulator().await;
    let server = without_credentials(&emulator, "").start();
    let stranger: Credentials = principals.role(ACCOUNT, "Stranger", &id(1));
    server.review(&token(&stranger)).await.assert_passing_denial();
    assert_eq!(last_reason(&server), "not_mapped");
    assert_eq!(calls(&emulator), []);
}
