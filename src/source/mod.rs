//! What watches the places where mappings are kept, and swaps a new index in when they change.
//!
//! A source knows where mappings come from and when; what they mean is [`crate::mapping`]'s.

pub mod config_map;
mod kubernetes;

pub use config_map::ConfigMapSource;
pub use kubernetes::{KubernetesError, client};
