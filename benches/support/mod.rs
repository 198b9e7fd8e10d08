//! What the benches have in common: a token, mappings, and an authenticator with an STS that always says the same.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its own part of it")]

use std::{collections::BTreeMap, fmt::Write, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use arngate::{
    authenticator::Authenticator,
    ec2,
    identity::{Identity, Partition},
    mapping::{BackendMode, Chain, CurrentChain, Snapshot},
    sts::{Client, ClientOptions, Endpoint, Endpoints, Limits, Verifier},
    telemetry::Metrics,
    token::{ClusterId, presign},
};
use arngate_lab::sts::{Credentials, Emulator, Fault, Principals};
use jiff::{SignedDuration, Timestamp};

/// Whose everybody is.
pub const ACCOUNT: &str = "111122223333";
/// Whom STS vouches for.
pub const ARN: &str = "arn:aws:sts::111122223333:assumed-role/Node-7/i-0123456789abcdef0";
/// STS's answer.
pub const ANSWER: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <GetCallerIdentityResult>
    <Arn>arn:aws:sts::111122223333:assumed-role/Node-7/i-0123456789abcdef0</Arn>
    <UserId>AROAEXAMPLEEXAMPLE234:i-0123456789abcdef0</UserId>
    <Account>111122223333</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>
";

/// A session of a role, with a security token.
pub fn credentials() -> Credentials {
    Principals::new().role(ACCOUNT, "Node-7", "i-0123456789abcdef0")
}

/// A token of `credentials`, signed at `time`.
pub fn token(credentials: &Credentials, time: Timestamp) -> String {
    let credentials = aws_credential_types::Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "bench",
    );
    let cluster_id: ClusterId = "bench".parse().unwrap();
    presign(&credentials, &cluster_id, &Endpoint::regional("us-east-1").unwrap(), time)
        .unwrap()
        .expose()
        .to_owned()
}

/// Tokens that differ in their time alone, all of them good at `now`.
pub fn tokens(now: Timestamp) -> Vec<String> {
    let credentials = credentials();
    (0..800).map(|second| token(&credentials, now - SignedDuration::from_secs(second))).collect()
}

/// The hosts of partition aws.
pub fn endpoints() -> Endpoints {
    Endpoints::new(Partition::Aws, None, &[]).unwrap()
}

/// Whom [`ANSWER`] is about.
pub fn identity() -> Identity {
    let account = ACCOUNT.parse().unwrap();
    let user_id = "AROAEXAMPLEEXAMPLE234:i-0123456789abcdef0";
    Identity::new(Partition::Aws, ARN, account, user_id, "ASIAIOSFODNN7EXAMPLE").unwrap()
}

/// aws-auth with so many roles, `Node-7` among them.
pub fn aws_auth(roles: usize) -> BTreeMap<String, String> {
    let mut list = String::new();
    for number in 0..roles {
        let _ = write!(
            list,
            "- rolearn: arn:aws:iam::{ACCOUNT}:role/Node-{number}\n  username: system:node:{{{{SessionName}}}}\n  \
             groups: [system:bootstrappers, system:nodes]\n"
        );
    }
    BTreeMap::from([("mapRoles".to_owned(), list)])
}

/// An STS that gives everybody the same answer and looks at nothing.
pub async fn sts() -> Emulator {
    let emulator = Emulator::builder().start().await.unwrap();
    emulator.faults().set(Fault::Body("text/xml".to_owned(), ANSWER.into()));
    emulator
}

/// An authenticator with `roles` roles, whose STS is at `address` with the CA in `ca_bundle`. It remembers STS's
/// answers for `cache_ttl`, and has no limits by rate.
pub fn authenticator(address: &str, ca_bundle: &Path, roles: usize, cache_ttl: Duration) -> Authenticator {
    let options = ClientOptions {
        connect_to: Some(address.parse().unwrap()),
        ca_bundle: Some(ca_bundle.to_owned()),
        ..ClientOptions::default()
    };
    let limits = Limits {
        cache_ttl,
        rate: NonZeroU32::new(0),
        access_key_rate: NonZeroU32::new(0),
        ..Limits::default()
    };
    let metrics = Metrics::new();
    let client = Client::new(&options, &"bench".parse().unwrap(), metrics.clone()).unwrap();
    let endpoints = endpoints();
    let (backend, publisher) = BackendMode::EksConfigMap.backend();
    publisher.publish(Arc::new(Snapshot::update(None, &aws_auth(roles).into()).0));
    Authenticator {
        ec2: ec2::Resolver::start(
            ec2::Options {
                role: None,
                source: None,
                region: None,
                rate: ec2::Rate::new(ec2::Rate::DEFAULT_PER_SECOND, ec2::Rate::DEFAULT_BURST).unwrap(),
                ec2: options.clone(),
                sts: options,
            },
            metrics.clone(),
        )
        .unwrap(),
        verifier: Verifier::new(client, Partition::Aws, &endpoints, &limits, &metrics).unwrap(),
        endpoints,
        chain: Arc::new(CurrentChain::new(Chain::new(vec![backend]))),
        scrubbed_accounts: std::collections::BTreeSet::new(),
    }
}
