use std::{fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;

/// How old something may be, written as `168h` or `90m`; `0` means that it is not used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub Duration);

/// A text that is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want a length of time such as 168h or 90m, or 0 for none")]
pub struct MaxAgeError;

impl FromStr for MaxAge {
    type Err = MaxAgeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let length: SignedDuration = text.parse().map_err(|_| MaxAgeError)?;
        Duration::try_from(length).map(Self).map_err(|_| MaxAgeError)
    }
}

impl fmt::Display for MaxAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds % 3600, seconds % 60) {
            (0, _) => write!(f, "{}h", seconds / 3600),
            (_, 0) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        for (text, seconds, written) in [
            ("168h", 604_800, "168h"),
            ("90m", 5400, "90m"),
            ("1h30m", 5400, "90m"),
            ("5s", 5, "5s"),
            ("0", 0, "0h"),
        ] {
            let age: MaxAge = text.parse().unwrap();
            assert_eq!((age.0.as_secs(), age.to_string().as_str()), (seconds, written), "{text}");
        }
        for text in ["", "7", "-1h", "always", "7 fortnights"] {
            assert_eq!(text.parse::<MaxAge>(), Err(MaxAgeError), "{text}");
        }
    }
}
