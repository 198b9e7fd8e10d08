//! Either side restarts while the other runs.

use std::time::Instant;

use crate::{
    cluster::{Cluster, MAP_ROLES, VERSIONS},
    edits::until,
    support::ACCOUNT,
};

#[tokio::test(flavor = "multi_thread")]
async fn arngate_restarts_while_kube_apiserver_runs() {
    for version in VERSIONS {
        let mut cluster = Cluster::start(version).await;
        let bob = cluster.principals.user(ACCOUNT, "bob");
        for _ in 0..3 {
            assert_eq!(cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap()["username"], "bob");
            tokio::task::block_in_place(|| cluster.server.restart());
            // At once, whether or not aws-auth has been loaded: kube-apiserver is told to come again.
            assert_eq!(cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap()["username"], "bob");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_apiserver_restarts_while_arngate_runs() {
    for version in VERSIONS {
        let mut cluster = Cluster::start(version).await;
        let bob = cluster.principals.user(ACCOUNT, "bob");
        assert!(cluster.whoami(&cluster.fresh_token(&bob)).await.is_ok());
        cluster.control_plane.restart_apiserver().await.unwrap();
        assert_eq!(cluster.whoami(&cluster.fresh_token(&bob)).await.unwrap()["username"], "bob");
        // The watch is there again: an edit made now takes effect.
        cluster.write_aws_auth(&[("mapRoles", MAP_ROLES)]).await;
        let took = until(&cluster, &bob, false, Instant::now()).await;
        println!("{version:?}: an edit after the restart of kube-apiserver took {took:.1?}");
        assert!(cluster.whoami(&cluster.fresh_token(&bob)).await.is_err());
    }
}
