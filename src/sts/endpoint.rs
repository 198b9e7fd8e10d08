//! STS's own hosts, and no others. A token may name one of these; nothing leaves for any other.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/sts.html>

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::regions;
use crate::identity::Partition;

/// The host of partition aws that belongs to no region, and signs as us-east-1.
const GLOBAL_HOST: &str = "sts.amazonaws.com";
/// The region that [`GLOBAL_HOST`] signs for.
const GLOBAL_REGION: &str = "us-east-1";

/// One of STS's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Box<str>,
    region: Box<str>,
    global: bool,
}

/// A host that is allowed beside STS's public ones, such as a VPC endpoint's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The host as tokens name it.
    pub host: String,
    /// The region that such tokens are signed for.
    pub region: String,
}

/// What is wrong with a configured region or host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No region looks like this.
    #[error("{0:?} is no region: want lower-case letters, digits and hyphens, such as eu-central-1")]
    Region(String),
    /// The region is another partition's.
    #[error("region {region} belongs to partition {owner}, not to {partition}")]
    OtherPartition {
        /// The region.
        region: String,
        /// Whose it is.
        owner: Partition,
        /// Whose it should be.
        partition: Partition,
    },
    /// No host looks like this.
    #[error(
        "{0:?} is no host name: want lower-case labels parted by dots, without port, such as vpce-1.sts.us-east-1.vpce.amazonaws.com"
    )]
    Host(String),
    /// The host is in the table already, for another region.
    #[error("host {host} is signed for {region}: leave it out of the extra hosts, or give that region")]
    OtherRegion {
        /// The host.
        host: String,
        /// The region that it already has.
        region: String,
    },
}

impl Endpoint {
    /// The public host of a region, in the region's own partition.
    ///
    /// A region that is not in the table is told by its beginning; anything else is partition aws's, where new
    /// regions appear.
    ///
    /// # Errors
    /// Where `region` cannot be a region's name.
    pub fn regional(region: &str) -> Result<Self, EndpointError> {
        let partition = partition_of(region)?;
        Ok(Self::new(&format!("sts.{region}.{}", suffix(partition)), region))
    }

    /// The host that the AWS SDKs sign for where a client asks for the region's FIPS or dual-stack one. The two
    /// together are in no server's table: FIPS wins. `aws-global` is the host of no region.
    ///
    /// # Errors
    /// As [`regional`](Self::regional).
    pub fn of_client(region: &str, fips: bool, dual_stack: bool) -> Result<Self, EndpointError> {
        let plain = Self::regional(region)?;
        if region == "aws-global" {
            return Ok(Self::global());
        }
        let partition = owner(region).unwrap_or(Partition::Aws);
        Ok(match dual_stack_suffix(partition) {
            // GovCloud's plain hosts are FIPS ones.
            _ if fips && partition == Partition::AwsUsGov => plain,
            _ if fips => Self::new(&format!("sts-fips.{region}.{}", suffix(partition)), region),
            Some(suffix) if dual_stack => Self::new(&format!("sts.{region}.{suffix}"), region),
            _ => plain,
        })
    }

    /// `sts.amazonaws.com`.
    #[must_use]
    pub fn global() -> Self {
        Self { global: true, ..Self::new(GLOBAL_HOST, GLOBAL_REGION) }
    }

    fn new(host: &str, region: &str) -> Self {
        Self { host: host.into(), region: region.into(), global: false }
    }

    /// The host, in lower case, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region that a request to it is signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The metrics' label: the region, or `global`, as aws-iam-authenticator has it.
    #[must_use]
    pub fn region_label(&self) -> &str {
        if self.global { "global" } else { &self.region }
    }
}

/// The hosts of one partition, by name. Small, fixed at start, and so a bound for caches and labels.
#[derive(Debug)]
pub struct Endpoints {
    by_host: HashMap<Box<str>, Arc<Endpoint>>,
}

