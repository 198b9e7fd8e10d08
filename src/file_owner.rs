//! Whose files are, where the server is not root and whoever prepares its folders is.

use std::{
    fmt, fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::Path,
    str::FromStr,
};

/// Whose a file is, by number: names are in a file that an image without a shell does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

/// A text that names no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want two numbers, as in 10000:10000: the user's and the group's")]
pub struct OwnerError;

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, group) = text.split_once(':').ok_or(OwnerError)?;
        let number = |text: &str| match text.parse() {
            // The system's calls take -1 for "as it is".
            Ok(u32::MAX) | Err(_) => Err(OwnerError),
            Ok(number) => Ok(number),
        };
        Ok(Self { user: number(user)?, group: number(group)? })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

impl Owner {
    /// Makes the folder or file at `path` its own; says whether it had to, and does nothing where there is none.
    ///
    /// A link is left alone, and so is a file that has more than one name: whoever may write the folder could have it
    /// name any file of the system.
    ///
    /// # Errors
    /// Where the process may not change owners.
    pub fn take(self, path: &Path) -> io::Result<bool> {
        let there = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result?,
        };
        let is_own = (there.uid(), there.gid()) == (self.user, self.group);
        let is_elsewhere = there.is_symlink() || (there.is_file() && there.nlink() > 1);
        if is_own || is_elsewhere {
            return Ok(false);
        }
        lchown(path, Some(self.user), Some(self.group))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!("10000:20000".parse(), Ok(Owner { user: 10000, group: 20000 }));
        for text in ["", "10000", "a:b", "10000:", ":1", "1:2:3", "-1:1", "4294967295:1"] {
            assert_eq!(text.parse::<Owner>(), Err(OwnerError), "{text}");
        }
    }
}
