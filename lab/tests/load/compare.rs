use serde_json::Value;

use crate::support::{Run, arngate, lab};

#[test]
fn both_programs_are_measured() {
    let mut command = lab();
    command.args(["compare", "-o", "json", "--runs", "1", "--requests", "40", "--arngate"]).arg(arngate());
    let run = Run::of(&command.output().unwrap());
    let table = run.report();
    assert_eq!(table["theirs"], "aws-iam-authenticator 0.7.18");
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        for program in ["theirs", "ours"] {
            let median = row[program]["median"].as_f64().unwrap();
            // CPU is known to 10 ms, and 40 verifications may take less; connections may have been made before.
            let may_be_zero = name.contains("CPU") || name.contains("connections");
            assert!(median > 0.0 || may_be_zero && median == 0.0, "{row:#}");
        }
        assert!(row["met"].is_boolean() && row["target"].is_object());
    }
    // The mean over the connections of 40 calls tells that calls reached the emulator at all.
    let costs = table["costs"].as_array().unwrap();
    assert!(
        costs.iter().all(|cost| cost["client_cpu_ms"]["median"].as_f64().is_some_and(|ms| ms > 0.0)),
        "{costs:?}"
    );
    let distinct = |cost: &&Value| cost["load"] == "distinct";
    let sts: Vec<_> =
        costs.iter().filter(distinct).map(|cost| cost["sts_cpu_ms"]["median"].as_f64()).collect();
    assert!(sts.iter().all(|ms| ms.is_some_and(|ms| ms > 0.0)), "{sts:?}");
}
