use super::*;

fn figures(rate: f64, cpu: f64) -> Figures {
    let load = LoadFigures {
        rate,
        p50_ms: 1000.0 / rate,
        p99_ms: 2000.0 / rate,
        server_cpu_ms: cpu,
        client_cpu_ms: 0.01,
        sts_cpu_ms: 0.02,
        connections_per_100_calls: 0.5,
        machine: 0.9,
    };
    Figures {
        distinct: load,
        repeated: load,
        foreign: load,
        slow_sts: load,
        memory_1k: 48 << 20,
        memory_10k: 480 << 20,
    }
}

fn table() -> Table {
    let runs = Runs {
        theirs: vec![figures(1000.0, 0.6), figures(1200.0, 0.7), figures(900.0, 0.5)],
        ours: vec![figures(8000.0, 0.03), figures(9000.0, 0.04), figures(10_000.0, 0.05)],
        sizes: (48 << 20, 10 << 20),
    };
    Table {
        theirs: "theirs 1".to_owned(),
        ours: "ours 2".to_owned(),
        runs: 3,
        cpus: 2,
        rows: runs.rows(),
        costs: runs.costs(),
    }
}

#[test]
fn medians_are_compared_with_targets() {
    let table = table();
    let met: Vec<bool> = table.rows.iter().map(|row| row.met).collect();
    // 9 times the rate is at least 7 and less than 15; 0.04 is less than a twelfth of 0.6; memory is the same.
    assert_eq!(met, [true, true, true, false, true, true, false, false, true]);
    assert!(!table.met());
    let distinct = &table.rows[0];
    assert_eq!(distinct.theirs, Spread { median: 1000.0, least: 900.0, most: 1200.0 });
    assert_eq!((distinct.ratio(), distinct.goal()), ("9.0 ×".to_owned(), "≥ 7 ×".to_owned()));
    assert_eq!((table.rows[1].ratio(), table.rows[1].goal()), ("1/15.0".to_owned(), "≤ 1/12".to_owned()));
}

#[test]
fn an_even_number_of_runs_has_a_median_between_two() {
    let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
    assert_eq!(spread, Spread { median: 2.5, least: 1.0, most: 4.0 });
}

#[test]
fn tables_name_both_and_say_what_is_missed() {
    let (text, markdown) = (table().to_text(), table().to_markdown());
    for words in ["theirs 1 and ours 2", "1,000 (900 to 1,200)", "9,000 (8,000 to 10,000)", "≤ 1/60", "NO"]
    {
        assert!(text.contains(words) && markdown.contains(words), "{words}:\n{text}\n{markdown}");
    }
    assert!(text.contains("client  0.010  emulator  0.020  machine  90 %"), "{text}");
    let json = serde_json::to_value(table()).unwrap();
    assert_eq!(json["rows"][0]["target"]["at_least_times"], 7.0);
    assert_eq!(json["rows"][3]["met"], false);
}
