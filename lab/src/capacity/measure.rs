//! What a review and a mapping cost on this machine.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Costs;
use crate::{
    compare::MeasureError,
    load::{
        AnswerKind, Arrivals, Client, Counts, Mix, Population, Report, ReviewVersion, Schedule, Session,
        Source, Spacing, Stage, StsView, Target, Via, webhook_of,
    },
    servers::{Limits, Server, ServerError, Settings, StsThread, Usage},
    sts::Emulator,
};

const CLUSTER_ID: &str = "capacity";
const REGION: &str = "us-east-1";
const TIMEOUT: Duration = Duration::from_secs(30);
/// No closed loop lasts longer.
const AT_MOST: Duration = Duration::from_mins(2);
/// How many ask at the same time, where many do.
const MANY: usize = 64;
/// How many requests a second there are where they come one by one.
const PACE: u32 = 200;
/// How many tokens are said again and again.
const POOL: usize = 100;
/// How many mappings there are, but for where many are looked at.
const FEW_MAPPINGS: usize = 1_000;
/// How many who are told to come again at once: more than strangers' queue holds, and than may be under way.
const FLOOD: usize = 256;
/// How long until what was given back has been given back.
const REST: Duration = Duration::from_secs(1);

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// What the model takes.
    pub costs: Costs,
    /// CPU of a verification that STS is asked for, among 64 at a time, in milliseconds.
    pub asked_among_many_ms: f64,
    /// The same of one that is remembered.
    pub remembered_among_many_ms: f64,
    /// How many CPUs this machine has.
    pub cpus: usize,
}

impl Calibration {
    /// As people read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { costs, asked_among_many_ms, remembered_among_many_ms, cpus } = self;
        let mut text = format!("Measured on {cpus} CPUs, by /proc\n");
        let kib = |bytes: f64| format!("{:.2} KiB", bytes / 1024.0);
        for (name, figure) in [
            ("CPU of a review, one by one:", String::new()),
            ("  STS is asked", format!("{:.3} ms", costs.asked_ms)),
            ("  remembered", format!("{:.3} ms", costs.remembered_ms)),
            ("  none of ours", format!("{:.3} ms", costs.foreign_ms)),
            ("CPU of a review, among many:", String::new()),
            ("  STS is asked", format!("{asked_among_many_ms:.3} ms")),
            ("  remembered", format!("{remembered_among_many_ms:.3} ms")),
            ("  told to come again", format!("{:.3} ms", costs.shed_ms)),
            ("Memory:", String::new()),
            ("  of the process", format!("{:.1} MiB", costs.base_bytes / 1_048_576.0)),
            ("  of a mapping", kib(costs.mapping_bytes)),
            ("  more while it is replaced", kib(costs.reload_bytes)),
            ("  of a remembered caller", kib(costs.remembered_bytes)),
        ] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<30}{figure:>12}");
        }
        text
    }
}

/// How much is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// How many requests a load has where many come at a time.
    pub requests: u32,
    /// With how many mappings memory is measured, beside a thousand.
    pub mappings: u32,
}

impl Effort {
    /// How long requests come one by one: a tenth of them.
    fn paced_for(self) -> Duration {
        Duration::from_secs(self.requests.div_ceil(10).into()) / PACE
    }
}

/// Measures `arngate`; `say` is told of every step; `stop` ends it early. A release build gives figures that mean
/// something. CPU time is what `/proc` counts, so that other programs on the machine change it little.
///
/// # Errors
/// Where it cannot be started or loaded, or answers otherwise than it should.
pub async fn measure(
    arngate: &Path,
    effort: Effort,
    stop: CancellationToken,
    say: impl Fn(&str),
) -> Result<Calibration, MeasureError> {
    // Each request of a load is of a session of its own, as if so many people came.
    let sessions = size(effort.requests).div_ceil(FEW_MAPPINGS);
    let population = Population::generated(Counts { roles: FEW_MAPPINGS, sessions, ..Counts::default() });
    let sts = StsThread::start(Emulator::builder().principals(population.table().clone())).await?;
    let bench = Bench { arngate, effort, population, sts, stop };

    say("CPU of reviews, and memory of remembered callers");
    let cpu = bench.reviews().await?;
    say("CPU of reviews that are told to come again");
    let shed_ms = bench.shed().await?;
    say("memory of mappings");
    let memory = bench.mappings(cpu.idle).await?;
    let costs = Costs {
        shed_ms,
        base_bytes: cpu.busy - as_float(FEW_MAPPINGS) * memory.mapping_bytes,
        mapping_bytes: memory.mapping_bytes,
        reload_bytes: memory.reload_bytes,
        ..cpu.costs
    };
    Ok(Calibration {
        costs,
        asked_among_many_ms: cpu.asked_among_many_ms,
        remembered_among_many_ms: cpu.remembered_among_many_ms,
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    })
}

