use std::time::Duration;

use arngate::identity::Partition;
use arngate_lab::sts::{Clock, Emulator, KeyStatus, Principals};
use jiff::SignedDuration;
use tokio::time::timeout;

use crate::support::{ACCOUNT, HOST, Presigned, answer, client, emulator, get};

#[tokio::test]
async fn the_caller_in_xml() {
    let (emulator, alice) = emulator().await;
    let answer = Presigned::default().send(&emulator, &alice).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/xml");
    assert_eq!(answer.headers["x-amzn-requestid"], answer.element("RequestId"));
    assert!(
        answer
            .body
            .starts_with("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">")
    );
    assert_eq!(answer.element("Account"), ACCOUNT);
    assert_eq!(answer.element("Arn"), "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.org");
    let known = emulator.principals().get(&alice.access_key_id).unwrap();
    assert_eq!(answer.element("UserId"), known.user_id);
}

#[tokio::test]
async fn the_caller_and_errors_in_json() {
    let (emulator, alice) = emulator().await;
    let (client, url) = (client(&emulator, HOST), Presigned::default().url(&alice));
    let json = |cluster: &'static str| {
        let request = client.get(&url).header("accept", "application/json").header("x-k8s-aws-id", cluster);
        async {
            let answer = answer(request).await;
            assert_eq!(answer.headers["content-type"], "application/json");
            (answer.status, serde_json::from_str::<serde_json::Value>(&answer.body).unwrap())
        }
    };

    let (status, body) = json("test").await;
    assert_eq!(status, 200, "{body}");
    let result = &body["GetCallerIdentityResponse"]["GetCallerIdentityResult"];
    assert_eq!(result["Account"], ACCOUNT);
    assert_eq!(result["Arn"], "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.org");
    assert!(body["GetCallerIdentityResponse"]["ResponseMetadata"]["RequestId"].is_string());

    let (status, body) = json("another").await;
    assert_eq!((status, &body["Error"]["Code"]), (403, &"SignatureDoesNotMatch".into()));
    assert_eq!(body["Error"]["Type"], "Sender");
    assert!(body["RequestId"].is_string());
}

