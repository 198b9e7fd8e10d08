use serde_json::Value;

use crate::support::{Run, arngate, lab};

fn capacity(args: &[&str]) -> Run {
    Run::of(&lab().arg("capacity").args(args).output().unwrap())
}

#[test]
fn what_a_cluster_needs_is_computed_and_its_assumptions_are_told() {
    let args = ["--nodes", "5000", "--people", "50", "--apiservers", "3"];
    let json = capacity(&[&args[..], &["-o", "json"]].concat()).report();
    let webhook = json["all"]["webhook"].as_f64().unwrap();
    // A review of each node in two minutes, and a command a minute of each of the people.
    assert!((webhook - (5000.0 / 120.0 + 50.0 / 60.0)).abs() < 1e-6, "{json:#}");
    for figure in [&json["each"]["cores"], &json["memory"]["in_force"], &json["costs"]["asked_ms"]] {
        assert!(figure.as_f64().unwrap() > 0.0, "{json:#}");
    }
    assert_eq!(
        (json["comebacks"].as_array().unwrap().len(), json["assumptions"].as_array().unwrap().len()),
        (2, 7)
    );

    let text = capacity(&args).stdout;
    for words in ["all 3 arngates together", "When everybody comes back at once", "Assumed", "5000 nodes"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let longer = capacity(&[&args[..], &["--sts-cache-ttl", "15m", "-o", "json"]].concat()).report();
    let calls = |json: &Value| json["all"]["sts"].as_f64().unwrap();
    assert!(calls(&longer) < calls(&json) / 5.0, "{longer:#}");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (args, words) in [
        (&[][..], "--nodes"),
        (&["--nodes", "-1"], "-1"),
        (&["--nodes", "1", "--apiservers", "0"], "zero"),
        (&["--nodes", "1", "--token-lifetime", "16m"], "no token is good for more than 15 minutes"),
        (&["--nodes", "1", "--foreign", "many"], "expected a number"),
    ] {
        let run = capacity(args);
        assert!(matches!(run.code, Some(1 | 2)) && run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn what_it_takes_for_granted_can_be_measured() {
    let program = arngate();
    let arngate = program.to_str().unwrap();
    let run = capacity(&["--measure", "--requests", "400", "-o", "json", "--arngate", arngate]);
    let measured = run.report();
    // CPU is known to 10 ms, and memory to a page: a run as short as this one may find that something costs nothing.
    for figure in ["remembered_ms", "foreign_ms", "shed_ms", "reload_bytes", "remembered_bytes"] {
        assert!(measured["costs"][figure].as_f64().unwrap() >= 0.0, "{measured:#}");
    }
    for figure in ["asked_ms", "base_bytes"] {
        assert!(measured["costs"][figure].as_f64().unwrap() > 0.0, "{measured:#}");
    }
}
