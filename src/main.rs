//! The `arngate` program: see [`arngate::cli`].
fn main() {}
