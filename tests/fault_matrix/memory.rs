//! What `/proc` says of a process' memory, in KiB.

use std::fs;

/// What is its own now, and not a file's.
pub(crate) fn anonymous(id: u32) -> u64 {
    figure(id, "RssAnon")
}

/// The most that was resident so far, the program's own text included.
pub(crate) fn peak(id: u32) -> u64 {
    figure(id, "VmHWM")
}

fn figure(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
