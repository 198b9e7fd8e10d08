use std::{fmt, str::FromStr};

use crate::mapping::{BackendMode, UnknownBackendMode};

/// A backend as the configuration names it: two have an older name as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendName {
    mode: BackendMode,
    written: String,
}

impl BackendName {
    /// Which one it is.
    #[must_use]
    pub const fn mode(&self) -> BackendMode {
        self.mode
    }

    /// The older name, where it was written.
    #[must_use]
    pub fn older(&self) -> Option<&str> {
        (self.written != self.mode.name()).then_some(&self.written)
    }
}

impl From<BackendMode> for BackendName {
    fn from(mode: BackendMode) -> Self {
        Self { mode, written: mode.name().to_owned() }
    }
}

impl FromStr for BackendName {
    type Err = UnknownBackendMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { mode: text.parse()?, written: text.to_owned() })
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}
