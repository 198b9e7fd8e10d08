//! Who is refused, and what our log says of it.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cluster::{Cluster, VERSIONS},
    support::{ACCOUNT, CLUSTER_ID, token_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_cluster_expired_and_unmapped_are_refused_with_the_reason_in_our_log() {
    for version in VERSIONS {
        let cluster = Cluster::start(version).await;
        let admin = cluster.principals.role(ACCOUNT, "Admin", "alice");
        let stranger = cluster.principals.user(ACCOUNT, "mallory");
        let old = Timestamp::now() - SignedDuration::from_mins(16);
        for (name, token, reason) in [
            (
                "another cluster's",
                token_for(&admin, "another-cluster", Timestamp::now()),
                "sts_signature_does_not_match",
            ),
            ("an expired one", token_for(&admin, CLUSTER_ID, old), "token_expired"),
            ("an unmapped user's", cluster.fresh_token(&stranger), "not_mapped"),
            ("garbage", "garbage".to_owned(), "token_not_ours"),
        ] {
            let words = cluster.whoami(&token).await.unwrap_err();
            assert!(words.contains("Unauthorized") || words.contains("must be logged in"), "{name}: {words}");
            assert_eq!(cluster.last_reason(), reason, "{name}");
            println!("{version:?}: {name}: {reason}");
        }
        assert!(cluster.whoami(&cluster.fresh_token(&admin)).await.is_ok());
        let log = std::fs::read_to_string(cluster.control_plane.apiserver_log()).unwrap();
        assert!(log.contains("no mapping matches the IAM principal"), "kube-apiserver logs why");
        assert!(
            !log.contains("unknown version") && !log.contains("expected kind"),
            "every answer has version and kind"
        );
    }
}
