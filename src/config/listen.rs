use std::{fmt, str::FromStr};

use super::{Address, Whole};

/// An address with a port, such as `127.0.0.1:9090`, `[::1]:9090`, or `:9090` for every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where to listen.
    pub address: Address,
    /// On which port; 0 takes any free one.
    pub port: u16,
}

/// A text that is no address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want ADDRESS:PORT, such as 127.0.0.1:9090, [::1]:9090, or :9090 for every address")]
pub struct ListenError;

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(ListenError)?;
        let Whole(port) = port.parse().map_err(|_| ListenError)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // An IPv6 address without brackets may end in what looks like a port.
        if bracketed.is_none() && host.contains([':', '[', ']']) {
            return Err(ListenError);
        }
        let address = bracketed.unwrap_or(host).parse().unwrap_or_else(|never| match never {});
        match (&address, bracketed) {
            (Address::Ip(ip), Some(_)) if ip.is_ipv6() => {}
            (_, Some(_)) => return Err(ListenError),
            (_, None) => {}
        }
        Ok(Self { address, port })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.with_port(self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_ipv6_has_brackets() {
        for (text, shown) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("[::1]:9090", "[::1]:9090"),
            (":0", "every address:0"),
            ("localhost:9090", "localhost:9090"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "9090",
            "127.0.0.1",
            "127.0.0.1:",
            "::1",
            "::1:9090",
            "[::1]",
            "[localhost]:1",
            "a:65536",
            "a:b",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(ListenError), "{text}");
        }
    }
}
