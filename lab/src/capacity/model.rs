use serde::Serialize;

use super::{Cluster, Costs, Settings, Sts, advice, cluster::LEAST_REMEMBERED};

/// What there will be when everybody comes back has two forms: how many of the tokens are remembered, and by whom.
const AFTER: [&str; 2] = ["the kube-apiservers restart, the arngates go on", "both restart: nobody is known"];
/// What rounding may take from a quotient that is whole.
const ROUNDING: f64 = 1e-9;

/// What a forecast is made of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Question {
    /// Who asks.
    pub cluster: Cluster,
    /// How arngate is set up.
    pub settings: Settings,
    /// What STS allows.
    pub sts: Sts,
    /// What arngate costs.
    pub costs: Costs,
}

/// Calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Calls {
    /// Of the webhook, foreign tokens included.
    pub webhook: f64,
    /// Of STS.
    pub sts: f64,
    /// Of the webhook with tokens that are none of ours.
    pub foreign: f64,
}

/// What one arngate has to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// How often it is asked, and asks.
    #[serde(flatten)]
    pub calls: Calls,
    /// How many CPUs that keeps busy.
    pub cores: f64,
}

/// What bounds how fast everybody comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Nothing: all are let in at once.
    Nothing,
    /// `server.stsQps` and `server.stsBurst`.
    Rate,
    /// `server.stsConcurrency`, and how long STS takes.
    Concurrency,
    /// The account's quota of STS calls.
    Quota,
}

/// Everybody comes back at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comeback {
    /// After what.
    pub after: &'static str,
    /// How many reviews come to each arngate.
    pub reviews: f64,
    /// For how many of those STS has to be asked.
    pub sts_calls: f64,
    /// How long it takes until all have been answered, in seconds; `None` where that never is.
    pub seconds: Option<f64>,
    /// What bounds it.
    pub limit: Limit,
    /// STS calls in the first second, of all arngates together.
    pub first_second: f64,
    /// CPUs of one arngate that the first second keeps busy.
    pub cores: f64,
}

/// Memory of one arngate, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// In the long run, when every place for a remembered caller is taken.
    pub in_force: f64,
    /// The most, while all mappings are replaced.
    pub while_reloading: f64,
}

/// What a cluster needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// All arngates together.
    pub all: Load,
    /// One of them, where the load is even.
    pub each: Load,
    /// One that has all of it, while the others are away.
    pub alone: Load,
    /// Webhook calls by people in the busiest of a hundred seconds.
    pub busiest_second: f64,
    /// When everybody comes back at once.
    pub comebacks: [Comeback; 2],
    /// Memory.
    pub memory: Memory,
    /// Whether all of this is enough, and what to do.
    pub advice: Vec<String>,
}

/// What a cluster needs.
#[must_use]
pub fn forecast(question: &Question) -> Forecast {
    let calls = calls(question);
    let load = |calls: Calls| Load { calls, cores: cores(&question.costs, calls) };
    let part = 1.0 / f64::from(question.cluster.apiservers.get());
    let mut forecast = Forecast {
        all: load(calls),
        each: load(calls.times(part)),
        alone: load(calls),
        busiest_second: busiest_second(&question.cluster),
        comebacks: comebacks(question),
        memory: memory(question),
        advice: Vec::new(),
    };
    forecast.advice = advice::of(question, &forecast);
    forecast
}

impl Calls {
    fn times(self, factor: f64) -> Self {
        Self { webhook: self.webhook * factor, sts: self.sts * factor, foreign: self.foreign * factor }
    }
}

/// How often a token that is in use all the time comes to the webhook in its life, and how often it goes on to STS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OfAToken {
    pub(super) reviews: f64,
    pub(super) asked: f64,
    /// The time between two calls of STS, in seconds.
    pub(super) between_asks: f64,
}

/// kube-apiserver asks when what it remembers is too old, at the next request; of those reviews arngate remembers the
/// ones that come before what it was told is too old.
pub(super) fn of_a_token(cluster: &Cluster, settings: &Settings) -> OfAToken {
    let lifetime = cluster.token_lifetime.max(1.0);
    let between = cluster.webhook_ttl.max(LEAST_REMEMBERED) + cluster.node_pause;
    let reviews = up(lifetime / between).max(1.0);
    // One that STS is asked for, and those that come while its answer is believed.
    let by_one_answer = up(settings.sts_ttl / between).max(1.0);
    let asked = up(reviews / by_one_answer).max(1.0);
    OfAToken { reviews, asked, between_asks: (by_one_answer * between).min(lifetime) }
}

