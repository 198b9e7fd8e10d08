//! What watches the places where mappings are kept, and swaps a new index in when they change.
//!
//! A source knows where mappings come from and when; what they mean is [`crate::mapping`]'s.

mod aside;
pub mod backend_mode_file;
mod backends;
pub mod config_map;
pub mod crd;
mod dynamic_file;
mod events;
mod freshness;
mod json;
mod kubernetes;
pub mod last_good;
pub mod look;
mod pace;
mod watch;
pub mod watched_file;

pub use backends::{BackendError, BackendSettings, Backends};
pub use config_map::ConfigMapSource;
pub use crd::CrdSource;
pub use dynamic_file::DynamicFileSource;
pub use kubernetes::{KubeconfigChoice, KubernetesError, client, client_of_user};
pub use last_good::LastGood;
pub use watched_file::WatchedFile;
