use std::env;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{Directory, Error};

const LOG_LINES_IN_ERRORS: usize = 20;

/// A process that is killed on drop.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program that knows nothing of the caller's environment but `PATH`, and
    /// whose output is appended to a log.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        args: &[String],
        directory: &Directory,
        log: &Path,
    ) -> Result<Self, Error> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let failed = |what: &str| Error::io(format!("{what} {}", log.display()));
        let stdout = open().map_err(failed("open"))?;
        let stderr = open().map_err(failed("open"))?;

        let mut command = bound_to_this_process(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", directory.home())
            .current_dir(directory.root())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // A terminal's Ctrl-C must not reach it: we stop it, in our order.
            .process_group(0);
        let child = spawn(command).map_err(Error::io(format!("run {}", program.display())))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines of its log.
    pub(super) fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_IN_ERRORS)..].join("\n")
    }

    /// Asks it to end, and kills it if it hasn't within the time of grace.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.terminate();
        let deadline = Instant::now() + grace;
        while self.status().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn terminate(&self) {
        // The shell's own kill: the standard library only knows SIGKILL, and not every
        // system has a kill program. The process can't be another's by now, since it
        // is not waited for before `status` says so. Where this fails, it is killed.
        let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.id().to_string()]).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command whose process the kernel kills when this one ends without dropping
/// anything, as a test that is killed does. Only where util-linux is.
pub(crate) fn bound_to_this_process(program: &Path) -> Command {
    const DIES_WITH_PARENT: [&str; 2] = ["--pdeathsig", "KILL"];
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        let mut probe = Command::new("setpriv");
        probe.args(DIES_WITH_PARENT).arg("true").stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !*AVAILABLE {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(DIES_WITH_PARENT).arg("--").arg(program);
    command
}

/// Spawns from a thread that lives as long as this process: to the kernel, the parent
/// that has ended is the thread, and a test's or a runtime's ends early.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::SyncSender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in queue {
                // Whoever asked waits for the answer.
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    let (answer, spawned) = mpsc::sync_channel(1);
    let gone = || io::Error::other("the thread that starts processes has ended");
    SPAWNER.send((command, answer)).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}
