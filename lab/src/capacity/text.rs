//! A forecast, as people read it.

use std::fmt::Write as _;

use super::{Comeback, Forecast, Limit, Load, Question, model::of_a_token};

/// Bytes in a mebibyte.
const MIB: f64 = 1_048_576.0;

/// Writing to a string does not fail.
macro_rules! line {
    ($to:expr, $($format:tt)*) => {{ let _ = writeln!($to, $($format)*); }};
}

/// The figures, what to do, and what they stand on.
#[must_use]
pub(super) fn render(question: &Question, forecast: &Forecast) -> String {
    let mut text = String::new();
    let Forecast { all, each, alone, busiest_second, comebacks, memory, advice } = forecast;
    let arngates = question.cluster.apiservers.get();
    line!(text, "Steadily                            webhook calls/s   STS calls/s   CPUs");
    let loads = [
        (format!("  all {arngates} arngates together"), all),
        ("  each of them".to_owned(), each),
        ("  one alone, the others being away".to_owned(), alone),
    ];
    for (name, Load { calls, cores }) in loads.iter().take(if arngates == 1 { 1 } else { 3 }) {
        line!(text, "{name:<36}{:>15}{:>14}{cores:>7.3}", rate(calls.webhook), rate(calls.sts));
    }
    if question.cluster.people > 0 {
        line!(text, "  people's commands in the busiest of a hundred seconds: {busiest_second:.0}");
    }
    line!(text, "\nWhen everybody comes back at once");
    for Comeback { after, reviews, sts_calls, seconds, limit, first_second, cores } in comebacks {
        let lasting = match (seconds, limit) {
            (None, _) => "never answered, for lack of STS calls".to_owned(),
            (_, Limit::Nothing) => "answered within a second".to_owned(),
            (Some(seconds), limit) => {
                format!("answered within {seconds:.0} s ({}) and a few seconds of coming again", name(*limit))
            }
        };
        line!(text, "  {after}:");
        line!(text, "    {reviews:.0} reviews for each arngate, {sts_calls:.0} STS calls; {lasting}");
        line!(
            text,
            "    STS calls in the first second, all together: {first_second:.0}; CPUs of each: {cores:.2}"
        );
    }
    line!(
        text,
        "\nMemory of each: {:.0} MiB, {:.0} MiB while all {} mappings are replaced",
        memory.in_force / MIB,
        memory.while_reloading / MIB,
        question.cluster.mappings
    );
    line!(text, "\nWhat to do");
    for advice in advice {
        line!(text, "  - {advice}");
    }
    line!(text, "\nAssumed");
    for assumption in assumptions(question) {
        line!(text, "  - {assumption}");
    }
    text
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::Nothing => "nothing bounds it",
        Limit::Rate => "bounded by stsQps and stsBurst",
        Limit::Concurrency => "bounded by stsConcurrency and STS's latency",
        Limit::Quota => "bounded by the account's STS quota",
    }
}

fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

/// What the figures stand on.
#[must_use]
pub(super) fn assumptions(question: &Question) -> Vec<String> {
    let Question { cluster, settings, sts, costs } = question;
    let token = of_a_token(cluster, settings);
    let pause = if cluster.node_pause > 0.0 {
        format!("a request every {} s", cluster.node_pause)
    } else {
        "at any moment, which is the most".to_owned()
    };
    let qps = settings.qps.map_or("any number of".to_owned(), |qps| format!("{qps:.0}"));
    vec![
        format!(
            "{} nodes ask all the time ({pause}); each makes a token every {:.0} s, which comes to the webhook {} times \
             and goes on to STS {} times",
            cluster.nodes, cluster.token_lifetime, token.reviews, token.asked
        ),
        format!(
            "{} people run {} commands an hour each, {} at a time, each with a token of its own",
            cluster.people, cluster.commands_per_hour, cluster.commands_at_once
        ),
        format!(
            "{} kube-apiservers share them evenly, each with an arngate of its own and a cache of its own: {} s \
             (--authentication-token-webhook-cache-ttl), no less than 10 s",
            cluster.apiservers, cluster.webhook_ttl
        ),
        format!(
            "arngate believes STS for {} s (--sts-cache-ttl), knows {} callers (--sts-cache-size), and asks STS {qps} times \
             a second, {:.0} at once, {:.0} calls under way (--sts-qps, --sts-burst, --sts-concurrency); whom it does \
             not know has half of that",
            settings.sts_ttl, settings.cache_size, settings.burst, settings.concurrency
        ),
        format!(
            "AWS answers {:.0} STS calls a second for the account in the region, of which other programs use {:.0}; one \
             takes {:.0} ms",
            sts.quota,
            sts.others,
            sts.latency * 1000.0
        ),
        format!(
            "CPU for a review: {} ms if STS is asked, {} ms if it is remembered, {} ms if it is none of ours ({} a second \
             of those), {} ms if it is told to come again",
            costs.asked_ms, costs.remembered_ms, costs.foreign_ms, cluster.foreign_per_second, costs.shed_ms
        ),
        format!(
            "memory: {:.1} MiB, {:.0} bytes a mapping ({:.0} more while all are replaced), {:.0} bytes a caller",
            costs.base_bytes / MIB,
            costs.mapping_bytes,
            costs.reload_bytes,
            costs.remembered_bytes
        ),
    ]
}
