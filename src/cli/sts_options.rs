//! The options by which `verify` reaches STS; `server` has the same ones.

use std::path::PathBuf;

use crate::{
    identity::Partition,
    sts::{ClientOptions, ConnectTo, EndpointError, Endpoints},
};

/// How STS is reached.
#[derive(Debug, clap::Args)]
pub(super) struct StsOptions {
    /// AWS partition whose tokens are taken
    #[arg(long, default_value = "aws", value_name = "PARTITION")]
    partition: Partition,
    /// A region to allow beside those in arngate's table
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Connect here for STS, whatever the token's host (a VPC endpoint, an emulator); Host, SNI and the
    /// certificate check stay
    #[arg(long, value_name = "HOST:PORT")]
    sts_connect_to: Option<ConnectTo>,
    /// PEM file of CAs to trust for STS beside the system's
    #[arg(long, value_name = "FILE")]
    sts_ca_bundle: Option<PathBuf>,
}

impl StsOptions {
    pub(super) const fn partition(&self) -> Partition {
        self.partition
    }

    pub(super) fn endpoints(&self) -> Result<Endpoints, EndpointError> {
        Endpoints::new(self.partition, self.region.as_deref(), &[])
    }

    pub(super) fn client(&self) -> ClientOptions {
        ClientOptions {
            connect_to: self.sts_connect_to.clone(),
            ca_bundle: self.sts_ca_bundle.clone(),
            ..ClientOptions::default()
        }
    }
}
