//! Single values in the forms that aws-iam-authenticator's flags and files take.

use std::{fmt, str::FromStr};

/// A text that is no truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want true or false (or 1, t, T, TRUE, True, 0, f, F, FALSE, False)")]
pub struct TruthError;

/// A truth value in the forms of Go's flags.
///
/// # Errors
/// Any other text, `yes` and `off` among them.
pub fn truth(text: &str) -> Result<bool, TruthError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(TruthError),
    }
}

/// A whole number in the forms of Go's flags: decimal, or with a base before it (`0x5372`, `0b101`, `0o17`, `017`),
/// and with underscores between digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// A text that is no such number, or one out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a whole number from 0 to {most}")]
pub struct WholeError {
    most: u64,
}

impl<T: TryFrom<u64> + Bounded> FromStr for Whole<T> {
    type Err = WholeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        number(text).and_then(|number| T::try_from(number).ok()).map(Self).ok_or(WholeError { most: T::MOST })
    }
}

impl<T: fmt::Display> fmt::Display for Whole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A kind of number with a greatest one.
pub trait Bounded {
    /// The greatest.
    const MOST: u64;
}

impl Bounded for u16 {
    const MOST: u64 = 0xffff;
}

impl Bounded for u32 {
    const MOST: u64 = 0xffff_ffff;
}

fn number(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (base, digits) = if let Some(digits) = text.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = text.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = text.strip_prefix("0o") {
        (8, digits)
    } else if let (Some(digits), true) = (text.strip_prefix('0'), text.len() > 1) {
        (8, digits)
    } else {
        (10, text.as_str())
    };
    // Rust takes a plus sign before the digits; behind a base it would be nobody's number.
    let doubtful = digits.starts_with('+') || digits.ends_with('_') || digits.contains("__");
    if doubtful { None } else { u64::from_str_radix(&digits.replace('_', ""), base).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_values_are_gos() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(truth(text), Ok(true), "{text}");
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(truth(text), Ok(false), "{text}");
        }
        for text in ["", "yes", "no", "on", "off", "tRUE", " true"] {
            assert_eq!(truth(text), Err(TruthError), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_have_a_base() {
        for (text, number) in [
            ("21362", 21362),
            ("0x5372", 0x5372),
            ("0X5372", 0x5372),
            ("0b11111111", 255),
            ("0o17", 15),
            ("054321", 22737),
            ("5_4321", 54321),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(Whole::<u16>(number)), "{text}");
        }
        for text in ["", "-1", "65536", "0x", "0x+1", "09", "1_", "1__0", "1.5", "many"] {
            let error = text.parse::<Whole<u16>>().unwrap_err();
            assert_eq!(error.to_string(), "want a whole number from 0 to 65535", "{text}");
        }
    }
}
