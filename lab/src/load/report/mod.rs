//! What a run came to, in figures: as text, as JSON, and as a page with plots.

pub(crate) mod chart;
mod html;
mod text;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

pub(crate) use html::STYLE;
pub(crate) use text::grouped;
#[cfg(test)]
use text::ms;

use super::{AnswerKind, Recording, Schedule, TokenClass};
use crate::sts::Seen;

/// How many points a percentile curve has at most.
const CURVE_TICKS: u32 = 5;

/// A run's result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was run.
    pub title: String,
    /// Who was asked.
    pub target: String,
    /// When it began, in RFC 3339.
    pub started_at: String,
    /// How requests came.
    pub plan: String,
    /// From the first planned start to the last answer.
    pub seconds: f64,
    /// How many requests there were.
    pub requests: u64,
    /// Answers a second, of whatever kind.
    pub answers_per_second: f64,
    /// Answers a second that say whether a token is good.
    pub verdicts_per_second: f64,
    /// Of all requests that were sent.
    pub latency: Percentiles,
    /// By kind, those that there were.
    pub answers: Vec<AnswerCount>,
    /// By class of token, those that there were.
    pub classes: Vec<ClassReport>,
    /// What STS saw, where the lab's emulator plays it.
    pub sts: Option<StsReport>,
    /// What the generator did.
    pub generator: GeneratorReport,
    /// Over time.
    pub intervals: Vec<IntervalReport>,
    /// The share of requests that took at most so long.
    pub curve: Vec<CurvePoint>,
    /// What is to be known about these figures.
    pub notes: Vec<String>,
}

/// Latencies, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many there are.
    pub count: u64,
    /// The least.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// Nine in ten are at most this.
    pub p90_ms: f64,
    /// 99 in 100.
    pub p99_ms: f64,
    /// 999 in 1,000.
    pub p999_ms: f64,
    /// The most.
    pub max_ms: f64,
}

/// How often a kind of answer came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerCount {
    /// The kind.
    pub kind: AnswerKind,
    /// How often.
    pub count: u64,
}

/// What a class of tokens met.
#[derive(Debug, Clone, Serialize)]
pub struct ClassReport {
    /// The class.
    pub class: TokenClass,
    /// Its latencies.
    pub latency: Percentiles,
    /// By kind, those that there were.
    pub answers: Vec<AnswerCount>,
}

/// What the STS emulator saw during a run.
#[derive(Debug, Clone, Serialize)]
pub struct StsReport {
    /// In numbers.
    #[serde(flatten)]
    pub seen: Seen,
    /// Calls for each 100 requests.
    pub calls_per_100_requests: f64,
    /// New connections for each 100 calls.
    pub connections_per_100_calls: f64,
}

/// What the generator itself did and cost.
#[derive(Debug, Clone, Serialize)]
pub struct GeneratorReport {
    /// Connections to the target that it has made since it began.
    pub connections: u64,
    /// How much later than planned requests were sent; nothing for a closed loop, which has no plan.
    pub lag: Percentiles,
    /// Its CPU time in seconds, without an emulator's in the same process.
    pub cpu_seconds: f64,
    /// The same for each request, in milliseconds.
    pub cpu_ms_per_request: f64,
}

/// An interval of a run.
#[derive(Debug, Clone, Serialize)]
pub struct IntervalReport {
    /// When it begins, in seconds from the start.
    pub at: f64,
    /// The rate planned for its middle, where there is a plan.
    pub planned_per_second: Option<f64>,
    /// Requests that were planned to start in it, a second.
    pub started_per_second: f64,
    /// Verdicts that came in it, a second.
    pub verdicts_per_second: f64,
    /// Requests that ended in it without a verdict, a second.
    pub failures_per_second: f64,
    /// Latencies of those that started in it; absent where there are none.
    pub latency: Option<Percentiles>,
}

/// A point of the percentile curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// From 0 to 1.
    pub quantile: f64,
    /// In milliseconds.
    pub ms: f64,
}

/// What a report is made of, beside the recording.
#[derive(Debug, Clone)]
pub struct About {
    /// See [`Report::title`].
    pub title: String,
    /// See [`Report::target`].
    pub target: String,
    /// See [`Report::started_at`].
    pub started_at: String,
    /// See [`Report::plan`].
    pub plan: String,
    /// The schedule, where there is one.
    pub schedule: Option<Schedule>,
    /// How long the run took.
    pub took: Duration,
    /// What STS saw during it.
    pub sts: Option<Seen>,
    /// Connections to the target.
    pub connections: u64,
    /// The generator's CPU time.
    pub cpu: Duration,
    /// See [`Report::notes`].
    pub notes: Vec<String>,
}

