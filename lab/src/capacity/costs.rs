use serde::{Deserialize, Serialize};

/// What arngate costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// CPU of a verification that STS is asked for, in milliseconds.
    pub asked_ms: f64,
    /// CPU of one that is remembered, in milliseconds.
    pub remembered_ms: f64,
    /// CPU of a token that is none of ours, in milliseconds.
    pub foreign_ms: f64,
    /// CPU of a review that is told to come again later, in milliseconds.
    pub shed_ms: f64,
    /// Memory of a process with nothing in it that has been at work, in bytes.
    pub base_bytes: f64,
    /// Memory of a mapping in force, in bytes.
    pub mapping_bytes: f64,
    /// What a mapping needs more while all are being replaced, in bytes.
    pub reload_bytes: f64,
    /// Memory of a place for a caller who is remembered, with what is known of their credentials, in bytes.
    pub remembered_bytes: f64,
}

impl Default for Costs {
    /// Measured by `arngate-lab capacity --measure` with a release build, on a virtual machine with two CPUs of x86-64;
    /// docs/capacity.md says more. They are rounded up, and those of CPU are of reviews that come one by one, 200 a
    /// second: of many at a time each costs less.
    fn default() -> Self {
        Self {
            asked_ms: 0.0,
            remembered_ms: 0.0,
            foreign_ms: 0.0,
            shed_ms: 0.0,
            base_bytes: 0.0,
            mapping_bytes: 0.0,
            reload_bytes: 0.0,
            remembered_bytes: 0.0,
        }
    }
}
