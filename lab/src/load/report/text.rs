use std::fmt::Write as _;

use super::{AnswerCount, Percentiles, Report, float};

/// Writing to a string does not fail.
macro_rules! line {
    ($to:expr, $($format:tt)*) => {{ let _ = writeln!($to, $($format)*); }};
}

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    line!(text, "{}", report.title);
    line!(text, "  target      {}", report.target);
    line!(text, "  plan        {}", report.plan);
    line!(
        text,
        "  requests    {} in {:.1} s: {:.1} verdicts/s, {:.1} answers/s",
        grouped(report.requests),
        report.seconds,
        report.verdicts_per_second,
        report.answers_per_second
    );
    line!(text, "  latency     {}", percentiles(&report.latency));
    line!(text, "  answers");
    for AnswerCount { kind, count } in &report.answers {
        let share = 100.0 * float(*count) / float(report.requests.max(1));
        line!(text, "    {:<20} {:>12} {share:>8.2} %", kind.label(), grouped(*count));
    }
    if report.classes.len() > 1 {
        line!(text, "  by token");
        for class in &report.classes {
            line!(
                text,
                "    {:<20} {:>12}   {}",
                class.class.label(),
                grouped(class.latency.count),
                percentiles(&class.latency)
            );
            for AnswerCount { kind, count } in &class.answers {
                line!(text, "      {:<18} {:>12}", kind.label(), grouped(*count));
            }
        }
    }
    if let Some(sts) = &report.sts {
        line!(
            text,
            "  STS         {} calls ({:.1} per 100 requests), {} new connections ({:.2} per 100 calls)",
            grouped(sts.seen.calls),
            sts.calls_per_100_requests,
            grouped(sts.seen.connections),
            sts.connections_per_100_calls
        );
        let outcomes: Vec<String> =
            sts.seen.outcomes.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
        line!(text, "              {}", outcomes.join(", "));
    }
    let generator = &report.generator;
    line!(
        text,
        "  generator   {} connections, {:.2} s CPU ({:.3} ms a request){}",
        generator.connections,
        generator.cpu_seconds,
        generator.cpu_ms_per_request,
        if generator.lag.count > 0 {
            format!(", sent late by p50 {}, p99 {}", ms(generator.lag.p50_ms), ms(generator.lag.p99_ms))
        } else {
            String::new()
        }
    );
    for note in &report.notes {
        line!(text, "  note        {note}");
    }
    text
}

fn percentiles(latency: &Percentiles) -> String {
    if latency.count == 0 {
        return "-".to_owned();
    }
    format!(
        "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
        ms(latency.p50_ms),
        ms(latency.p90_ms),
        ms(latency.p99_ms),
        ms(latency.p999_ms),
        ms(latency.max_ms)
    )
}

/// A time, with about three digits.
pub(super) fn ms(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
