//! The `arngate` program: see [`arngate::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    arngate::cli::main()
}
