use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{Address, ConfigError, File, Whole, settings};

/// The flags that say where a server of this machine is.
#[derive(Debug, Default, clap::Args)]
pub struct LocalFlags {
    /// Address that the server listens on [default: 127.0.0.1]; of one that listens on all, this machine's own is asked
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// Port that the server listens on [default: 21362]
    #[arg(long, value_name = "PORT")]
    pub port: Option<Whole<u16>>,
    /// Name that the server's certificate is for [default: localhost]
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Where the server's cert.pem is [default: /var/aws-iam-authenticator]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// Where a server of this machine is, by the configuration that it has.
#[derive(Debug, PartialEq, Eq)]
pub struct LocalServer {
    /// What it listens on.
    pub address: Address,
    /// What it listens on; never 0.
    pub port: u16,
    /// The name in the URL that kube-apiserver has.
    pub hostname: String,
    /// The certificate that it shows, or by which that is issued.
    pub certificate: PathBuf,
}

/// Why it is not known where the server is.
#[derive(Debug, thiserror::Error)]
pub enum LocalServerError {
    /// The configuration file.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// Any free port.
    #[error("the port is 0, which lets the server take any free one: name the one it took by --port")]
    AnyPort,
}

impl LocalServer {
    /// Reads the file at `path`, where there is one, and lays the flags over it.
    ///
    /// # Errors
    /// See [`LocalServerError`].
    pub fn load(path: Option<&Path>, flags: &LocalFlags) -> Result<Self, LocalServerError> {
        let file = path.map(File::read).transpose()?.unwrap_or_default();
        let port = flags.port.map(|Whole(port)| port).or(file.port).unwrap_or(settings::DEFAULT_PORT);
        if port == 0 {
            return Err(LocalServerError::AnyPort);
        }
        let state_dir = flags.state_dir.clone().or(file.state_dir);
        Ok(Self {
            address: flags.address.clone().or(file.address).unwrap_or_default(),
            port,
            hostname: flags
                .hostname
                .clone()
                .or(file.hostname)
                .unwrap_or_else(|| settings::DEFAULT_HOSTNAME.into()),
            certificate: state_dir.unwrap_or_else(|| settings::DEFAULT_STATE_DIR.into()).join("cert.pem"),
        })
    }

    /// Where it is found from here, in the order to try.
    ///
    /// # Errors
    /// Where the name that it listens on has no address.
    pub async fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let addresses = match &self.address {
            Address::Ip(IpAddr::V4(address)) if address.is_unspecified() => vec![v4],
            Address::Ip(address) if address.is_unspecified() => vec![v6, v4],
            Address::Ip(address) => vec![*address],
            Address::Everywhere => vec![v4, v6],
            Address::Name(name) => return Address::look_up(name, self.port).await,
        };
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addresses(address: &str) -> Vec<String> {
        let (hostname, certificate) = (String::new(), PathBuf::new());
        let server = LocalServer { address: address.parse().unwrap(), port: 1, hostname, certificate };
        server.addresses().await.unwrap().iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_server_on_every_address_is_found_on_this_machines_own() {
        assert_eq!(addresses("0.0.0.0").await, ["127.0.0.1:1"]);
        assert_eq!(addresses("::").await, ["[::1]:1", "127.0.0.1:1"]);
        assert_eq!(addresses("").await, ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(addresses("192.0.2.7").await, ["192.0.2.7:1"]);
        assert!(addresses("localhost").await.contains(&"127.0.0.1:1".to_owned()));
    }

    #[test]
    fn flags_win_over_the_file_and_that_over_the_defaults() {
        let none = LocalServer::load(None, &LocalFlags::default()).unwrap();
        let certificate = "/var/aws-iam-authenticator/cert.pem".into();
        let hostname = "localhost".to_owned();
        assert_eq!(none, LocalServer { address: Address::default(), port: 21362, hostname, certificate });

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "server: {port: 7, address: 192.0.2.7, hostname: h, stateDir: /state}")
            .unwrap();
        let flags = LocalFlags { port: Some(Whole(8)), ..LocalFlags::default() };
        let laid = LocalServer::load(Some(file.path()), &flags).unwrap();
        let address = "192.0.2.7".parse().unwrap();
        let hostname = "h".to_owned();
        assert_eq!(laid, LocalServer { address, port: 8, hostname, certificate: "/state/cert.pem".into() });
    }

    #[test]
    fn any_free_port_is_no_port_to_ask() {
        let flags = LocalFlags { port: Some(Whole(0)), ..LocalFlags::default() };
        assert!(matches!(LocalServer::load(None, &flags), Err(LocalServerError::AnyPort)));
    }
}
