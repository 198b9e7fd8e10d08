use std::{
    convert::Infallible,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use tokio::net::{TcpListener, lookup_host};

/// How long a name server may take to say where to listen.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// On one address.
    Ip(IpAddr),
    /// On the address that a name stands for.
    Name(String),
    /// On every address: what an empty text says, as in Go.
    Everywhere,
}

impl Default for Address {
    fn default() -> Self {
        Self::Ip(IpAddr::from([127, 0, 0, 1]))
    }
}

impl Address {
    /// The address for the certificate; an unspecified one where there is none to put there.
    #[must_use]
    pub const fn of_certificate(&self) -> IpAddr {
        match self {
            Self::Ip(address) => *address,
            Self::Name(_) | Self::Everywhere => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// It and a port, as one text.
    #[must_use]
    pub fn with_port(&self, port: u16) -> String {
        match self {
            Self::Ip(address) => SocketAddr::new(*address, port).to_string(),
            Self::Name(_) | Self::Everywhere => format!("{self}:{port}"),
        }
    }

    /// Listens there, on the first address of a name on which it can be done, IPv4 before IPv6 as Go does.
    ///
    /// # Errors
    /// Where the name has no address, or on none of them can be listened.
    pub async fn bind(&self, port: u16) -> io::Result<TcpListener> {
        let addresses: Vec<SocketAddr> = match self {
            Self::Ip(address) => vec![SocketAddr::new(*address, port)],
            Self::Everywhere => {
                let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
                everywhere.map(|address| SocketAddr::new(address, port)).to_vec()
            }
            Self::Name(name) => Self::look_up(name, port).await?,
        };
        TcpListener::bind(addresses.as_slice()).await
    }

    /// The addresses of a name, IPv4 before IPv6 as Go has them.
    pub(super) async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::time::timeout(LOOK_UP_WITHIN, lookup_host((name, port))).await??;
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        Ok(found)
    }
}

impl FromStr for Address {
    type Err = Infallible;

    /// Takes any text: what is neither empty nor an IP address is a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.parse()) {
            (_, Ok(address)) => Self::Ip(address),
            ("", _) => Self::Everywhere,
            _ => Self::Name(text.to_owned()),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Everywhere => f.write_str("every address"),
        }
    }
}
