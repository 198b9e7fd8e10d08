use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Ca, Clock, Conditions, Error, Fault, Faults, Principals, Record, Seen, TrustPolicies,
    access::Access,
    admin,
    answer::RequestIds,
    files::{Directory, write_private},
    log::StsLog,
    proxy,
    resolver::{Flaw, Resolver},
    server::{self, Front, Server},
    service::Sts,
};
use crate::ec2::{Ec2, Instances};

/// What an emulator is made with.
#[derive(Debug)]
pub struct EmulatorBuilder {
    principals: Principals,
    clock: Clock,
    conditions: Conditions,
    listen: SocketAddr,
    proxy: SocketAddr,
    admin: Option<SocketAddr>,
    directory: Option<PathBuf>,
}

impl EmulatorBuilder {
    /// The access keys that it knows; none otherwise.
    #[must_use]
    pub fn principals(mut self, principals: Principals) -> Self {
        self.principals = principals;
        self
    }

    /// What it takes the time from; the system's clock otherwise.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A fault to begin with.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.conditions.plan.fault = fault;
        self
    }

    /// Conditions to begin with, the fault included.
    #[must_use]
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Where its conditions can be changed and its figures read over HTTP; nowhere otherwise. Loopback alone.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Where it listens for TLS; otherwise, on a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where the proxy listens; otherwise, on a free port of 127.0.0.1.
    #[must_use]
    pub fn proxy(mut self, address: SocketAddr) -> Self {
        self.proxy = address;
        self
    }

    /// A directory for its files that stays; otherwise, a temporary one.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Starts it. Needs a tokio runtime's context.
    ///
    /// # Errors
    /// If it can't listen, or a certificate or file can't be made.
    pub async fn start(self) -> Result<Emulator, Error> {
        let directory = Directory::open(self.directory)?;
        let ca = Arc::new(Ca::generate(super::CA_NAME)?);
        let ca_file = directory.path().join("ca.pem");
        write_private(&ca_file, &ca.pem())?;
        let front = Front::new(tls_config(Resolver::new(Arc::clone(&ca), None)?)?);

        let (listener, address) = listen(self.listen).await?;
        let (proxy_listener, proxy_address) = listen(self.proxy).await?;
        let access = Access { principals: self.principals, clock: self.clock };
        let admin = match self.admin {
            Some(address) if !address.ip().is_loopback() => return Err(Error::AdminNotLoopback(address)),
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let server = Arc::new(Server {
            sts: Sts { access: access.clone(), trust: TrustPolicies::default() },
            ec2: Ec2 { access, instances: Instances::new() },
            faults: Faults::default(),
            log: StsLog::default(),
            request_ids: RequestIds::default(),
            front,
        });
        server.faults.apply(self.conditions);

        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, Arc::clone(&server), stop.clone()));
        tokio::spawn(proxy::serve(proxy_listener, address, stop.clone()));
        let admin_address = admin.map(|(listener, address)| {
            tokio::spawn(admin::serve(listener, Arc::clone(&server), stop.clone()));
            address
        });
        Ok(Emulator {
            server,
            ca,
            ca_file,
            address,
            proxy_address,
            admin_address,
            _stop: stop.drop_guard(),
            _directory: directory,
        })
    }
}

/// An STS emulator that runs until it is dropped.
#[derive(Debug)]
pub struct Emulator {
    // Dropped first: nobody is served from a directory that is gone.
    _stop: DropGuard,
    server: Arc<Server>,
    ca: Arc<Ca>,
    ca_file: PathBuf,
    address: SocketAddr,
    proxy_address: SocketAddr,
    admin_address: Option<SocketAddr>,
    _directory: Directory,
}

impl Emulator {
    /// An emulator of its own ports, CA and directory.
    #[must_use]
    pub fn builder() -> EmulatorBuilder {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        EmulatorBuilder {
            principals: Principals::new(),
            clock: Clock::system(),
            conditions: Conditions::default(),
            listen: any,
            proxy: any,
            admin: None,
            directory: None,
        }
    }

    /// Where it takes TLS connections, as `--sts-connect-to` of arngate wants it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its proxy takes connections.
    #[must_use]
    pub fn proxy_address(&self) -> SocketAddr {
        self.proxy_address
    }

    /// Where its conditions can be changed and its figures read, if anywhere.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The certificate of its CA, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// A file with that certificate, which is there as long as the emulator.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Writes the certificate of its CA, and nothing else, to another file.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write_ca(&self, path: &Path) -> Result<(), Error> {
        write_private(path, &self.ca.pem())
    }

    /// The access keys that it knows; changes count from the next request on.
    #[must_use]
    pub fn principals(&self) -> &Principals {
        &self.server.sts.access.principals
    }

    /// The conditions by which roles may be assumed; changes count from the next request on.
    #[must_use]
    pub fn trust(&self) -> &TrustPolicies {
        &self.server.sts.trust
    }

    /// The EC2 instances that it knows, and EC2's faults; changes count from the next request on.
    #[must_use]
    pub fn instances(&self) -> &Instances {
        &self.server.ec2.instances
    }

    /// What it takes the time from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.server.sts.access.clock
    }

    /// The fault that STS has; changes count from the next request on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// Has certificates have this flaw from now on, and ends the connections that there are; `None` has them be good
    /// again.
    ///
    /// # Errors
    /// If a certificate can't be made.
    pub fn flaw_certificates(&self, flaw: Option<Flaw>) -> Result<(), Error> {
        self.server.front.replace(tls_config(Resolver::new(Arc::clone(&self.ca), flaw)?)?);
        Ok(())
    }

    /// What it has seen, in numbers.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.server.log.seen()
    }

    /// How many requests it has had with an access key that it knows.
    #[must_use]
    pub fn calls_of(&self, access_key_id: &str) -> u64 {
        self.server.log.calls_of(access_key_id)
    }

    /// How many requests it has had, faulty ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.server.log.calls()
    }

    /// How many requests for nothing (`GET /`) it has had, which keep connections open. They are no calls.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.server.log.pings()
    }

    /// How many TLS connections it has had.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.server.log.connections()
    }

    /// How many of the access keys that it knows have been used, whatever came of it.
    #[must_use]
    pub fn access_keys_seen(&self) -> usize {
        self.server.log.access_keys()
    }

    /// How many requests came to what; see [`Record::outcome`].
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        self.server.log.outcomes()
    }

    /// The last requests, at most 1,024, the latest at the end.
    #[must_use]
    pub fn last_requests(&self) -> Vec<Record> {
        self.server.log.last()
    }

    /// The variables by which programs that know nothing of it reach it: its proxy, its CA, and regional
    /// endpoints.
    #[must_use]
    pub fn client_env(&self) -> Vec<(String, String)> {
        let proxy = format!("http://{}", self.proxy_address);
        let ca = self.ca_file.display().to_string();
        let (proxy, ca, direct) = (proxy.as_str(), ca.as_str(), "127.0.0.1,localhost,::1");
        // Some programs read the names in lower case, and some of those prefer them.
        [
            ("HTTPS_PROXY", proxy),
            ("https_proxy", proxy),
            ("NO_PROXY", direct),
            ("no_proxy", direct),
            ("SSL_CERT_FILE", ca),
            ("AWS_CA_BUNDLE", ca),
            ("REQUESTS_CA_BUNDLE", ca),
            ("CURL_CA_BUNDLE", ca),
            ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
            // Nothing answers there, and looking takes seconds.
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

fn tls_config(resolver: Resolver) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Listens, and says where clients of this machine find it.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let mut found = listener.local_addr().map_err(failed)?;
    match found.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => found.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => found.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok((listener, found))
}
