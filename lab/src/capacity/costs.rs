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
    /// Measured by `arngate-lab capacity --measure` with a release build, on a virtual machine of two CPUs (x86-64) that
    /// was kept busy by other programs, as a control-plane node may be, and rounded up; docs/capacity.md has the figures
    /// themselves. CPU is of reviews that come one by one, 200 a second: of many at a time each costs less.
    fn default() -> Self {
        Self {
            asked_ms: 0.5,
            remembered_ms: 0.3,
            foreign_ms: 0.2,
            shed_ms: 0.05,
            base_bytes: 22.0 * 1024.0 * 1024.0,
            mapping_bytes: 1_900.0,
            reload_bytes: 2_900.0,
            remembered_bytes: 1_900.0,
        }
    }
}
