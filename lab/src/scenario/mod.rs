//! Plays what happens to a cluster, step by step, on arngate and the STS emulator; and reports what it came to.
//!
//! ```text
//! FILE ─▶ file ─▶ Scenario ─▶ player ─┬─▶ sts:      the emulator's conditions change
//!                                     ├─▶ restart:  arngate ends, and starts on the same port
//!                                     ├─▶ mappings: the file of mappings is replaced
//!                                     ├─▶ load:     a load, and what happens meanwhile ─▶ Report
//!                                     └─▶ wait:
//! ```
//!
//! `lab/scenarios` has examples, whose comments say what each key means.
pub mod cli;
mod fields;
mod file;
mod mappings;
mod player;

use std::time::Duration;

pub use fields::ScenarioError;
pub use mappings::MappingsFileError;
pub use player::{Outcome, PlayError, play};

use crate::{
    load::{Counts, Mix, Stage},
    sts::{Conditions, RateLimit},
};

/// A sequence of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// Who there is.
    pub counts: Counts,
    /// How many kube-apiservers ask: connections to arngate.
    pub apiservers: usize,
    /// How long they wait for an answer.
    pub timeout: Duration,
    /// How many mappings there are, in a file that is replaced while arngate runs; where absent, everybody's are in its
    /// configuration.
    pub mappings: Option<usize>,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// At once.
    Event(Event),
    /// For a while.
    Load(LoadStep),
    /// Nothing, for a while.
    Wait(Duration),
}

/// Something that happens at once.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// STS changes.
    Sts(Conditions),
    /// arngate ends and starts again.
    Restart(Ending),
    /// There are so many mappings from now on.
    Mappings(usize),
}

/// How arngate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By TERM.
    Term,
    /// At once.
    Kill,
}

/// A load, and what happens meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadStep {
    /// What it is called.
    pub title: String,
    /// How requests come.
    pub model: Model,
    /// With which tokens.
    pub mix: Mix,
    /// At most so many requests.
    pub count: Option<u64>,
    /// What happens how long after its beginning, in order.
    pub meanwhile: Vec<(Duration, Event)>,
    /// What must come of it.
    pub expected: Expected,
}

/// How requests come.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// By a schedule.
    Open(Vec<Stage>),
    /// By so many who wait for their answers, for so long.
    Closed(usize, Duration),
}

/// What must come of a load; what is absent may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expected {
    /// At most this share of requests without a verdict.
    pub failures: Option<f64>,
    /// At most this 99th percentile.
    pub p99: Option<Duration>,
    /// At most so many calls of STS for each 100 requests.
    pub sts_calls_per_100: Option<f64>,
}

impl Scenario {
    /// The same with `scale` times the principals, rates and counts, in a `hurry`th of the time.
    #[must_use]
    pub fn scaled(mut self, scale: f64, hurry: f64) -> Self {
        let Counts { nodes, roles, sessions, users, strangers } = self.counts;
        let number = |number| scaled_size(number, scale);
        self.counts = Counts {
            nodes: number(nodes),
            roles: number(roles),
            sessions,
            users: number(users),
            strangers: number(strangers),
        };
        self.mappings = self.mappings.map(number);
        for step in &mut self.steps {
            match step {
                Step::Wait(duration) => *duration = duration.div_f64(hurry),
                Step::Event(event) => event.scale(scale),
                Step::Load(load) => {
                    // In less time there are fewer requests, unless their number is fixed.
                    load.count = load.count.map(|count| scaled(count, scale));
                    match &mut load.model {
                        Model::Open(stages) => {
                            let rates = if load.count.is_some() { scale * hurry } else { scale };
                            for stage in stages {
                                stage.from *= rates;
                                stage.to *= rates;
                                stage.lasting = stage.lasting.div_f64(hurry);
                            }
                        }
                        Model::Closed(parallel, lasting) => {
                            *parallel = number(*parallel);
                            *lasting = lasting.div_f64(hurry);
                        }
                    }
                    for (after, event) in &mut load.meanwhile {
                        *after = after.div_f64(hurry);
                        event.scale(scale);
                    }
                }
            }
        }
        self
    }
}

impl Event {
    fn scale(&mut self, scale: f64) {
        match self {
            // A limit that is scaled below what one can be stays.
            Self::Sts(Conditions { limit: Some(limit), .. }) => {
                *limit = RateLimit::scaled(*limit, scale).unwrap_or(*limit);
            }
            Self::Mappings(count) => *count = scaled_size(*count, scale),
            Self::Sts(_) | Self::Restart(_) => {}
        }
    }
}

fn scaled_size(number: usize, scale: f64) -> usize {
    scaled(number as u64, scale).try_into().unwrap_or(usize::MAX)
}

/// A number scaled, at least 1 where it was.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts, far below 2^53"
)]
fn scaled(number: u64, scale: f64) -> u64 {
    if number == 0 { 0 } else { (number as f64 * scale).round().max(1.0) as u64 }
}