impl Endpoints {
    /// STS's hosts in `partition`: the global one (aws alone), and each region's plain, FIPS and dual-stack
    /// one, for the regions in the table and `region`; and `extra_hosts`.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn new(
        partition: Partition,
        region: Option<&str>,
        extra_hosts: &[ExtraHost],
    ) -> Result<Self, EndpointError> {
        let mut all = Vec::new();
        if partition == Partition::Aws {
            all.push(Endpoint::global());
        }
        if let Some(region) = region {
            check_region_of(partition, region)?;
        }
        for region in regions::of(partition).iter().copied().chain(region) {
            let suffix = suffix(partition);
            all.push(Endpoint::new(&format!("sts.{region}.{suffix}"), region));
            all.push(Endpoint::new(&format!("sts-fips.{region}.{suffix}"), region));
            if let Some(suffix) = dual_stack_suffix(partition) {
                all.push(Endpoint::new(&format!("sts.{region}.{suffix}"), region));
            }
        }
        for ExtraHost { host, region } in extra_hosts {
            check_region_of(partition, region)?;
            check_host(host)?;
            all.push(Endpoint::new(host, region));
        }
        // A host has one region and one label: an extra host that is in the table already changes neither.
        let mut by_host = HashMap::<_, Arc<Endpoint>>::with_capacity(all.len());
        for endpoint in all {
            match by_host.entry(endpoint.host.clone()) {
                Entry::Vacant(free) => {
                    free.insert(Arc::new(endpoint));
                }
                Entry::Occupied(known) if known.get().region == endpoint.region => {}
                Entry::Occupied(known) => {
                    let region = known.get().region.to_string();
                    return Err(EndpointError::OtherRegion { host: endpoint.host.into(), region });
                }
            }
        }
        Ok(Self { by_host })
    }

    /// This endpoint alone.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        Self { by_host: HashMap::from([(endpoint.host.clone(), Arc::new(endpoint.clone()))]) }
    }

    /// The endpoint of exactly this host.
    #[must_use]
    pub fn look_up(&self, host: &str) -> Option<&Arc<Endpoint>> {
        self.by_host.get(host)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.by_host.values()
    }
}

pub(crate) const fn suffix(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
        Partition::AwsCn => "amazonaws.com.cn",
        Partition::AwsIso => "c2s.ic.gov",
        Partition::AwsIsoB => "sc2s.sgov.gov",
        Partition::AwsIsoE => "cloud.adc-e.uk",
        Partition::AwsIsoF => "csp.hci.ic.gov",
        Partition::AwsEusc => "amazonaws.eu",
    }
}

pub(crate) const fn dual_stack_suffix(partition: Partition) -> Option<&'static str> {
    match partition {
        Partition::Aws | Partition::AwsUsGov => Some("api.aws"),
        Partition::AwsCn => Some("api.amazonwebservices.com.cn"),
        Partition::AwsEusc => Some("api.amazonwebservices.eu"),
        Partition::AwsIso | Partition::AwsIsoB | Partition::AwsIsoE | Partition::AwsIsoF => None,
    }
}

/// Whose `region` is. One that is not in the table is told by its beginning; anything else is partition aws's,
/// where new regions appear.
///
/// # Errors
/// Where `region` cannot be a region's name.
pub(crate) fn partition_of(region: &str) -> Result<Partition, EndpointError> {
    check_region(region)?;
    Ok(owner(region).unwrap_or(Partition::Aws))
}

/// Whose `region` is: by the table, and for a region newer than that by its beginning, which each partition but
/// aws has for itself.
fn owner(region: &str) -> Option<Partition> {
    const BEGINNINGS: [(&str, Partition); 7] = [
        ("cn-", Partition::AwsCn),
        ("us-gov-", Partition::AwsUsGov),
        ("us-iso-", Partition::AwsIso),
        ("us-isob-", Partition::AwsIsoB),
        ("eu-isoe-", Partition::AwsIsoE),
        ("us-isof-", Partition::AwsIsoF),
        ("eusc-", Partition::AwsEusc),
    ];
    let listed = Partition::ALL.into_iter().find(|partition| regions::of(*partition).contains(&region));
    listed.or_else(|| {
        let found = BEGINNINGS.into_iter().find(|(beginning, _)| region.starts_with(beginning));
        found.map(|(_, partition)| partition)
    })
}

fn check_region_of(partition: Partition, region: &str) -> Result<(), EndpointError> {
    check_region(region)?;
    match owner(region) {
        Some(owner) if owner != partition => {
            Err(EndpointError::OtherPartition { region: region.to_owned(), owner, partition })
        }
        _ => Ok(()),
    }
}

