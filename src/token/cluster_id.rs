use std::{fmt, str::FromStr};

use http::HeaderValue;

/// What tokens must be signed for: the value of `x-k8s-aws-id`, this cluster's own.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterId(HeaderValue);

/// A text that cannot be a cluster ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cluster ID is 1 to 255 printable ASCII characters, without spaces at the ends or two in a row (they would \
     not survive signing)"
)]
pub struct ClusterIdError;

impl ClusterId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only printable ASCII gets in (see `from_str`).
        self.0.to_str().unwrap_or_default()
    }

    /// As an HTTP header has it.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // SigV4 trims a header's value and folds runs of spaces in it.
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !(1..=255).contains(&text.len()) || !printable || text.trim() != text || text.contains("  ") {
            return Err(ClusterIdError);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| ClusterIdError)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_survives_signing() {
        for text in
            ["a", "my-cluster.example.com", "my cluster", "arn:aws:eks:eu-west-1:111122223333:cluster/x"]
        {
            assert_eq!(text.parse::<ClusterId>().unwrap().as_str(), text);
        }
        for text in ["", " a", "a ", "a  b", "a\nb", "a\tb", "ä", &"x".repeat(256)] {
            assert_eq!(text.parse::<ClusterId>(), Err(ClusterIdError), "{text:?}");
        }
    }
}
