use std::{fmt, str::FromStr};

/// Where STS is reached instead of at its own address: `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    /// A name or an IP address (without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that is not `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want HOST:PORT, such as vpce-0123.sts.us-east-1.vpce.amazonaws.com:443 or [::1]:8443")]
pub struct ConnectToError;

impl FromStr for ConnectTo {
    type Err = ConnectToError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(ConnectToError)?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            Some(Some(address)) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            None if !host.is_empty() && !host.contains([':', '/', '@', ' ']) => host,
            _ => return Err(ConnectToError),
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(ConnectToError)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_with_a_port() {
        for text in
            ["localhost:8443", "127.0.0.1:1", "[::1]:443", "vpce-1.sts.us-east-1.vpce.amazonaws.com:443"]
        {
            assert_eq!(text.parse::<ConnectTo>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "localhost",
            ":443",
            "localhost:0",
            "localhost:70000",
            "::1:443",
            "[x]:1",
            "https://x:1",
            "[::1:443",
        ] {
            assert_eq!(text.parse::<ConnectTo>(), Err(ConnectToError), "{text:?}");
        }
    }
}
