//! The audit log: a line a decision, and a count of every decision that is none; whatever happens to its file.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use arngate_lab::hostile::{token as token_of_url, url_of};
use serde_json::{Value, json};
use support::{ACCOUNT, Server, Setup, emulator, token};

const MAPPINGS: &str = "  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Admin', username: 'admin:{{SessionName}}', groups: [system:masters]}
  mapUsers:
  - {userarn: 'arn:aws:iam::111122223333:user/bob', username: bob}
";

/// The whole lines of the file at `path`.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// The lines of the file at `path`, once there are `count` of them.
async fn wait_for_lines(path: &Path, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let lines = lines(path);
        if lines.len() >= count {
            return lines;
        }
        assert!(Instant::now() < deadline, "{} of {count} lines", lines.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_for_text(read: impl Fn() -> String, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !read().contains(text) {
        assert!(Instant::now() < deadline, "{text} is not in\n{}", read());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many decisions the lines tell of, by reason; gaps that name none under their cause.
fn decisions(lines: &[Value]) -> BTreeMap<String, u64> {
    let mut decisions = BTreeMap::new();
    for line in lines {
        let (reason, count) = if line["kind"] == "gap" {
            (line["reason"].as_str().or(line["cause"].as_str()), line["count"].as_u64())
        } else {
            (line["reason"].as_str(), line["suppressed"].as_u64().map(|suppressed| suppressed + 1))
        };
        *decisions.entry(reason.unwrap().to_owned()).or_default() += count.unwrap();
    }
    decisions
}

fn end(server: &mut Server) {
    server.signal("TERM");
    let status = tokio::task::block_in_place(|| server.wait());
    assert!(status.success(), "{status}");
}

/// A server whose audit log is `audit.log` in its folder.
fn with_log(emulator: &arngate_lab::sts::Emulator, server: &str) -> Setup {
    let setup = Setup::new(emulator, server);
    let path = setup.path("audit.log").to_str().unwrap().to_owned();
    setup.arg("--audit-log-path", &path)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_decision_is_a_line_that_says_how_it_came_about() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let stranger = principals.user(ACCOUNT, "mallory");
    let mut server = with_log(&emulator, MAPPINGS).start();
    let good = token(&role);
    let forged = {
        let mut other = role.clone();
        other.secret_access_key = "another".to_owned();
        token(&other)
    };
    server.review(&good).await.user();
    server.review(&good).await.user();
    server.review(&forged).await.assert_final_denial();
    server.review(&forged).await.assert_final_denial();
    server.review(&token(&stranger)).await.assert_passing_denial();
    server.review("another authenticator's").await.assert_final_denial();
    let path = server.path("audit.log");
    let told = wait_for_lines(&path, 6).await;
    end(&mut server);
    assert_eq!(lines(&path).len(), 6, "nothing is left out, so that nothing is to be told at the end");

    let part = |part: &str, field: &str| -> Vec<Value> {
        told.iter()
            .map(|line| if field.is_empty() { &line[part] } else { &line[part][field] })
            .cloned()
            .collect()
    };
    assert_eq!(
        part("reason", ""),
        [
            "mapped",
            "mapped",
            "sts_signature_does_not_match",
            "sts_signature_does_not_match",
            "not_mapped",
            "token_not_ours"
        ]
    );
    let null = Value::Null;
    assert_eq!(
        part("sts", "cache"),
        [json!("none"), json!("verified"), json!("none"), json!("negative"), json!("none"), null.clone()]
    );
    let account = json!(ACCOUNT);
    assert_eq!(
        part("principal", "account"),
        [account.clone(), account.clone(), null.clone(), null.clone(), account, null]
    );
    let first = &told[0];
    assert_eq!(first["principal"]["canonical_arn"], "arn:aws:iam::111122223333:role/Admin");
    let user_id = first["principal"]["user_id"].as_str().unwrap();
    assert!(user_id.starts_with("AROA") && user_id.ends_with(":alice"), "{user_id}");
    assert_eq!(first["user"]["username"], "admin:alice");
    assert_eq!(first["user"]["groups"], json!(["system:masters"]));
    assert_eq!(
        (&first["mapping"]["backend"], &first["mapping"]["kind"], &first["mapping"]["entry"]),
        (&json!("MountedFile"), &json!("mapRoles"), &json!(1))
    );
    assert_eq!(first["sts"]["endpoint"], "sts.us-east-1.amazonaws.com");
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(first["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let ids = |lines: &[Value]| lines.iter().map(|line| line["request_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&told), ids(&server.audit()), "the process's log has the same reviews");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.stdout_text(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_sampled_and_counted_and_hides_nobody_who_is_let_in() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let mut server = with_log(&emulator, MAPPINGS).arg("--audit-log-denial-qps", "3").start();
    for number in 0..400 {
        server.review(&format!("flood {number}")).await.assert_final_denial();
        if number % 20 == 0 {
            server.review(&bob).await.user();
        }
    }
    let metrics = server.metrics().await;
    end(&mut server);
    let lines = lines(&server.path("audit.log"));
    let told = decisions(&lines);
    assert_eq!((told["token_not_ours"], told["mapped"]), (400, 20), "{told:?}");
    let of = |reason: &str| {
        lines.iter().filter(|line| line["kind"] == "decision" && line["reason"] == reason).count()
    };
    println!("400 denials: {} lines; 20 who were let in: {} lines", of("token_not_ours"), of("mapped"));
    assert_eq!(of("mapped"), 20);
    assert!(of("token_not_ours") < 200, "{} of 400 denials are lines", of("token_not_ours"));
    let suppressed = 400 - of("token_not_ours");
    let line = format!(r#"audit_records_total{{result="suppressed"}} {suppressed}"#);
    assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
}

/// Tokens that hold `canary` in every place that a token has, and one that is good but for its signature.
fn with_canaries(good: &str) -> Vec<String> {
    let url = url_of(good);
    let (address, query) = url.split_once("/?").unwrap();
    let host = address.strip_prefix("https://").unwrap();
    let mut urls = vec![
        format!("canary://{host}/?{query}"),
        format!("https://canary:canary@{host}/?{query}"),
        format!("https://canary.{host}/?{query}"),
        format!("https://{host}:443canary/?{query}"),
        format!("https://{host}/canary?{query}"),
        format!("{url}#canary"),
        format!("{url}&canary=canary"),
        format!("{url}&canary"),
    ];
    let pairs: Vec<&str> = query.split('&').collect();
    for (index, pair) in pairs.iter().enumerate() {
        let (name, value) = pair.split_once('=').unwrap();
        let spoilt = [
            format!("{name}=canary"),
            format!("{name}={value}canary"),
            format!("canary{name}={value}"),
            "canary".into(),
        ];
        for with in spoilt {
            let mut pairs = pairs.clone();
            pairs[index] = &with;
            urls.push(format!("https://{host}/?{}", pairs.join("&")));
        }
        urls.push(format!("{url}&{name}=canary"));
    }
    let mut tokens: Vec<String> = urls.iter().map(|url| token_of_url(url.as_bytes())).collect();
    tokens.extend([
        "canary".to_owned(),
        "k8s-aws-v1.canary".to_owned(),
        format!("k8s-aws-v1.{}canary!", &good[11..]),
        format!("canary{good}"),
        format!("{good}{}canary", "a".repeat(4096)),
    ]);
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_token_reaches_any_output() {
    let (emulator, principals) = emulator().await;
    let role = principals.role(ACCOUNT, "Admin", "alice");
    let good = token(&role);
    let session = role.session_token.clone().unwrap();
    let signature = url_of(&good).rsplit_once('=').unwrap().1.to_owned();
    let mut server = with_log(&emulator, MAPPINGS).arg("--audit-log-denial-qps", "0").start();
    let tokens = with_canaries(&good);
    for token in &tokens {
        let answer = server.review(token).await;
        assert_ne!(answer.body["status"]["authenticated"], true, "{token}");
        assert!(!answer.body.to_string().contains("canary"), "{answer:?}");
    }
    server.review(&good).await.user();
    // A body that is no TokenReview, with a token in it all the same.
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "canary", "spec": {"token": good}});
    assert_eq!(support::post(&server.client(), &server.url, &body).await.code, 400);
    let metrics = server.metrics().await;
    end(&mut server);

    let audit = fs::read_to_string(server.path("audit.log")).unwrap();
    println!("{} tokens with canaries, {} lines", tokens.len(), audit.lines().count());
    assert_eq!(audit.lines().count(), tokens.len() + 1, "each is a line");
    let outputs = [
        ("audit", audit),
        ("log", server.log_text()),
        ("stdout", server.stdout_text()),
        ("metrics", metrics),
    ];
    for (name, output) in &outputs {
        let secrets = [
            "canary",
            "&X-Amz",
            &session[..20],
            &session[session.len() - 20..],
            &signature,
            &signature[..16],
        ];
        for secret in
            secrets.into_iter().chain([&role.secret_access_key[..], &good[11..60], &good[good.len() - 40..]])
        {
            assert!(!output.contains(secret), "{name} holds {secret}");
        }
        for token in tokens.iter().filter(|token| token.len() > 100) {
            assert!(!output.contains(&token[token.len() - 60..]), "{name} holds the end of {token}");
        }
    }
    // Where a canary would be found if it were written, the access key's ID is.
    assert!(outputs[0].1.contains(&role.access_key_id) && outputs[1].1.contains(&role.access_key_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_scrubbed_accounts_principals_nothing_is_told() {
    let (emulator, principals) = emulator().await;
    let mapped = principals.role("444455556666", "Support", "canary-session");
    let by_account = principals.user("444455556666", "canary-user");
    let stranger = principals.user("777788889999", "canary-mallory");
    let mut unknown = mapped.clone();
    unknown.access_key_id = "ASIACANARY0000000000".to_owned();
    let mut server = with_log(
        &emulator,
        "  scrubbedAccounts: ['444455556666', '777788889999']
  mapRoles:
  - {rolearn: 'arn:aws:iam::444455556666:role/Support', username: support, groups: [helpers, 'of:{{AccountID}}']}
  mapAccounts: ['444455556666']
",
    )
    .start();
    server.review(&token(&mapped)).await.user();
    server.review(&token(&by_account)).await.user();
    server.review(&token(&stranger)).await.assert_passing_denial();
    server.review(&token(&unknown)).await.assert_passing_denial();
    let metrics = server.metrics().await;
    end(&mut server);
    let audit = fs::read_to_string(server.path("audit.log")).unwrap();
    let told = lines(&server.path("audit.log"));
    assert_eq!(told.len(), 4);
    assert_eq!((&told[0]["user"]["username"], &told[0]["user"]["groups"]), (&json!("support"), &Value::Null));
    assert_eq!(told[0]["mapping"]["entry"], 1);
    for line in &told {
        assert_eq!((&line["scrubbed"], &line["principal"]), (&json!(true), &Value::Null));
    }
    let keys =
        [&mapped, &by_account, &stranger, &unknown].map(|credentials| credentials.access_key_id.as_str());
    for (name, output) in
        [("audit", audit), ("log", server.log_text()), ("stdout", server.stdout_text()), ("metrics", metrics)]
    {
        let secrets = ["444455556666", "777788889999", "canary", "CANARY", "AROA", "AIDA", "role/Support"];
        for secret in secrets.into_iter().chain(keys) {
            assert!(!output.contains(secret), "{name} tells {secret}:\n{output}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_followed_however_it_is_rotated() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let mut server = with_log(&emulator, MAPPINGS).start();
    let (path, old) = (server.path("audit.log"), server.path("audit.log.1"));
    let mut seen = Vec::new();

    // Renamed, and nobody is told.
    server.review(&bob).await.user();
    wait_for_lines(&path, 1).await;
    fs::rename(&path, &old).unwrap();
    server.review(&bob).await.user();
    wait_for_lines(&path, 1).await;
    seen.extend(lines(&old));

    // Renamed, and HUP: the new file is there before anybody comes.
    fs::rename(&path, &old).unwrap();
    server.signal("HUP");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < deadline, "HUP opens no file");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    seen.extend(lines(&old));
    server.review(&bob).await.user();
    wait_for_lines(&path, 1).await;

    // Copied and truncated.
    seen.extend(lines(&path));
    fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    server.review(&bob).await.user();
    seen.extend(wait_for_lines(&path, 1).await);

    // Removed.
    fs::remove_file(&path).unwrap();
    server.review(&bob).await.user();
    wait_for_lines(&path, 1).await;
    end(&mut server);
    seen.extend(lines(&path));
    let ids: Vec<String> = seen.iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    let process = ids[0].split('-').next().unwrap();
    assert_eq!(ids, [0, 1, 2, 3, 4].map(|number| format!("{process}-{number}")), "each once, and in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_keeps_nobody_out_and_is_told_once() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let setup = Setup::new(&emulator, MAPPINGS);
    let path = setup.path("missing/audit.log");
    let mut server = setup.arg("--audit-log-path", path.to_str().unwrap()).start();
    for _ in 0..5 {
        server.review(&bob).await.user();
    }
    let told = || server.log_text().matches("the audit log cannot be written").count();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.metrics().await.contains(r#"audit_records_total{result="write_failed"} 5"#) {
        assert!(Instant::now() < deadline, "{}", server.metrics().await);
    }
    assert_eq!(told(), 1, "five failures are told once");
    fs::create_dir(path.parent().unwrap()).unwrap();
    server.review(&bob).await.user();
    let lines = wait_for_lines(&path, 2).await;
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["cause"], &lines[0]["count"]),
        (&json!("gap"), &json!("write_failed"), &json!(5))
    );
    assert_eq!(lines[1]["reason"], "mapped");
    wait_for_text(|| server.log_text(), "the audit log is written again").await;
    end(&mut server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_in_the_middle_of_a_line_keeps_nobody_out_and_spoils_no_other_line() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    // What the kernel does beyond a limit of the file's size is what it does on a full disk: it writes what fits.
    let setup = with_log(&emulator, MAPPINGS).after("trap '' XFSZ");
    let path = setup.path("audit.log");
    let before = "{\"kind\":\"gap\",\"cause\":\"before\",\"count\":0}\n".repeat(20_000);
    fs::write(&path, &before).unwrap();
    let mut server = setup.start();
    let limit = |bytes: &str| {
        let id = server.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}")]).status().unwrap();
        assert!(set.success());
    };
    server.review(&bob).await.user();
    wait_for_lines(&path, 20_001).await;
    let length = fs::metadata(&path).unwrap().len();
    limit(&format!("{}:unlimited", length + 50));
    for _ in 0..3 {
        server.review(&bob).await.user();
    }
    wait_for_text(|| server.log_text(), "the audit log cannot be written").await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.metrics().await.contains(r#"audit_records_total{result="write_failed"} 3"#) {
        assert!(Instant::now() < deadline, "{}", server.metrics().await);
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), length + 50, "as much as fits");
    limit("unlimited:unlimited");
    server.review(&bob).await.user();
    wait_for_text(|| server.log_text(), "the audit log is written again").await;
    end(&mut server);
    let text = fs::read_to_string(&path).unwrap();
    let (whole, torn): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(torn.len(), 1, "one line is cut off: {torn:?}");
    let whole: Vec<Value> = whole.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = decisions(&whole);
    assert_eq!((told["mapped"], told["write_failed"]), (2, 3), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_holds_up_no_answer_and_no_shutdown() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let groups =
        (0..60).map(|number| format!("{number}-{}", "g".repeat(1000))).collect::<Vec<_>>().join(", ");
    let setup = Setup::new(
        &emulator,
        &format!(
            "  mapUsers:\n  - {{userarn: 'arn:aws:iam::111122223333:user/bob', username: bob, groups: [{groups}]}}\n"
        ),
    );
    // Nobody reads it: once it is full, a write to it does not come back.
    let pipe = setup.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut server = setup.arg("--audit-log-path", pipe.to_str().unwrap()).start();
    let client = server.client();
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bob}});
    for _ in 0..120 {
        support::post(&client, &server.url, &body).await.user();
    }
    let metrics = server.metrics().await;
    let overflow =
        metrics.lines().find(|line| line.contains(r#"audit_records_total{result="queue_full"}"#)).unwrap();
    println!("{overflow}");
    let count: u64 = overflow.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((40..119).contains(&count), "4 MiB of 120 lines of 61 kB wait, the rest is counted: {overflow}");
    let asked = Instant::now();
    end(&mut server);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(server.log_text().contains("the audit log could not be written to its end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_takes_the_lines_too() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let mut server = Setup::new(&emulator, &format!("{MAPPINGS}  auditLogPath: '-'\n")).start();
    server.review(&bob).await.user();
    server.signal("HUP");
    server.review("garbage").await.assert_final_denial();
    end(&mut server);
    let lines: Vec<Value> =
        server.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<&str> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["mapped", "token_not_ours"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_several_runs_are_told_apart() {
    let (emulator, principals) = emulator().await;
    let bob = token(&principals.user(ACCOUNT, "bob"));
    let mut server = with_log(&emulator, MAPPINGS).start();
    server.review(&bob).await.user();
    tokio::task::block_in_place(|| server.restart());
    server.review(&bob).await.user();
    end(&mut server);
    let ids: Vec<Value> =
        lines(&server.path("audit.log")).iter().map(|line| line["request_id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}