impl Percentiles {
    /// Those of a histogram in microseconds.
    #[must_use]
    pub fn of<T: hdrhistogram::Counter>(histogram: &Histogram<T>) -> Self {
        let at = |quantile| to_ms(histogram.value_at_quantile(quantile));
        // An empty histogram's least is 0.
        Self {
            count: histogram.len(),
            min_ms: to_ms(histogram.min()),
            mean_ms: histogram.mean() / 1000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: to_ms(histogram.max()),
        }
    }
}

impl Report {
    /// Makes a report of a recording.
    #[must_use]
    pub fn new(recording: &Recording, about: About) -> Self {
        let latency = recording.latency();
        let answers = recording.answers();
        let requests: u64 = answers.iter().sum();
        let seconds = about.took.as_secs_f64();
        let counted = |counts: &[u64], holds: fn(AnswerKind) -> bool| {
            let kinds = AnswerKind::ALL.into_iter().zip(counts);
            kinds.filter(|(kind, _)| holds(*kind)).map(|(_, count)| *count).sum::<u64>()
        };
        let width = recording.width.as_secs_f64();
        let mut at = 0.0;
        let intervals = recording.intervals.iter().map(|interval| {
            let planned = about
                .schedule
                .as_ref()
                .map(|schedule| schedule.rate_at(Duration::from_secs_f64(at + width / 2.0)));
            let report = IntervalReport {
                at,
                planned_per_second: planned,
                started_per_second: float(interval.started) / width,
                verdicts_per_second: float(counted(&interval.ended, AnswerKind::is_verdict)) / width,
                failures_per_second: float(counted(&interval.ended, |kind| !kind.is_verdict())) / width,
                latency: (!interval.latency.is_empty()).then(|| Percentiles::of(&interval.latency)),
            };
            at += width;
            report
        });
        let classes = TokenClass::ALL.into_iter().zip(&recording.classes);
        Self {
            seconds,
            requests,
            answers_per_second: rate(counted(&answers, AnswerKind::is_answer), seconds),
            verdicts_per_second: rate(counted(&answers, AnswerKind::is_verdict), seconds),
            latency: Percentiles::of(&latency),
            answers: answer_counts(&answers),
            classes: classes
                .filter(|(_, class)| class.answers.iter().any(|count| *count > 0))
                .map(|(kind, class)| ClassReport {
                    class: kind,
                    latency: Percentiles::of(&class.latency),
                    answers: answer_counts(&class.answers),
                })
                .collect(),
            sts: about.sts.map(|seen| StsReport {
                calls_per_100_requests: per_100(seen.calls, requests),
                connections_per_100_calls: per_100(seen.connections, seen.calls),
                seen,
            }),
            generator: GeneratorReport {
                connections: about.connections,
                lag: Percentiles::of(&recording.lag),
                cpu_seconds: about.cpu.as_secs_f64(),
                cpu_ms_per_request: about.cpu.as_secs_f64() * 1000.0 / float(requests.max(1)),
            },
            intervals: intervals.collect(),
            curve: curve(&latency),
            title: about.title,
            target: about.target,
            started_at: about.started_at,
            plan: about.plan,
            notes: about.notes,
        }
    }

    /// How many requests came to `kind`.
    #[must_use]
    pub fn count(&self, kind: AnswerKind) -> u64 {
        self.answers.iter().filter(|answer| answer.kind == kind).map(|answer| answer.count).sum()
    }

    /// The share of requests without a verdict, from 0 to 1.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        let failed = self.answers.iter().filter(|answer| !answer.kind.is_verdict());
        float(failed.map(|answer| answer.count).sum()) / float(self.requests.max(1))
    }

    /// As people read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// A page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(std::slice::from_ref(self), &self.title)
    }
}

/// A page of several runs.
#[must_use]
pub fn page(reports: &[Report], title: &str) -> String {
    html::render(reports, title)
}

fn answer_counts(counts: &[u64]) -> Vec<AnswerCount> {
    let all = AnswerKind::ALL.into_iter().zip(counts);
    all.filter(|(_, count)| **count > 0).map(|(kind, count)| AnswerCount { kind, count: *count }).collect()
}

/// As far as there is more than one request beyond a point: what is further right is one request's.
fn curve(latency: &Histogram<u64>) -> Vec<CurvePoint> {
    let end = 1.0 - 1.0 / float(latency.len().max(2));
    let points = latency.iter_quantiles(CURVE_TICKS).map(|point| CurvePoint {
        quantile: point.quantile_iterated_to(),
        ms: to_ms(point.value_iterated_to()),
    });
    points.take_while(|point| point.quantile <= end).collect()
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { float(count) / seconds } else { 0.0 }
}

fn per_100(count: u64, of: u64) -> f64 {
    float(count) * 100.0 / float(of.max(1))
}

fn to_ms(micros: u64) -> f64 {
    float(micros) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds, far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