/// All calls, steadily.
pub(super) fn calls(question: &Question) -> Calls {
    let Question { cluster, settings, .. } = question;
    let token = of_a_token(cluster, settings);
    let lives = f64::from(cluster.nodes) / cluster.token_lifetime.max(1.0);
    let commands = f64::from(cluster.people) * cluster.commands_per_hour / 3600.0;
    Calls {
        webhook: lives * token.reviews + commands + cluster.foreign_per_second,
        sts: lives * token.asked + commands,
        foreign: cluster.foreign_per_second,
    }
}

fn cores(costs: &Costs, calls: Calls) -> f64 {
    let remembered = (calls.webhook - calls.sts - calls.foreign).max(0.0);
    (calls.sts * costs.asked_ms + remembered * costs.remembered_ms + calls.foreign * costs.foreign_ms)
        / 1000.0
}

/// People's commands in the busiest of a hundred seconds: so many at once, as a Poisson process.
fn busiest_second(cluster: &Cluster) -> f64 {
    let at_once = f64::from(cluster.commands_at_once.max(1));
    let bursts = f64::from(cluster.people) * cluster.commands_per_hour / 3600.0 / at_once;
    poisson_quantile(bursts, 0.99) * at_once
}

/// The least number that a Poisson process of this mean stays at or below with this probability.
fn poisson_quantile(mean: f64, quantile: f64) -> f64 {
    // Where e^-mean is no number any more, the normal distribution is close enough.
    if mean > 500.0 {
        return up(mean + 2.326 * mean.sqrt());
    }
    let (mut number, mut probability) = (0.0, (-mean).exp());
    let mut sum = probability;
    while sum < quantile && number < 10_000.0 {
        number += 1.0;
        probability *= mean / number;
        sum += probability;
    }
    number
}

pub(super) fn comebacks(question: &Question) -> [Comeback; 2] {
    let Question { cluster, settings, .. } = question;
    let part = 1.0 / f64::from(cluster.apiservers.get());
    let (nodes, people) = (f64::from(cluster.nodes) * part, f64::from(cluster.people) * part);
    let token = of_a_token(cluster, settings);
    // A token's last answer is as likely to be of one age as of another.
    let remembered = (settings.sts_ttl / token.between_asks).min(1.0);
    let known = nodes * (1.0 - remembered) + people;
    let [after_apiservers, after_both] = AFTER;
    [
        comeback(question, after_apiservers, nodes + people, known, 1.0),
        // Strangers have half of everything.
        comeback(question, after_both, nodes + people, nodes + people, 0.5),
    ]
}

/// `reviews` come to each arngate at once; STS is asked for `sts_calls` of them, by a `share` of what there is for it.
fn comeback(question: &Question, after: &'static str, reviews: f64, sts_calls: f64, share: f64) -> Comeback {
    let Question { cluster, settings, sts, costs } = question;
    let arngates = f64::from(cluster.apiservers.get());
    let (burst, concurrency) = (settings.burst * share, (settings.concurrency * share).max(1.0));
    let rate = settings.qps.map(|qps| qps * share);
    let by_rate = rate.map_or(0.0, |rate| ((sts_calls - burst) / rate).max(0.0));
    let by_concurrency = sts_calls * sts.latency / concurrency;
    // What fits into a second is answered in one: how much AWS allows at once is not known.
    let by_quota = if sts_calls * arngates <= sts.left() { 0.0 } else { sts_calls * arngates / sts.left() };
    let limits = [(Limit::Rate, by_rate), (Limit::Quota, by_quota), (Limit::Concurrency, by_concurrency)];
    let (limit, seconds) = limits
        .into_iter()
        .fold((Limit::Nothing, 0.0), |longest, this| if this.1 > longest.1 { this } else { longest });
    let limit = if seconds < 1.0 { Limit::Nothing } else { limit };
    let at_once = rate.map_or(sts_calls, |rate| sts_calls.min(burst + rate));
    // Whoever is told to come again does so once a second at most.
    let remembered = reviews - sts_calls;
    let shed = sts_calls - at_once;
    let busy = at_once * costs.asked_ms + remembered * costs.remembered_ms + shed * costs.shed_ms;
    Comeback {
        after,
        reviews,
        sts_calls,
        seconds: seconds.is_finite().then_some(seconds),
        limit,
        first_second: at_once * arngates,
        cores: busy / 1000.0,
    }
}

fn memory(question: &Question) -> Memory {
    let Question { cluster, settings, costs, .. } = question;
    let mappings = f64::from(cluster.mappings);
    let places = if settings.sts_ttl > 0.0 { f64::from(settings.cache_size) } else { 0.0 };
    let in_force = costs.base_bytes + mappings * costs.mapping_bytes + places * costs.remembered_bytes;
    Memory { in_force, while_reloading: in_force + mappings * costs.reload_bytes }
}

/// The next whole number, where `number` is not one already.
fn up(number: f64) -> f64 {
    (number - ROUNDING).ceil()
}

#[cfg(test)]
mod tests;