#[tokio::test]
async fn every_kind_of_principal_in_every_partition() {
    for (partition, host, region) in [
        (Partition::Aws, "sts.amazonaws.com", "us-east-1"),
        (Partition::Aws, "sts.eu-central-1.api.aws", "eu-central-1"),
        (Partition::AwsCn, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (Partition::AwsUsGov, "sts-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        (Partition::AwsIso, "sts.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        (Partition::AwsIsoB, "sts.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        (Partition::AwsIsoE, "sts.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        (Partition::AwsIsoF, "sts.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        (Partition::AwsEusc, "sts.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    ] {
        let principals = Principals::new().in_partition(partition);
        let emulator = Emulator::builder().principals(principals.clone()).start().await.unwrap();
        let presigned = Presigned { host: host.to_owned(), region, ..Presigned::default() };
        for credentials in [
            principals.role(ACCOUNT, "Admin", "alice"),
            principals.user(ACCOUNT, "ops/bob"),
            principals.root(ACCOUNT),
            principals.federated_user(ACCOUNT, "Carol"),
        ] {
            let answer = presigned.send(&emulator, &credentials).await;
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
            let known = principals.get(&credentials.access_key_id).unwrap();
            assert_eq!(answer.element("Arn"), known.arn);
            assert!(known.arn.starts_with(&format!("arn:{partition}:")));
        }
    }
}

#[tokio::test]
async fn a_partition_knows_no_keys_of_another() {
    let principals = Principals::new();
    let there = principals.in_partition(Partition::AwsUsGov).user(ACCOUNT, "bob");
    let emulator = Emulator::builder().principals(principals).start().await.unwrap();
    let answer = Presigned::default().send(&emulator, &there).await;
    assert_eq!(answer.verdict(), (403, "InvalidClientTokenId"));
}

#[tokio::test]
async fn keys_can_be_disabled_expire_and_go_while_it_runs() {
    let clock = Clock::system();
    let principals = Principals::new();
    let alice = principals.role(ACCOUNT, "Admin", "alice");
    let emulator = Emulator::builder().principals(principals).clock(clock.clone()).start().await.unwrap();
    let presigned = Presigned::default();
    let set = |status| emulator.principals().set_status(&alice.access_key_id, status);

    for (status, expected) in [
        (KeyStatus::Expired, (403, "ExpiredToken")),
        (KeyStatus::Disabled, (403, "InvalidClientTokenId")),
        (KeyStatus::Active, (200, "")),
    ] {
        assert!(set(status));
        assert_eq!(presigned.send(&emulator, &alice).await.verdict(), expected);
    }
    set(KeyStatus::ActiveUntil(clock.now() + SignedDuration::from_mins(10)));
    assert_eq!(presigned.send(&emulator, &alice).await.status, 200);
    clock.advance(SignedDuration::from_mins(11));
    assert_eq!(presigned.send(&emulator, &alice).await.verdict(), (403, "ExpiredToken"));
    emulator.principals().remove(&alice.access_key_id);
    assert_eq!(presigned.send(&emulator, &alice).await.verdict(), (403, "InvalidClientTokenId"));
}

#[tokio::test]
async fn what_is_no_request_of_its_gets_stss_errors() {
    let (emulator, _) = emulator().await;
    let client = client(&emulator, HOST);
    for (query, expected) in [
        ("?Version=2011-06-15", (400, "MissingAction")),
        ("?Action=GetCallerIdentity", (400, "InvalidAction")),
        ("?Action=DeleteUser&Version=2011-06-15", (400, "InvalidAction")),
        ("?Action=GetCallerIdentity&Version=2011-06-15", (403, "MissingAuthenticationToken")),
        (
            "?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256",
            (400, "IncompleteSignature"),
        ),
        ("?Action=%zz", (404, "MalformedQueryString")),
    ] {
        let answer = get(&client, &format!("https://{HOST}/{query}"), "test").await;
        assert_eq!(answer.verdict(), expected, "{query}: {answer:?}");
        assert_eq!(answer.element("Type"), "Sender");
    }
}

#[tokio::test]
async fn a_request_for_nothing_leads_to_the_product_page_and_is_no_call() {
    let (emulator, _) = emulator().await;
    let answer = get(&client(&emulator, HOST), &format!("https://{HOST}/"), "test").await;
    assert_eq!(
        (answer.status, answer.headers["location"].as_bytes()),
        (302, &b"https://aws.amazon.com/iam"[..])
    );
    assert_eq!((emulator.pings(), emulator.calls()), (1, 0));
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_all_are_on_record() {
    let (emulator, alice) = emulator().await;
    let (client, url) = (client(&emulator, HOST), Presigned::default().url(&alice));
    for cluster in ["test", "another"] {
        get(&client, &url, cluster).await;
    }
    assert_eq!((emulator.calls(), emulator.connections()), (2, 1));
    assert_eq!(emulator.access_keys_seen(), 1);
    let seen = emulator.last_requests();
    let seen: Vec<_> = seen.iter().map(|record| (record.cluster_id.as_deref(), record.outcome)).collect();
    assert_eq!(seen, [(Some("test"), "Success"), (Some("another"), "SignatureDoesNotMatch")]);
    let first = &emulator.last_requests()[0];
    assert_eq!((first.method.as_str(), first.host.as_str()), ("GET", HOST));
    assert_eq!(first.action.as_deref(), Some("GetCallerIdentity"));
    assert_eq!(first.access_key_id.as_ref(), Some(&alice.access_key_id));
}

#[tokio::test]
async fn it_is_gone_when_dropped() {
    let (emulator, _) = emulator().await;
    let (address, proxy, ca) = (emulator.address(), emulator.proxy_address(), emulator.ca_file().to_owned());
    assert!(ca.is_file());
    drop(emulator);
    assert!(!ca.exists());
    // Its tasks end as soon as they run again.
    let refused = async {
        for address in [address, proxy] {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
    };
    timeout(Duration::from_secs(10), refused).await.expect("nothing listens any more");
}
