use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use arngate_lab::{
    load::{Counts, Population},
    servers::{Limits, Server, Settings},
    sts::Emulator,
};

use crate::support::{Run, arngate, count, lab, load, load_arngate};

#[tokio::test]
async fn every_request_is_counted_by_what_came_of_it() {
    let report = load_arngate(&[
        "--parallel",
        "4",
        "--count",
        "80",
        "--roles",
        "10",
        "--users",
        "5",
        "--strangers",
        "5",
        "--garbage",
        "0.25",
        "--forged",
        "0.25",
        "--seed",
        "3",
    ]);
    let report = report.await.report();
    assert_eq!(report["requests"], 80);
    let class = |name: &str| {
        let classes = report["classes"].as_array().unwrap();
        classes.iter().find(|class| class["class"] == name).cloned().unwrap_or_default()
    };
    // What is none of ours is denied for good, and a key that STS does not know yet is denied for now.
    let garbage = class("garbage")["latency"]["count"].as_u64().unwrap();
    let forged = class("forged")["latency"]["count"].as_u64().unwrap();
    assert!(garbage > 5 && forged > 5, "{report:#}");
    assert_eq!(count(&report, "denied"), garbage);
    assert_eq!(count(&class("forged"), "denied_passing"), forged);
    // A quarter of the principals is not mapped.
    let fresh = class("fresh");
    let (inside, outside) = (count(&fresh, "authenticated"), count(&fresh, "denied_passing"));
    assert_eq!(inside + outside, 80 - garbage - forged);
    assert!(inside > outside && outside > 0, "{report:#}");
    // STS was asked about all but the garbage; how often exactly is the server's affair.
    assert!(report["sts"]["calls"].as_u64().unwrap() >= fresh["latency"]["count"].as_u64().unwrap());
    assert!(report["sts"]["outcomes"]["Success"].is_u64() && report["sts"]["connections"].is_u64());
}

#[tokio::test]
async fn a_schedule_is_kept_and_the_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let page = page.to_str().unwrap();
    let args = [
        "--ramp",
        "10:50:1s",
        "--ramp",
        "30:1s",
        "--repeat",
        "0.5",
        "--html",
        page,
        "--title",
        "Two stages",
        "--connections",
        "3",
    ];
    let report = load_arngate(&args).await.report();
    // 30 in the mean, then 30.
    assert_eq!((&report["requests"], count(&report, "authenticated")), (&60.into(), 60));
    assert_eq!(report["generator"]["lag"]["count"], 60);
    assert!(report["generator"]["connections"].as_u64().unwrap() >= 3);
    let planned = report["intervals"][0]["planned_per_second"].as_f64().unwrap();
    let middle = report["intervals"][1]["at"].as_f64().unwrap() / 2.0;
    assert!((planned - (10.0 + 40.0 * middle)).abs() < 1e-9, "{planned} at {middle}");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<h1>Two stages</h1>") && html.matches("<svg").count() == 3);
}

#[tokio::test]
async fn a_throttled_sts_shows_in_the_answers() {
    let report =
        load_arngate(&["--parallel", "4", "--count", "30", "--sts-limit", "0.01/s,burst=5"]).await.report();
    assert!(report["sts"]["outcomes"]["Throttling"].as_u64().unwrap() > 0, "{report:#}");
    let without = count(&report, "throttled") + count(&report, "unavailable");
    assert!(without > 0 && count(&report, "authenticated") + without == 30, "{report:#}");
}

