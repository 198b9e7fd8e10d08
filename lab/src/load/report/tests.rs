use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A run of two seconds: 100 requests a second, the last ten of which wait long and fail.
fn report() -> Report {
    let mut recording = Recording::new(Duration::from_secs(2), None);
    for number in 0..190 {
        let class = if number % 2 == 0 { TokenClass::Fresh } else { TokenClass::Repeated };
        recording.add(class, AnswerKind::Authenticated, MS(10 * number), MS(1 + number % 10));
        recording.add_lag(Duration::from_micros(100));
    }
    for number in 190..200 {
        recording.add(TokenClass::Fresh, AnswerKind::Unavailable, MS(10 * number), MS(500));
    }
    let stage = "100:2s".parse().unwrap_or_else(|error| panic!("{error}"));
    let schedule = Schedule::new(vec![stage], super::super::Spacing::Even, None);
    let seen =
        Seen { calls: 95, connections: 2, access_keys: 10, outcomes: [("Success".to_owned(), 95)].into() };
    let about = About {
        title: "A <run>".to_owned(),
        target: "webhook https://localhost:1/a?b&c".to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        plan: "open model".to_owned(),
        schedule: schedule.ok(),
        took: MS(2500),
        sts: Some(seen),
        connections: 1,
        cpu: MS(20),
        notes: vec!["a note with a < in it".to_owned()],
    };
    Report::new(&recording, about)
}

#[test]
fn figures_follow_from_what_was_recorded() {
    let report = report();
    assert_eq!(report.requests, 200);
    assert_eq!(report.count(AnswerKind::Authenticated), 190);
    assert_eq!(report.count(AnswerKind::Unavailable), 10);
    assert!((report.failed_share() - 0.05).abs() < 1e-9);
    assert!((report.verdicts_per_second - 76.0).abs() < 1e-9);
    assert!((report.answers_per_second - 80.0).abs() < 1e-9);
    // The longest are the failures', and they are the last twentieth.
    assert!(report.latency.p90_ms < 11.0 && report.latency.p99_ms > 499.0, "{:?}", report.latency);
    assert_eq!(report.classes.len(), 2);
    assert_eq!(report.classes[1].answers, [AnswerCount { kind: AnswerKind::Authenticated, count: 95 }]);
    let sts = report.sts.as_ref().unwrap();
    assert!((sts.calls_per_100_requests - 47.5).abs() < 1e-9);
    assert!((report.generator.cpu_ms_per_request - 0.1).abs() < 1e-9);
    let planned = report.intervals[3].planned_per_second;
    assert_eq!(planned, Some(100.0));
    assert!((report.intervals[3].started_per_second - 100.0).abs() < 1e-9);
    // What began in the last tenth ended half a second later.
    assert!(report.intervals.last().unwrap().failures_per_second > 0.0);
}

#[test]
fn a_run_without_requests_has_a_report_as_well() {
    let recording = Recording::new(Duration::from_secs(1), None);
    let about = About {
        title: String::new(),
        target: String::new(),
        started_at: String::new(),
        plan: String::new(),
        schedule: None,
        took: Duration::ZERO,
        sts: None,
        connections: 0,
        cpu: Duration::ZERO,
        notes: Vec::new(),
    };
    let report = Report::new(&recording, about);
    assert_eq!((report.requests, report.latency.count), (0, 0));
    assert!(!report.to_html().contains("NaN"));
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("null,\"cpu_ms"), "no figure is left out: {json}");
    assert!(report.to_text().contains("0 in 0.0 s"));
}

#[test]
fn the_text_has_what_people_look_for() {
    let text = report().to_text();
    for words in [
        "A <run>",
        "200 in 2.5 s: 76.0 verdicts/s, 80.0 answers/s",
        "authenticated                 190    95.00 %",
        "unavailable (503)              10     5.00 %",
        "95 calls (47.5 per 100 requests), 2 new connections (2.11 per 100 calls)",
        "sent late by p50 0.10 ms",
        "note        a note",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn json_has_names_with_units() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["answers"][0]["kind"], "authenticated");
    assert_eq!(json["classes"][0]["class"], "fresh");
    assert_eq!(json["sts"]["calls"], 95);
    assert!(json["latency"]["p99_ms"].as_f64().unwrap() > 499.0);
    assert_eq!(json["curve"][0]["quantile"], 0.0);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = report().to_html();
    assert_eq!(page.matches("<svg").count(), 3);
    for outside in ["src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("A &lt;run&gt;") && !page.contains("A <run>"), "what is named is escaped");
    assert!(page.contains("b&amp;c") && page.contains("a &lt; in it"));
    assert!(!page.contains("NaN") && !page.contains("inf"));
    // As many tags are closed as opened: one that is not swallows the rest of the page.
    for tag in ["section", "figure", "svg", "table", "tbody", "div", "tr", "td", "th", "p", "ul"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn numbers_are_grouped_and_times_are_short() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0.123, 12.34, 123.4, 12_345.0].map(ms), ["0.12 ms", "12.3 ms", "123 ms", "12.3 s"]);
}
