use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::Destination;

/// The mode of a file that is made: it tells who may do what, and is its owner's alone. One that is there keeps its own.
const MODE: u32 = 0o600;

/// What lines are written to.
///
/// A file is appended to, so that whoever copies and truncates it (logrotate's `copytruncate`) finds what comes next
/// at its beginning; and opened anew once another is at its path, or none (logrotate's `create`), so that nobody has
/// to tell.
#[derive(Debug)]
pub(super) struct Sink {
    /// Where the file is to be; `None` where what is open stays.
    path: Option<PathBuf>,
    open: Option<Open>,
}

/// What is open.
#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    /// What was written last does not end its line.
    torn: bool,
}

/// Which file it is, whatever its name.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// What came of a write.
#[derive(Debug)]
pub(super) struct Written {
    /// How many bytes were written.
    pub(super) bytes: usize,
    /// What went wrong. All may have been written all the same: to the file that was at the path before.
    pub(super) error: Option<io::Error>,
}

impl Sink {
    /// What writes to `destination`. A file is opened when there is something to write.
    ///
    /// # Errors
    /// Where there is no standard output.
    pub(super) fn new(destination: &Destination) -> io::Result<Self> {
        Ok(match destination {
            Destination::File(path) => Self { path: Some(path.clone()), open: None },
            Destination::Stdout => {
                let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                let identity = Identity::of(&file.metadata()?);
                Self { path: None, open: Some(Open { file, identity, torn: false }) }
            }
        })
    }

    /// Opens the file at the path anew, whichever is open.
    ///
    /// # Errors
    /// Where it cannot be opened; then what is open stays.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.open = Some(Open::at(path)?);
        }
        Ok(())
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Written {
        let moved = self.follow();
        let Some(open) = &mut self.open else { return Written { bytes: 0, error: moved.err() } };
        let (bytes, failed) = open.write(lines);
        Written { bytes, error: failed.err().or(moved.err()) }
    }

    /// Opens what is at the path now, where that is not what is open. Where it cannot be opened, the file that was
    /// there is written on for as long as it has a name at all: renamed, it is still to be found.
    fn follow(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let there = fs::metadata(path).ok().map(|metadata| Identity::of(&metadata));
        if there.is_some() && there.as_ref() == self.open.as_ref().map(|open| &open.identity) {
            return Ok(());
        }
        let opened = self.reopen();
        if opened.is_err() && self.open.as_ref().is_some_and(Open::is_gone) {
            self.open = None;
        }
        opened
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        // A process that ended in the middle of a line, or a full disk, may have left half of one.
        let mut last = [b'\n'];
        if metadata.is_file() && metadata.len() > 0 {
            file.read_exact_at(&mut last, metadata.len() - 1)?;
        }
        Ok(Self { file, identity: Identity::of(&metadata), torn: last != [b'\n'] })
    }

    /// Whether no name leads to it any more.
    fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// How many bytes of `lines` were written, and why not all.
    fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if self.torn {
            // What was left of a line ends here; it is no JSON, and counts as not written.
            if let Err(error) = self.file.write_all(b"\n") {
                return (0, Err(error));
            }
            self.torn = false;
        }
        let mut left = lines;
        let result = loop {
            if left.is_empty() {
                break Ok(());
            }
            match self.file.write(left) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let written = lines.len() - left.len();
        self.torn = lines.get(..written).and_then(<[u8]>::last).is_some_and(|last| *last != b'\n');
        (written, result)
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sink(path: &Path) -> Sink {
        Sink::new(&Destination::File(path.to_owned())).unwrap()
    }

    #[track_caller]
    fn write(sink: &mut Sink, text: &str) {
        let Written { bytes, error } = sink.write(text.as_bytes());
        assert!(error.is_none() && bytes == text.len(), "{bytes} of {}: {error:?}", text.len());
    }

    #[test]
    fn a_file_is_made_for_its_owner_alone_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        write(&mut sink(&path), "a\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut again = sink(&path);
        write(&mut again, "b\n");
        write(&mut again, "c\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\nc\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn every_way_to_rotate_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        let mut sink = sink(&path);
        write(&mut sink, "1\n");
        fs::rename(&path, &old).unwrap();
        write(&mut sink, "2\n");
        assert_eq!((text(&old).as_str(), text(&path).as_str()), ("1\n", "2\n"), "renamed");
        fs::rename(&path, &old).unwrap();
        fs::write(&path, "").unwrap();
        write(&mut sink, "3\n");
        assert_eq!((text(&old).as_str(), text(&path).as_str()), ("2\n", "3\n"), "renamed, and made anew");
        fs::remove_file(&path).unwrap();
        write(&mut sink, "4\n");
        assert_eq!(text(&path), "4\n", "removed");
        fs::copy(&path, &old).unwrap();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        write(&mut sink, "5\n");
        assert_eq!((text(&old).as_str(), text(&path).as_str()), ("4\n", "5\n"), "copied and truncated");
    }

    #[test]
    fn while_the_new_file_cannot_be_made_the_renamed_one_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        let path = logs.join("audit.log");
        fs::create_dir(&logs).unwrap();
        let mut sink = sink(&path);
        write(&mut sink, "1\n");
        fs::rename(&logs, &moved).unwrap();
        let Written { bytes, error } = sink.write(b"2\n");
        assert_eq!((bytes, error.unwrap().kind()), (2, io::ErrorKind::NotFound));
        assert_eq!(fs::read_to_string(moved.join("audit.log")).unwrap(), "1\n2\n");
        fs::remove_dir_all(&moved).unwrap();
        let Written { bytes, error } = sink.write(b"3\n");
        assert_eq!((bytes, error.unwrap().kind()), (0, io::ErrorKind::NotFound), "nobody would find it");
        fs::create_dir(&logs).unwrap();
        write(&mut sink, "4\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "4\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut sink = sink(Path::new("/dev/full"));
        let Written { bytes, error } = sink.write(b"1\n");
        assert_eq!((bytes, error.unwrap().kind()), (0, io::ErrorKind::StorageFull));
    }

    #[test]
    fn half_a_line_that_is_there_ends_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "1\n{\"sch").unwrap();
        write(&mut sink(&path), "2\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n{\"sch\n2\n");
    }
}