/// At least one hyphen, so that `sts.<region>.amazonaws.com` cannot be made another service's host.
fn check_region(region: &str) -> Result<(), EndpointError> {
    if is_label(region) && region.contains('-') {
        Ok(())
    } else {
        Err(EndpointError::Region(region.to_owned()))
    }
}

fn check_host(host: &str) -> Result<(), EndpointError> {
    let labels: Vec<&str> = host.split('.').collect();
    // Where the last label is a number, hexadecimal ones included, the name is read as an IPv4 address. No
    // top-level domain begins with a digit.
    let name = labels.last().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
    if host.len() <= 253 && labels.len() >= 2 && name && labels.into_iter().all(is_label) {
        Ok(())
    } else {
        Err(EndpointError::Host(host.to_owned()))
    }
}

/// A host name's label (RFC 1123, 2.1) in lower case.
fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(partition: Partition) -> Endpoints {
        Endpoints::new(partition, None, &[]).unwrap()
    }

    #[test]
    fn each_partition_has_its_own_hosts() {
        for (partition, hosts) in [
            (
                Partition::Aws,
                &[
                    "sts.amazonaws.com",
                    "sts.us-east-1.amazonaws.com",
                    "sts.eu-central-1.api.aws",
                    "sts-fips.us-west-2.amazonaws.com",
                ][..],
            ),
            (
                Partition::AwsCn,
                &["sts.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.api.amazonwebservices.com.cn"],
            ),
            (Partition::AwsUsGov, &["sts.us-gov-west-1.amazonaws.com", "sts.us-gov-east-1.api.aws"]),
            (Partition::AwsIso, &["sts.us-iso-east-1.c2s.ic.gov"]),
            (Partition::AwsIsoB, &["sts.us-isob-east-1.sc2s.sgov.gov"]),
            (Partition::AwsIsoE, &["sts.eu-isoe-west-1.cloud.adc-e.uk"]),
            (Partition::AwsIsoF, &["sts.us-isof-south-1.csp.hci.ic.gov"]),
            (
                Partition::AwsEusc,
                &["sts.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.api.amazonwebservices.eu"],
            ),
        ] {
            for host in hosts {
                assert_eq!(endpoints(partition).look_up(host).map(|endpoint| endpoint.host()), Some(*host));
                for other in Partition::ALL.into_iter().filter(|other| *other != partition) {
                    assert!(endpoints(other).look_up(host).is_none(), "{other} has {host}");
                }
            }
        }
    }

    #[test]
    fn what_only_looks_like_sts_is_not_in_the_table() {
        let endpoints = endpoints(Partition::Aws);
        for host in [
            "",
            "sts",
            "sts.s3.amazonaws.com",
            "sts.us-east-1.amazonaws.com.evil.com",
            "sts.us-east-1.amazonaws.com.",
            "STS.us-east-1.amazonaws.com",
            "sts.mars-1.amazonaws.com",
            "sts.aws-global.amazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "sts-fips.amazonaws.com",
            "sts.us-east-1.amazonaws.com:443",
        ] {
            assert!(endpoints.look_up(host).is_none(), "{host}");
        }
    }

    #[test]
    fn what_a_client_may_ask_for_is_in_its_partitions_table() {
        for (region, fips, dual_stack, want) in [
            ("eu-central-1", false, false, "sts.eu-central-1.amazonaws.com"),
            ("us-west-2", true, false, "sts-fips.us-west-2.amazonaws.com"),
            ("us-west-2", true, true, "sts-fips.us-west-2.amazonaws.com"),
            ("us-gov-west-1", true, false, "sts.us-gov-west-1.amazonaws.com"),
            ("eu-central-1", false, true, "sts.eu-central-1.api.aws"),
            ("us-iso-east-1", false, true, "sts.us-iso-east-1.c2s.ic.gov"),
            ("aws-global", false, false, "sts.amazonaws.com"),
        ] {
            let endpoint = Endpoint::of_client(region, fips, dual_stack).unwrap();
            assert_eq!(endpoint.host(), want);
            let partition = owner(region).unwrap_or(Partition::Aws);
            assert_eq!(endpoints(partition).look_up(want).map(|known| &**known), Some(&endpoint), "{want}");
        }
        assert!(Endpoint::of_client("us east", false, false).is_err());
    }

    #[test]
    fn the_global_host_signs_as_us_east_1_and_is_labelled_global() {
        let global = Endpoint::global();
        assert_eq!((global.region(), global.region_label()), ("us-east-1", "global"));
        assert_eq!(Endpoint::regional("us-east-1").unwrap().region_label(), "us-east-1");
    }

    #[test]
    fn a_configured_region_and_extra_hosts_are_added() {
        let extra =
            ExtraHost { host: "vpce-1.sts.us-east-1.vpce.amazonaws.com".into(), region: "us-east-1".into() };
        let endpoints = Endpoints::new(Partition::Aws, Some("mars-north-1"), &[extra]).unwrap();
        assert!(endpoints.look_up("sts.mars-north-1.amazonaws.com").is_some());
        let vpce = endpoints.look_up("vpce-1.sts.us-east-1.vpce.amazonaws.com").unwrap();
        assert_eq!(vpce.region(), "us-east-1");
    }

    #[test]
    fn a_region_or_host_that_is_none_is_refused() {
        for region in ["", "s3", "us-east-1.evil.com", "us_east", "-us-east", "US-EAST-1", "a/b-c"] {
            assert_eq!(Endpoint::regional(region), Err(EndpointError::Region(region.to_owned())));
        }
        for host in
            ["", "localhost", "127.0.0.1", "127.0.0.0x1", "a.b:443", "A.b", "a..b", "a.b.", "[::1]", "a.b/c"]
        {
            let extra = ExtraHost { host: host.to_owned(), region: "us-east-1".to_owned() };
            let error = Endpoints::new(Partition::Aws, None, &[extra]).unwrap_err();
            assert_eq!(error, EndpointError::Host(host.to_owned()));
        }
    }

    #[test]
    fn a_region_of_another_partition_is_refused_even_when_it_is_newer_than_the_table() {
        for region in ["us-gov-west-1", "us-gov-mars-1"] {
            assert_eq!(
                Endpoints::new(Partition::Aws, Some(region), &[]).unwrap_err(),
                EndpointError::OtherPartition {
                    region: region.to_owned(),
                    owner: Partition::AwsUsGov,
                    partition: Partition::Aws,
                }
            );
        }
        Endpoints::new(Partition::AwsIso, Some("us-iso-mars-1"), &[]).unwrap();
    }

    #[test]
    fn an_extra_host_takes_no_host_from_its_region() {
        let with = |hosts: &[(&str, &str)]| {
            let extra =
                |(host, region): &(&str, &str)| ExtraHost { host: (*host).into(), region: (*region).into() };
            Endpoints::new(Partition::Aws, None, &hosts.iter().map(extra).collect::<Vec<_>>())
        };
        for hosts in [
            &[("sts.eu-west-1.amazonaws.com", "us-east-1")][..],
            &[("sts.amazonaws.com", "eu-west-1")],
            &[("a.example", "us-east-1"), ("a.example", "eu-west-1")],
        ] {
            let error = with(hosts).unwrap_err();
            assert!(matches!(error, EndpointError::OtherRegion { .. }), "{error}");
        }
        let endpoints = with(&[("sts.amazonaws.com", "us-east-1"), ("a.example", "us-east-1")]).unwrap();
        let label = |host| endpoints.look_up(host).map(|endpoint| endpoint.region_label());
        assert_eq!(label("sts.amazonaws.com"), Some("global"));
        assert_eq!(label("a.example"), Some("us-east-1"));
    }

    #[test]
    fn a_regions_host_is_in_the_table_of_its_partition() {
        for partition in Partition::ALL {
            for region in regions::of(partition) {
                let endpoint = Endpoint::regional(region).unwrap();
                assert_eq!(
                    endpoints(partition).look_up(endpoint.host()).map(|known| known.region()),
                    Some(*region)
                );
            }
        }
        assert_eq!(Endpoint::regional("cn-mars-1").unwrap().host(), "sts.cn-mars-1.amazonaws.com.cn");
    }
}