/// What every measurement shares.
struct Bench<'a> {
    arngate: &'a Path,
    effort: Effort,
    population: Population,
    sts: StsThread,
    stop: CancellationToken,
}

/// An arngate, the file that its mappings are in, and who asks it.
struct Subject {
    server: Server,
    session: Session,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// What reviews cost.
struct Reviews {
    costs: Costs,
    asked_among_many_ms: f64,
    remembered_among_many_ms: f64,
    /// Memory before anything was asked, in bytes.
    idle: f64,
    /// Memory of the process and its mappings after all that, without those who are remembered.
    busy: f64,
}

/// What mappings take.
struct Mappings {
    mapping_bytes: f64,
    reload_bytes: f64,
}

/// A load, and what has to come of it.
struct Task {
    name: &'static str,
    mix: Mix,
    arrivals: Arrivals,
    requests: u64,
    expected: &'static [AnswerKind],
}

impl Task {
    /// Many at a time.
    fn many(name: &'static str, mix: Mix, requests: u32) -> Self {
        let arrivals = Arrivals::Closed { parallel: MANY, lasting: AT_MOST };
        Self { name, mix, arrivals, requests: requests.into(), expected: &[AnswerKind::Authenticated] }
    }

    /// One by one.
    fn paced(name: &'static str, mix: Mix, lasting: Duration) -> Result<Self, MeasureError> {
        let stage = Stage { from: PACE.into(), to: PACE.into(), lasting };
        let schedule = Schedule::new(vec![stage], Spacing::Even, None)?;
        let requests = schedule.expected();
        let arrivals = Arrivals::Open { schedule, in_flight: usize::MAX >> 4 };
        Ok(Self { name, mix, arrivals, requests, expected: &[AnswerKind::Authenticated] })
    }
}

impl Bench<'_> {
    async fn reviews(&self) -> Result<Reviews, MeasureError> {
        let subject = self.start(FEW_MAPPINGS, Limits::Off, &[]).await?;
        sleep(REST).await;
        let idle = bytes(subject.server.usage()?.resident);
        let repeat = || Mix { repeat: 1.0, pool: Some(POOL), ..Mix::default() };
        // Connections and buffers are there from here on.
        let Effort { requests, .. } = self.effort;
        let paced = |name, mix| Task::paced(name, mix, self.effort.paced_for());
        self.run(&subject, Task::many("warming up", repeat(), requests / 4 + 1)).await?;
        let before = bytes(subject.server.usage()?.resident);
        let asked_among_many_ms =
            self.run(&subject, Task::many("fresh, many", Mix::default(), requests)).await?;
        sleep(REST).await;
        let after = bytes(subject.server.usage()?.resident);
        let places = arngate::sts::Limits::default().cache_size.get().min(size(requests));
        let remembered_among_many_ms =
            self.run(&subject, Task::many("repeated, many", repeat(), requests)).await?;
        let asked_ms = self.run(&subject, paced("fresh, one by one", Mix::default())?).await?;
        let remembered_ms = self.run(&subject, paced("repeated, one by one", repeat())?).await?;
        let foreign = Task {
            expected: &[AnswerKind::Denied],
            ..paced("none of ours, one by one", Mix { garbage: 1.0, ..Mix::default() })?
        };
        let foreign_ms = self.run(&subject, foreign).await?;
        let remembered_bytes = ((after - before) / as_float(places)).max(0.0);
        let costs = Costs { asked_ms, remembered_ms, foreign_ms, remembered_bytes, ..Costs::default() };
        Ok(Reviews { costs, asked_among_many_ms, remembered_among_many_ms, idle, busy: before })
    }

    /// Forged tokens beyond what may be asked.
    async fn shed(&self) -> Result<f64, MeasureError> {
        let least = ["--sts-qps", "1", "--sts-burst", "1"].map(OsString::from);
        let subject = self.start(FEW_MAPPINGS, Limits::Default, &least).await?;
        let flood = Task {
            arrivals: Arrivals::Closed { parallel: FLOOD, lasting: AT_MOST },
            expected: &[AnswerKind::Throttled, AnswerKind::Denied, AnswerKind::DeniedPassing],
            ..Task::many("told to come again", Mix { forged: 1.0, ..Mix::default() }, self.effort.requests)
        };
        self.run(&subject, flood).await
    }