#[tokio::test]
async fn bounds_that_are_missed_have_an_exit_code_of_their_own() {
    let bounds: [(&[&str], &str); 3] = [
        (&["--fail-under-rate", "1000000000"], "verdicts a second"),
        (&["--fail-over-p99", "1ns"], "99th percentile"),
        (&["--sts-limit", "0.01/s,burst=1", "--fail-over-failures", "0.1"], "has no verdict"),
    ];
    for (bound, words) in bounds {
        let run = load_arngate(&[&["--parallel", "2", "--count", "10"], bound].concat()).await;
        assert_eq!(run.code, Some(3), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let good = ["--fail-under-rate", "0.001", "--fail-over-p99", "1h", "--fail-over-failures", "0"];
    let run = load_arngate(&[&["--parallel", "2", "--count", "10"], &good[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[tokio::test]
async fn a_server_that_runs_already_is_loaded_by_its_kubeconfig() {
    let population = Population::generated(Counts { roles: 5, users: 5, ..Counts::default() });
    let any = "127.0.0.1:0".parse().unwrap();
    let builder = Emulator::builder().principals(population.table().clone()).admin(any);
    let emulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let principals = folder.path().join("principals.json");
    fs::write(&principals, emulator.principals().to_json()).unwrap();
    let mappings = population.mappings("  ");
    let program = tokio::task::spawn_blocking(arngate).await.unwrap();
    let settings = Settings {
        program: &program,
        cluster_id: "mine",
        mappings: &mappings,
        sts: &emulator,
        limits: Limits::Off,
    };
    let server = Server::arngate(&settings).await.unwrap();

    let (kubeconfig, metrics) =
        (server.kubeconfig(), format!("http://{}", emulator.admin_address().unwrap()));
    let args = [
        "--webhook-kubeconfig",
        kubeconfig.to_str().unwrap(),
        "-i",
        "mine",
        "--principals",
        principals.to_str().unwrap(),
        "--sts-metrics",
        &metrics,
        "--parallel",
        "2",
        "--count",
        "20",
        "--review-version",
        "v1",
    ];
    let report = load(&args).await.report();
    assert_eq!(count(&report, "authenticated"), 20);
    assert_eq!(emulator.access_keys_seen(), 10, "everybody came");
    assert_eq!(report["sts"]["outcomes"]["Success"], report["sts"]["calls"]);
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_emulator_comes_first_and_the_server_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("webhook.kubeconfig");
    let mut load = lab()
        .args(["load", "-o", "json", "--with-sts", "--parallel", "2", "--count", "6", "--roles", "2"])
        .arg("--webhook-kubeconfig")
        .arg(&kubeconfig)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    // What it says is what a person would do.
    let mut lines = BufReader::new(load.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let flags = lines.by_ref().find(|line| line.contains("--sts-connect-to")).unwrap();
    let mappings: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.contains("Waiting"))
        .skip_while(|line| !line.contains("mapRoles"))
        .collect();
    let config = folder.path().join("config.yaml");
    let text = format!(
        "clusterID: lab\nserver:\n  port: 0\n  healthPort: 0\n  stateDir: {}\n  generateKubeconfig: {}\n{}\n",
        folder.path().join("state").display(),
        kubeconfig.display(),
        mappings.join("\n")
    );
    fs::write(&config, text).unwrap();
    let server = Command::new(arngate())
        .args(["server", "-c"])
        .arg(&config)
        .args(flags.split_whitespace())
        .env_clear()
        .stderr(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let stdout = std::io::read_to_string(load.0.stdout.take().unwrap()).unwrap();
    let code = load.0.wait().unwrap().code();
    let run = Run { code, stdout, stderr: lines.collect() };
    assert_eq!(count(&run.report(), "authenticated"), 6);
    drop(server);
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "required"),
        (&["--webhook", "http://127.0.0.1:1/"], "no HTTPS URL"),
        (&["--with-arngate", "--rate", "10", "--parallel", "2"], "cannot be used with"),
        (&["--with-arngate", "--ramp", "1:2"], "FROM:TO:DURATION"),
        (&["--with-arngate", "--repeat", "0.9", "--garbage", "0.9"], "shares"),
        (&["--with-arngate", "--ramp", "0:1s"], "the stages come to 0 requests"),
    ];
    for (args, words) in cases {
        let run = load(args).await;
        assert!(matches!(run.code, Some(1 | 2)), "{args:?}: {:?}", run.code);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}
