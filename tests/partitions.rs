//! Every partition has its own hosts and principals, and lets in no other's.

mod support;

use arngate::{
    identity::Partition,
    sts::Endpoint,
    token::{ClusterId, presign},
};
use arngate_lab::sts::Credentials;
use jiff::Timestamp;
use support::{ACCOUNT, CLUSTER_ID, Setup, emulator};

const REGIONS: [(Partition, &str); 8] = [
    (Partition::Aws, "eu-central-1"),
    (Partition::AwsCn, "cn-north-1"),
    (Partition::AwsUsGov, "us-gov-west-1"),
    (Partition::AwsIso, "us-iso-east-1"),
    (Partition::AwsIsoB, "us-isob-east-1"),
    (Partition::AwsIsoE, "eu-isoe-west-1"),
    (Partition::AwsIsoF, "us-isof-south-1"),
    (Partition::AwsEusc, "eusc-de-east-1"),
];

fn token(credentials: &Credentials, region: &str) -> String {
    let credentials = aws_credential_types::Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "test",
    );
    let cluster_id: ClusterId = CLUSTER_ID.parse().unwrap();
    let endpoint = Endpoint::regional(region).unwrap();
    presign(&credentials, &cluster_id, &endpoint, Timestamp::now()).unwrap().expose().to_owned()
}

#[tokio::test]
async fn each_partition_lets_in_its_own_principals_and_no_others() {
    let (emulator, principals) = emulator().await;
    let tokens: Vec<(Partition, String)> = REGIONS
        .iter()
        .map(|(partition, region)| {
            let role = principals.in_partition(*partition).role(ACCOUNT, "Admin", "alice");
            (*partition, token(&role, region))
        })
        .collect();
    for (partition, _) in REGIONS {
        let server = Setup::new(&emulator, "  mapAccounts: ['111122223333']\n")
            .arg("--partition", partition.id())
            .start();
        for (of, token) in &tokens {
            let calls = emulator.calls();
            let answer = server.review(token).await;
            if *of == partition {
                assert_eq!(answer.user()["username"], format!("arn:{partition}:iam::{ACCOUNT}:role/Admin"));
            } else {
                answer.assert_final_denial();
                assert_eq!(emulator.calls(), calls, "{of}'s STS is not asked by {partition}'s server");
            }
        }
    }
}
