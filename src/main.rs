//! The `arngate` program: see [`arngate::cli`].
#![forbid(unsafe_code)]

/// A verification allocates some hundred small pieces on one thread and frees them on another, which the system's
/// allocators do slowly (`make compare`; musl's slowest of all), and they keep more of what a load has used.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    arngate::cli::main()
}
