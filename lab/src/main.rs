//! The `arngate-lab` program.
fn main() {}
