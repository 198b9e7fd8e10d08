use std::fs;

use serde_json::Value;

use crate::support::{Run, arngate, count, lab};

fn play(args: &[&str]) -> Run {
    let mut command = lab();
    command.args(["scenario", "-o", "json", "--arngate"]).arg(arngate()).args(args);
    Run::of(&command.output().unwrap())
}

#[test]
fn the_example_is_played_at_a_small_scale() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/control-plane-restart.yaml");
    let run = play(&[file, "--scale", "0.05", "--hurry", "4", "--html", page.to_str().unwrap()]);
    let outcome = run.report();
    let loads = outcome["loads"].as_array().unwrap();
    assert_eq!(loads.len(), 3, "{}", run.stderr);
    for load in loads {
        let counted: u64 =
            load["answers"].as_array().unwrap().iter().map(|answer| answer["count"].as_u64().unwrap()).sum();
        assert_eq!(&Value::from(counted), &load["requests"], "every request came to something: {load:#}");
    }
    // A twentieth of 5,060 principals come back, each with a token of its own, to an arngate that was started anew.
    assert_eq!(loads[1]["requests"], 253);
    assert!(count(&loads[1], "authenticated") > 0, "{:#}", loads[1]);
    assert!(run.stderr.contains("arngate ends by TERM and starts again"), "{}", run.stderr);
    let html = fs::read_to_string(page).unwrap();
    assert_eq!(html.matches("<section>").count(), 3);
}

#[test]
fn a_file_of_mappings_is_replaced_while_tokens_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let text = "
cluster: {nodes: 3, roles: 2, mappings: 2000}
steps:
- mappings: 3
- load:
    rate: 20
    duration: 1s
    meanwhile:
    - {after: 100ms, mappings: 3000}
    - {after: 200ms, mappings: 4}
    expect: {failures: 0}
";
    fs::write(&file, text).unwrap();
    let run = play(&[file.to_str().unwrap()]);
    // Each number of mappings was seen in force before the next: otherwise it would have failed.
    let outcome = run.report();
    assert_eq!(count(&outcome["loads"][0], "authenticated"), 20, "{}", run.stderr);
    assert!(run.stderr.contains("there are 3 mappings"), "{}", run.stderr);
}

#[test]
fn what_is_expected_and_does_not_come_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let text = "
cluster: {roles: 2}
steps:
- load: {title: before, parallel: 2, duration: 10s, count: 4, expect: {failures: 0}}
- sts: {fault: throttle}
- load: {title: throttled, parallel: 2, duration: 10s, count: 4, expect: {failures: 0.5}}
";
    fs::write(&file, text).unwrap();
    let run = play(&[file.to_str().unwrap()]);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert_eq!(run.stderr.matches("not as expected").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("not as expected: throttled: a share of 1.0000"), "{}", run.stderr);

    fs::write(&file, text.replace("throttle", "thrttle")).unwrap();
    let run = play(&[file.to_str().unwrap()]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line 5, column"), "{}", run.stderr);
}
