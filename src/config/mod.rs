//! Configuration: file, environment and flags become one validated value.
//!
//! ```text
//! FILE ─▶ File (raw: what was written, and where) ─┐
//! environment, flags ─▶ ServerFlags ───────────────┴▶ ServerSettings (validated: what holds)
//! ```

mod file;
mod flags;
mod gates;
mod limits;
mod max_age;
mod settings;
mod show;

pub use file::{ConfigError, File};
pub use flags::ServerFlags;
pub use gates::{FeatureGates, GateError};
pub use limits::{LimitFlags, LimitKeys, Within, WithinError};
pub use max_age::{MaxAge, MaxAgeError};
pub use settings::{ServerSettings, SettingsError};
pub use show::{Shown, Source, show};
