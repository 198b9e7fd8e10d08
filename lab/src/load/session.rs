use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    About, Arrivals, Client, Mix, Progress, Recorder, Report, Source, StsView, StsViewError, Supply,
    TokenError, distinct, run,
};
use crate::{servers::ThreadCpu, sts::Credentials};

/// Threads of this process that are not the generator's: the emulator's, and those that sign ahead of the time.
const NOT_THE_GENERATOR: [&str; 2] = ["lab-sts", "lab-presign"];
/// How late a generator may be at its 99th percentile before the report says that it was.
const LATE: Duration = Duration::from_millis(10);

/// Who is loaded, by whom, and whose eyes see what STS does: what several runs share.
pub struct Session {
    /// Who is loaded.
    pub client: Arc<Client>,
    /// Who makes the tokens.
    pub source: Source,
    /// Whose they are.
    pub people: Vec<Credentials>,
    /// The emulator's figures, where it plays STS.
    pub sts: Option<StsView>,
    /// Ends a run early.
    pub stop: CancellationToken,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The emulator's figures cannot be read.
    #[error(transparent)]
    View(#[from] StsViewError),
}

impl Session {
    /// Runs one load, of at most `total` requests, `ahead` of which are signed before the first is sent.
    ///
    /// # Errors
    /// Where no token can be made, or the emulator does not tell its figures.
    pub async fn run(
        &self,
        title: &str,
        mix: &Mix,
        arrivals: Arrivals,
        total: Option<u64>,
        ahead: usize,
    ) -> Result<Report, SessionError> {
        let supply = self.prepare(mix, total, ahead).await?;
        self.run_prepared(title, mix, arrivals, total, supply).await
    }

    /// Signs what is to be there before the first request is sent.
    ///
    /// # Errors
    /// Where no token can be made.
    pub async fn prepare(&self, mix: &Mix, total: Option<u64>, ahead: usize) -> Result<Supply, TokenError> {
        Supply::start(self.source.clone(), &self.people, mix, total, ahead).await
    }

    /// Runs one load with what was [prepared](Self::prepare) for it: the first request is sent at once.
    ///
    /// # Errors
    /// Where the emulator does not tell its figures.
    pub async fn run_prepared(
        &self,
        title: &str,
        mix: &Mix,
        arrivals: Arrivals,
        total: Option<u64>,
        supply: Supply,
    ) -> Result<Report, SessionError> {
        let lasting = arrivals.lasting();
        let expected = match &arrivals {
            Arrivals::Open { schedule, .. } => Some(schedule.expected()),
            Arrivals::Closed { .. } => None,
        };
        let recorder = Arc::new(Recorder::new(lasting, expected));
        let schedule = match &arrivals {
            Arrivals::Open { schedule, .. } => Some(schedule.clone()),
            Arrivals::Closed { .. } => None,
        };
        let plan = describe(&arrivals, mix, total, self.people.len());
        let seen_before = self.seen().await?;
        let cpu_before = ThreadCpu::of_threads_not_named(&NOT_THE_GENERATOR);
        let started_at = format!("{:.0}", Timestamp::now());

        let progress = Progress::start(&recorder, lasting);
        let took = run(&self.client, supply, arrivals, &recorder, &self.stop).await;
        drop(progress);

        let cpu = ThreadCpu::of_threads_not_named(&NOT_THE_GENERATOR).since(cpu_before);
        let sts = match (self.seen().await?, seen_before) {
            (Some(after), Some(before)) => Some(after.since(&before)),
            _ => None,
        };
        let recording = recorder.snapshot();
        let about = About {
            title: title.to_owned(),
            target: self.client.target().describe(),
            started_at,
            plan,
            schedule,
            took,
            sts,
            connections: self.client.opened(),
            cpu,
            notes: Vec::new(),
        };
        let mut report = Report::new(&recording, about);
        report.notes = self.notes(&report);
        Ok(report)
    }

    async fn seen(&self) -> Result<Option<crate::sts::Seen>, StsViewError> {
        match &self.sts {
            Some(sts) => sts.seen().await.map(Some),
            None => Ok(None),
        }
    }

    fn notes(&self, report: &Report) -> Vec<String> {
        let mut notes = Vec::new();
        if report.generator.lag.count == 0 {
            notes.push(
                "a closed loop: each client waits for its answer before it asks again, so that a stall is seen by \
                 few; the open model (--rate, --ramp) shows what others would have met"
                    .to_owned(),
            );
        } else if report.generator.lag.p99_ms > LATE.as_secs_f64() * 1000.0 {
            notes.push(
                "the generator sent late (see its lag): latencies have its share in them; ask for less, or give it \
                 more CPU"
                    .to_owned(),
            );
        }
        let fresh = report.classes.iter().find(|class| class.class == super::TokenClass::Fresh);
        if fresh.is_some_and(|class| class.latency.count > distinct(self.people.len())) {
            notes.push(
                "there were more fresh tokens than principals and seconds for them: some were sent twice"
                    .to_owned(),
            );
        }
        if self.stop.is_cancelled() {
            notes.push("ended early, by a signal".to_owned());
        }
        notes
    }
}

fn describe(arrivals: &Arrivals, mix: &Mix, total: Option<u64>, people: usize) -> String {
    let how = match arrivals {
        Arrivals::Open { schedule, .. } => format!("open model, {}", schedule.describe()),
        Arrivals::Closed { parallel, lasting } => {
            let most = total.map_or(String::new(), |total| format!(", at most {total} requests"));
            format!("closed loop of {parallel} for {lasting:?}{most}")
        }
    };
    let shares =
        [("fresh", mix.fresh()), ("repeated", mix.repeat), ("forged", mix.forged), ("not ours", mix.garbage)];
    let shares: Vec<String> = shares
        .into_iter()
        .filter(|(_, share)| *share > 1e-9)
        .map(|(name, share)| format!("{:.0} % {name}", share * 100.0))
        .collect();
    format!("{how}; tokens of {people} principals: {}", shares.join(", "))
}
