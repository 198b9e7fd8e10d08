//! Configuration: file, environment and flags become one validated value.
//!
//! ```text
//! FILE ─▶ File (raw: what was written, and where) ─┐
//! environment, flags ─▶ ServerFlags ───────────────┴▶ ServerSettings (validated: what holds)
//! ```

mod address;
mod backend_name;
mod client_auth;
mod file;
mod flags;
mod gates;
mod limits;
mod listen;
mod local;
mod max_age;
mod scalar;
mod section;
mod settings;
mod show;

pub use address::Address;
pub use backend_name::BackendName;
pub use client_auth::{ClientAuthError, ClientCertificate};
pub use file::{ConfigError, File};
pub use flags::ServerFlags;
pub use gates::{FeatureGates, GateError, GateList};
pub use limits::{LimitFlags, LimitKeys, Within, WithinError};
pub use listen::{Listen, ListenError};
pub use local::{LocalFlags, LocalServer, LocalServerError};
pub use max_age::{MaxAge, MaxAgeError};
pub use scalar::{Bounded, TruthError, Whole, WholeError, truth};
pub use settings::{ServerSettings, SettingsError};
pub use show::{CommandLine, Shown, Source, show};
