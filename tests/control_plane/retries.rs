//! 429 and 503 make kube-apiserver ask again, so that a hiccup of STS is not an error of kubectl's.

use arngate_lab::sts::Fault;
use http::StatusCode;

use crate::{
    cluster::{Cluster, VERSIONS},
    support::ACCOUNT,
};

#[tokio::test(flavor = "multi_thread")]
async fn kube_apiserver_tries_again_where_there_was_no_verdict() {
    for version in VERSIONS {
        let cluster = Cluster::start(version).await;
        let bob = cluster.principals.user(ACCOUNT, "bob");
        for (fault, reason) in [
            (Fault::Throttle, "sts_throttled"),
            (Fault::Status(StatusCode::SERVICE_UNAVAILABLE), "sts_server_error"),
            (Fault::Reset, "sts_transport"),
        ] {
            let before = cluster.server.audit().len();
            cluster.emulator.faults().set_for(fault.clone(), 2);
            let me = cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap();
            assert_eq!(me["username"], "bob");
            let audit = cluster.server.audit();
            let reasons: Vec<&str> =
                audit[before..].iter().map(|record| record["reason"].as_str().unwrap()).collect();
            assert_eq!(reasons[..3], [reason, reason, "mapped"], "{version:?} {fault:?}: {reasons:?}");
            println!("{version:?}: {reason} twice, then bob");
        }
    }
}
