//! Files that others read while they are written.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Writes a file whole or not at all: beside it first, then renamed over it.
///
/// # Errors
/// Where its folder cannot be written.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    // The umask may have taken bits away, and a file left over from a crash keeps its own.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
