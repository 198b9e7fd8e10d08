use serde::Serialize;

/// What one program did in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Distinct tokens, 64 parallel.
    pub distinct: LoadFigures,
    /// 100 distinct tokens again and again, 64 parallel.
    pub repeated: LoadFigures,
    /// Tokens that are not ours, 64 parallel.
    pub foreign: LoadFigures,
    /// Distinct tokens with STS at 20 ms, 256 parallel.
    pub slow_sts: LoadFigures,
    /// The most memory that was resident with 1,000 mappings, in bytes.
    pub memory_1k: u64,
    /// The same with 10,000 mappings.
    pub memory_10k: u64,
}

/// What one load came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LoadFigures {
    /// Verifications a second.
    pub rate: f64,
    /// The median latency, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// The server's CPU time for each verification, in milliseconds.
    pub server_cpu_ms: f64,
    /// The client's, in milliseconds.
    pub client_cpu_ms: f64,
    /// The emulator's, in milliseconds.
    pub sts_cpu_ms: f64,
    /// New connections to STS for each 100 calls; 0 where there were none.
    pub connections_per_100_calls: f64,
    /// The share of the machine's CPU time that all three used, from 0 to 1.
    pub machine: f64,
}
