//! One page without anything from elsewhere: it can be mailed, kept beside a build, or opened without a network.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{
    AnswerCount, Percentiles, Report,
    chart::{Chart, Scale, Series},
    float,
    text::{grouped, ms},
};

pub(crate) const STYLE: &str = include_str!("style.css");

pub(super) fn render(reports: &[Report], title: &str) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0}</title>\
         <style>{STYLE}</style></head><body><main><h1>{0}</h1>",
        escape(title)
    );
    for report in reports {
        let _ = write!(page, "{}", section(report, reports.len() > 1));
    }
    page.push_str("</main></body></html>\n");
    page
}

fn section(report: &Report, titled: bool) -> String {
    let mut html = String::from("<section>");
    if titled {
        let _ = write!(html, "<h2>{}</h2>", escape(report.title.as_str()));
    }
    let _ = write!(
        html,
        "<p class=\"about\">{}<br>{}<br>{}</p>",
        escape(report.target.as_str()),
        escape(report.plan.as_str()),
        escape(report.started_at.as_str())
    );
    html.push_str(&tiles(report));
    html.push_str("<div class=\"grid\">");
    html.push_str(&charts(report));
    html.push_str(&latencies(report));
    html.push_str(&answers(report));
    html.push_str(&facts(report));
    html.push_str("</div>");
    if !report.notes.is_empty() {
        html.push_str("<ul class=\"notes\">");
        for note in &report.notes {
            let _ = write!(html, "<li>{}</li>", escape(note.as_str()));
        }
        html.push_str("</ul>");
    }
    html.push_str("</section>");
    html
}

fn tiles(report: &Report) -> String {
    let failed = 100.0 * report.failed_share();
    let tiles = [
        ("verdicts a second", format!("{:.1}", report.verdicts_per_second), ""),
        ("requests", grouped(report.requests), ""),
        ("median", ms(report.latency.p50_ms), ""),
        ("99th percentile", ms(report.latency.p99_ms), ""),
        ("longest", ms(report.latency.max_ms), ""),
        ("without a verdict", format!("{failed:.2} %"), if failed > 0.0 { " bad" } else { "" }),
    ];
    let mut html = String::from("<div class=\"tiles\">");
    for (name, value, class) in tiles {
        let _ = write!(html, "<div class=\"tile{class}\"><b>{value}</b><span>{name}</span></div>");
    }
    html + "</div>"
}

fn charts(report: &Report) -> String {
    let over_time = |value: &dyn Fn(&super::IntervalReport) -> Option<f64>| -> Vec<(f64, f64)> {
        let points =
            report.intervals.iter().map(|interval| (interval.at, value(interval).unwrap_or(f64::NAN)));
        points.collect()
    };
    let latency =
        |value: fn(&Percentiles) -> f64| over_time(&move |interval| interval.latency.as_ref().map(value));
    let latencies = Chart {
        title: "Latency over time",
        x_label: "planned start, seconds",
        y_label: "milliseconds",
        x_scale: Scale::Linear,
        y_scale: Scale::Logarithmic,
        series: vec![
            Series { label: "max", class: "c4", points: latency(|latency| latency.max_ms) },
            Series { label: "p99", class: "c3", points: latency(|latency| latency.p99_ms) },
            Series { label: "p90", class: "c2", points: latency(|latency| latency.p90_ms) },
            Series { label: "p50", class: "c1", points: latency(|latency| latency.p50_ms) },
        ],
    };
    let mut rates = Vec::new();
    if report.intervals.iter().any(|interval| interval.planned_per_second.is_some()) {
        let points = over_time(&|interval| interval.planned_per_second);
        rates.push(Series { label: "planned", class: "c5", points });
    }
    let verdicts = over_time(&|interval| Some(interval.verdicts_per_second));
    rates.push(Series { label: "verdicts", class: "c1", points: verdicts });
    let failures = over_time(&|interval| Some(interval.failures_per_second));
    rates.push(Series { label: "without a verdict", class: "c3", points: failures });
    let rates = Chart {
        title: "Rate over time",
        x_label: "seconds",
        y_label: "a second",
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: rates,
    };
    let curve = report.curve.iter().map(|point| (point.quantile, point.ms)).collect();
    let curve = Chart {
        title: "Latency by percentile",
        x_label: "share of requests",
        y_label: "milliseconds",
        x_scale: Scale::Quantile,
        y_scale: Scale::Logarithmic,
        series: vec![Series { label: "at most", class: "c1", points: curve }],
    };
    format!("{}{}{}", latencies.render(), rates.render(), curve.render())
}

fn answers(report: &Report) -> String {
    let mut html = String::from("<div class=\"card\"><table><caption>Answers</caption><tbody>");
    for AnswerCount { kind, count } in &report.answers {
        let share = 100.0 * float(*count) / float(report.requests.max(1));
        let class = if kind.is_verdict() { "" } else { " class=\"bad\"" };
        let _ = write!(
            html,
            "<tr{class}><th>{}</th><td>{}</td><td>{share:.2} %</td></tr>",
            kind.label(),
            grouped(*count)
        );
    }
    html + "</tbody></table></div>"
}

fn latencies(report: &Report) -> String {
    let mut html = String::from(
        "<div class=\"card\"><table><caption>Latency by token</caption><thead><tr><th></th><td>requests</td><td>p50</td><td>p90</td>\
         <td>p99</td><td>p99.9</td><td>max</td></tr></thead><tbody>",
    );
    let all = (report.classes.len() > 1).then_some(("all", report.latency));
    let classes = report.classes.iter().map(|class| (class.class.label(), class.latency));
    for (name, latency) in classes.chain(all) {
        let _ = write!(
            html,
            "<tr><th>{name}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            grouped(latency.count),
            ms(latency.p50_ms),
            ms(latency.p90_ms),
            ms(latency.p99_ms),
            ms(latency.p999_ms),
            ms(latency.max_ms)
        );
    }
    html + "</tbody></table></div>"
}

fn facts(report: &Report) -> String {
    let mut rows = Vec::new();
    if let Some(sts) = &report.sts {
        rows.push(("STS calls".to_owned(), grouped(sts.seen.calls)));
        rows.push(("STS calls per 100 requests".to_owned(), format!("{:.1}", sts.calls_per_100_requests)));
        rows.push(("new STS connections".to_owned(), grouped(sts.seen.connections)));
        let outcomes = sts.seen.outcomes.iter();
        rows.extend(outcomes.map(|(name, count)| (format!("STS said {name}"), grouped(*count))));
    }
    let generator = &report.generator;
    rows.push(("connections to the target".to_owned(), grouped(generator.connections)));
    if generator.lag.count > 0 {
        rows.push(("sent late by, p99".to_owned(), ms(generator.lag.p99_ms)));
    }
    rows.push((
        "the generator's CPU a request".to_owned(),
        format!("{:.3} ms", generator.cpu_ms_per_request),
    ));
    let mut html = String::from("<div class=\"card\"><table><caption>STS and the generator</caption><tbody>");
    for (name, value) in rows {
        let _ = write!(html, "<tr><th>{}</th><td>{value}</td></tr>", escape(name.as_str()));
    }
    html + "</tbody></table></div>"
}
