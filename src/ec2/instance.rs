use std::{fmt, str::FromStr, sync::Arc};

/// An EC2 instance's ID: `i-` and 8 or 17 hexadecimal digits in lower case.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId {
    number: u128,
    digits: usize,
}

/// A text that is no instance ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no instance ID: want i- and 8 or 17 hexadecimal digits in lower case")]
pub struct InstanceIdError;

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("i-").ok_or(InstanceIdError)?;
        let in_form = matches!(digits.len(), 8 | 17)
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !in_form {
            return Err(InstanceIdError);
        }
        let number = u128::from_str_radix(digits, 16).map_err(|_| InstanceIdError)?;
        Ok(Self { number, digits: digits.len() })
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i-{:0width$x}", self.number, width = self.digits)
    }
}

/// An instance's private DNS name, such as `ip-10-0-0-1.ec2.internal`: what kubelet calls its node.
///
/// Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateDnsName(Arc<str>);

impl PrivateDnsName {
    /// The name, as EC2 writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `text` where that can be a host's name (RFC 1123, 2.1): labels of letters, digits and hyphens.
    ///
    /// What EC2 gives an instance without a name, an empty text, is none; and a set of DHCP options may hold more
    /// than one domain name, with blanks between them, which names no node.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (text.len() <= 253 && text.split('.').all(label)).then(|| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eight_or_seventeen_digits() {
        for text in ["i-0123abcd", "i-00000000", "i-0123456789abcdef0", "i-fffffffffffffffff"] {
            assert_eq!(text.parse::<InstanceId>().unwrap().to_string(), text);
        }
        assert_ne!(
            "i-00000000".parse::<InstanceId>().unwrap(),
            "i-00000000000000000".parse::<InstanceId>().unwrap()
        );
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "i-",
            "i-0123abc",
            "i-0123abcde",
            "i-0123456789abcdef",
            "i-0123456789abcdef01",
            "i-0123ABCD",
            "I-0123abcd",
            "i-0123abcg",
            "i-+123abcd",
            "i-0123456789abcde_0",
            "i_0123abcd",
            " i-0123abcd",
            "i-0123abcd\n",
            "mi-0123abcd",
            "i-é123abc",
        ] {
            assert_eq!(text.parse::<InstanceId>(), Err(InstanceIdError), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_a_hosts() {
        for text in ["ip-10-0-0-1.ec2.internal", "i-0123456789abcdef0.eu-west-1.compute.internal", "A"] {
            assert_eq!(PrivateDnsName::parse(text).unwrap().as_str(), text);
        }
        let long = "a.".repeat(127) + "a";
        for text in ["", ".", "a..b", "a b", "ip-10-0-0-1.a.example b.example", "a\n", "a/b", "é", &long] {
            assert_eq!(PrivateDnsName::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        /// What is written into a request is what was read, whatever was read.
        #[test]
        fn an_id_is_written_as_it_was_read(text in "i-[0-9a-f]{8}|i-[0-9a-f]{17}|.{0,20}") {
            if let Ok(id) = text.parse::<InstanceId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
