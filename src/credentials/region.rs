//! The region whose STS is used, found where aws-iam-authenticator looks for it.

use std::time::Duration;

use aws_config::{
    Region,
    imds::{self, region::ImdsRegionProvider},
    meta::region::ProvideRegion,
    profile::region::ProfileFileRegionProvider,
};

/// Where nothing names a region, as in aws-iam-authenticator.
pub const DEFAULT_REGION: &str = "us-east-1";

/// How long the instance's metadata may take. Away from EC2 nothing answers there, and somebody waits for the
/// token.
const IMDS_TIMEOUT: Duration = Duration::from_secs(1);

/// The region asked for, else the environment's, the profile's, the instance's, else [`DEFAULT_REGION`]. An empty
/// name says nothing.
pub(super) async fn find(asked: Option<&str>) -> Region {
    let given = |name: &String| !name.is_empty();
    let variable = |name| std::env::var(name).ok().filter(given);
    let named = asked.map(str::to_owned).filter(given);
    let named = named.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
    if let Some(name) = named {
        return Region::new(name);
    }
    let profile = ProfileFileRegionProvider::builder().build();
    if let Some(region) = profile.region().await.filter(|region| !region.as_ref().is_empty()) {
        return region;
    }
    let client = imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(IMDS_TIMEOUT)
        .read_timeout(IMDS_TIMEOUT)
        .build();
    let instance = ImdsRegionProvider::builder().imds_client(client).build();
    // The metadata takes two requests: one for its own token, one for the region.
    let region = tokio::time::timeout(IMDS_TIMEOUT * 2, instance.region()).await.ok().flatten();
    region.unwrap_or(Region::from_static(DEFAULT_REGION))
}
