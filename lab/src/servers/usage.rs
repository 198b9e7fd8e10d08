use std::{fs, path::Path, time::Duration};

/// How many ticks a second `/proc` counts in: `USER_HZ`, 100 on every architecture of Linux that Rust has.
const TICKS: u64 = 100;

/// What a process has cost so far, by `/proc/PID` (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, in the user's and the kernel's mode, of all its threads. Known to 10 ms.
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// The most that it was, in bytes.
    pub resident_peak: u64,
}

/// `/proc` does not say.
#[derive(Debug, thiserror::Error)]
#[error("{path} does not say what process {id} costs (only Linux does)")]
pub struct UsageError {
    id: u32,
    path: String,
}

impl Usage {
    /// What process `id` has cost so far.
    ///
    /// # Errors
    /// Where it has ended, or this is not Linux.
    pub fn of(id: u32) -> Result<Self, UsageError> {
        let read = |name: &str| {
            let path = format!("/proc/{id}/{name}");
            fs::read_to_string(&path).map_err(|_| UsageError { id, path })
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let failed = |name: &str| UsageError { id, path: format!("/proc/{id}/{name}") };
        Ok(Self {
            cpu: cpu_of(&stat).ok_or_else(|| failed("stat"))?,
            resident: kilobytes(&status, "VmRSS:").ok_or_else(|| failed("status"))?,
            resident_peak: kilobytes(&status, "VmHWM:").ok_or_else(|| failed("status"))?,
        })
    }
}

/// CPU time of some threads of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadCpu(pub Duration);

impl ThreadCpu {
    /// That of all threads whose name begins so.
    #[must_use]
    pub fn of_threads_named(name: &str) -> Self {
        Self::sum(|thread| thread.starts_with(name))
    }

    /// That of all threads but those whose name begins so.
    #[must_use]
    pub fn of_threads_not_named(names: &[&str]) -> Self {
        Self::sum(|thread| !names.iter().any(|name| thread.starts_with(name)))
    }

    /// What has come since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }

    /// Threads that have ended are not counted any more.
    fn sum(wanted: impl Fn(&str) -> bool) -> Self {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let cpu = threads.filter_map(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).ok()?;
            wanted(name.trim_end()).then(|| thread_cpu(&thread.path()))?
        });
        Self(cpu.sum())
    }
}

/// A thread's time on a CPU: `schedstat` has it in nanoseconds, where the kernel keeps it; `stat` in ticks.
fn thread_cpu(thread: &Path) -> Option<Duration> {
    let precise = fs::read_to_string(thread.join("schedstat")).ok();
    let precise = precise.and_then(|text| text.split_whitespace().next()?.parse().ok());
    match precise {
        Some(nanoseconds) if nanoseconds > 0 => Some(Duration::from_nanos(nanoseconds)),
        _ => cpu_of(&fs::read_to_string(thread.join("stat")).ok()?),
    }
}

/// `utime` and `stime` of a `stat`, whose second field, a name, may hold anything.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The first of these is the third of all; `utime` is the 14th.
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) R 1 b) S 1 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 3 0 100 1 1 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_of("42 (a"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(
            (kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")),
            (Some(1 << 20), Some(2 << 20))
        );
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_costs_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 0 && usage.resident_peak >= usage.resident);
        assert!(Usage::of(u32::MAX).is_err());
    }

    #[test]
    fn threads_are_told_apart_by_name() {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (go, gone) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("lab-cpu-test".to_owned()).spawn(move || {
            let mut number = 1_u64;
            for step in 0..3_000_000_u64 {
                number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(step));
            }
            go.send(number).unwrap();
            let _ = wait.recv();
        });
        gone.recv().unwrap();
        let cpu = ThreadCpu::of_threads_named("lab-cpu-test").0;
        drop(done);
        thread.unwrap().join().unwrap();
        assert!(cpu > Duration::ZERO);
        assert_eq!(ThreadCpu::of_threads_named("no such thread").0, Duration::ZERO);
    }
}