    async fn mappings(&self, idle_with_few: f64) -> Result<Mappings, MeasureError> {
        let mappings = size(self.effort.mappings).max(2 * FEW_MAPPINGS);
        let subject = self.start(mappings, Limits::Off, &[]).await?;
        sleep(REST).await;
        let usage = subject.server.usage()?;
        let in_force = bytes(usage.resident);
        // Twice, so that what the first one leaves behind is there.
        for version in 2..=3 {
            self.write(&subject.file, mappings, version)?;
            self.settled(&subject.server).await?;
        }
        let most = bytes(subject.server.usage()?.resident_peak);
        Ok(Mappings {
            mapping_bytes: (in_force - idle_with_few).max(0.0) / as_float(mappings - FEW_MAPPINGS),
            reload_bytes: (most - in_force).max(0.0) / as_float(mappings),
        })
    }

    async fn start(
        &self,
        mappings: usize,
        limits: Limits,
        flags: &[OsString],
    ) -> Result<Subject, MeasureError> {
        let folder = tempfile::tempdir().map_err(io("make a temporary folder"))?;
        let file = folder.path().join("mappings.json");
        self.write(&file, mappings, 1)?;
        let own = format!("  dynamicfilepath: {}\n", serde_json::Value::from(file.display().to_string()));
        let settings = Settings {
            program: self.arngate,
            cluster_id: CLUSTER_ID,
            mappings: &own,
            sts: self.sts.emulator(),
            limits,
        };
        let backend = ["--backend-mode", "DynamicFile"].map(OsString::from);
        let server = Server::arngate_with(&settings, &[&backend[..], flags].concat()).await?;
        let via = Via::Webhook(ReviewVersion::V1beta1);
        let client = Client::new(Target::resolve(&webhook_of(&server)?, via, false).await?, 1, TIMEOUT);
        client.connect().await?;
        let session = Session {
            client: Arc::new(client),
            source: Source::new(CLUSTER_ID, REGION, via)?,
            people: self.population.credentials().to_vec(),
            sts: Some(StsView::Here(Arc::clone(self.sts.emulator()))),
            stop: self.stop.clone(),
        };
        self.settled(&server).await?;
        Ok(Subject { server, session, file, _folder: folder })
    }

    fn write(&self, file: &Path, mappings: usize, version: u64) -> Result<(), MeasureError> {
        let content = self.population.dynamic_file(mappings, version)?;
        fs::write(file, content).map_err(io("write the file of mappings"))?;
        Ok(())
    }

    /// Waits until the mappings are read, or read anew: until nothing has been done for a while.
    async fn settled(&self, server: &Server) -> Result<(), MeasureError> {
        let mut last: Option<Usage> = None;
        loop {
            sleep(REST).await;
            let now = server.usage()?;
            if last.is_some_and(|last| now.cpu.saturating_sub(last.cpu) < REST / 50) {
                return Ok(());
            }
            if self.stop.is_cancelled() {
                return Err(MeasureError::Stopped);
            }
            last = Some(now);
        }
    }

    /// Runs a load; the server's CPU time for each request, in milliseconds.
    async fn run(&self, subject: &Subject, task: Task) -> Result<f64, MeasureError> {
        let Task { name, mix, arrivals, requests, expected } = task;
        let before = subject.server.usage()?.cpu;
        let ahead = usize::try_from(requests).unwrap_or(usize::MAX);
        let report = subject.session.run(name, &mix, arrivals, Some(requests), ahead).await?;
        if self.stop.is_cancelled() {
            return Err(MeasureError::Stopped);
        }
        check(self.arngate, name, &report, expected)?;
        let cpu = subject.server.usage()?.cpu.saturating_sub(before);
        Ok(cpu.as_secs_f64() * 1000.0 / bytes(report.requests))
    }
}

/// Figures of something else than was meant would mean nothing.
fn check(
    program: &Path,
    load: &'static str,
    report: &Report,
    expected: &[AnswerKind],
) -> Result<(), MeasureError> {
    let right: u64 = expected.iter().map(|kind| report.count(*kind)).sum();
    if right == report.requests && right > 0 {
        return Ok(());
    }
    Err(MeasureError::Wrong {
        program: program.display().to_string(),
        load,
        requests: report.requests,
        wrong: report.requests - right,
        report: report.to_text(),
    })
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> MeasureError {
    move |source| ServerError::Io { what: what.to_owned(), source }.into()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory and counts, far below 2^53")]
fn bytes(number: u64) -> f64 {
    number as f64
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn as_float(number: usize) -> f64 {
    bytes(number as u64)
}
