//! The state directory, which holds the certificate and the last good snapshot.

use std::{fs, path::Path, time::Instant};

use crate::{
    api_server::{Scene, users},
    asking::{shown, until},
    namespace,
    support::{self, Setup},
    table::Table,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory_cannot_be_written() {
    let mut table = Table::of("disk");
    let scene = Scene::new(users(&[("bob", "bob")]), true, namespace::with_own_state).await;
    scene.bob_is("bob", Instant::now()).await;
    let state = namespace::state_inside(&scene.server);
    let kept = |username: &str| {
        let text = fs::read_to_string(state.join("aws-auth.snapshot")).unwrap_or_default();
        text.contains(&format!("\"{username}\""))
    };
    until("the first snapshot", async || kept("bob")).await;
    let full = state.join("full");
    for (fault, number) in [("state directory read-only", 0), ("state directory full", 1)] {
        let failures = scene.figure("snapshot_write_failures_total").await;
        if number == 0 {
            namespace::remount_state(&scene.server, "ro");
        } else {
            fill(&full);
        }
        // Edits are in force all the same; what is on disk stays as it was, and whole.
        let edited = format!("bob-{number}");
        scene.api.replace(users(&[("bob", &edited)]));
        let in_force = scene.bob_is(&edited, Instant::now()).await;
        until("it is counted", async || scene.figure("snapshot_write_failures_total").await > failures).await;
        assert!(kept("bob") && !kept(&edited), "what was good before is there still");
        let others = scene.others().await;
        if number == 0 {
            namespace::remount_state(&scene.server, "rw");
        } else {
            fs::remove_file(&full).unwrap();
        }
        let ended = Instant::now();
        scene.api.replace(users(&[("bob", "bob"), ("carol", &edited)]));
        until("it is kept", async || kept(&edited)).await;
        table.add(
            fault,
            format!("in as {edited}: an edit was in force after {in_force}"),
            others,
            format!("{}: the next edit is kept", shown(ended.elapsed())),
        );
    }
    assert!(scene.server.log_text().contains("cannot keep the last good snapshot of aws-auth"));
}

/// Leaves no byte of a file system free.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

#[test]
fn without_a_place_for_its_key_it_does_not_start() {
    let mut table = Table::of("disk");
    let folder = tempfile::tempdir().unwrap();
    // Not even root makes a folder in a file.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let start = Instant::now();
    let output = support::arngate()
        .args(["server", "-i", "c", "--port", "0", "--health-port", "0", "--state-dir"])
        .arg(file.join("state"))
        .arg("--generate-kubeconfig")
        .arg(folder.path().join("kubeconfig"))
        .output()
        .unwrap();
    let (_, words) = support::text(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(file.to_str().unwrap()), "{words}");
    table.add(
        "no state directory can be made at the first start",
        format!("nothing: it ends with status 1 after {}, and says which path", shown(start.elapsed())),
        "nothing",
        "the next start",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_worth_nothing() {
    let mut table = Table::of("disk: the snapshot, where the API server is away at the start");
    let mut scene = Scene::new(users(&[("bob", "bob")]), true, Setup::start).await;
    scene.wait_for_snapshot("\"bob\"").await;
    let path = scene.server.path("state/aws-auth.snapshot");
    let good = fs::read(&path).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let at = |part: &str| text.find(part).unwrap();
    let flipped = |index: usize| {
        let mut bytes = good.clone();
        bytes[index] ^= 1;
        bytes
    };
    let head = at("\n");
    for (damage, bytes) in [
        ("empty", Vec::new()),
        ("cut in its first line", good[..head / 2].to_vec()),
        ("cut after its first line", good[..=head].to_vec()),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("cut before its last brace", good[..good.len() - 2].to_vec()),
        ("a bit of its name", flipped(0)),
        ("a bit of its version", flipped("arngate-snapshot ".len())),
        ("a bit of its checksum", flipped(head - 1)),
        ("a bit of the cluster's ID", flipped(at(support::CLUSTER_ID))),
        ("a bit of its time", flipped(at("confirmedAt") + "confirmedAt\":\"".len())),
        ("a bit of an ARN", flipped(at("user/bob") + 5)),
        ("a bit of a username", flipped(at("\"bob\"") + 1)),
        ("a bit of its last byte", flipped(good.len() - 1)),
        ("more behind it", [good.clone(), b"{}\n".to_vec()].concat()),
        ("another version", text.replacen("arngate-snapshot 1", "arngate-snapshot 2", 1).into_bytes()),
    ] {
        fs::write(&path, &bytes).unwrap();
        scene.line.cut().await;
        let lines = scene.server.log_lines().len();
        tokio::task::block_in_place(|| scene.server.restart());
        let told = |line: &serde_json::Value| {
            line["message"].as_str().is_some_and(|text| text.contains("cannot be used, and is ignored"))
        };
        until(damage, async || scene.server.log_lines()[lines..].iter().any(told)).await;
        let (got, others) = (scene.bob_now().await, scene.others().await);
        assert_eq!(got, "503", "{damage}");
        scene.line.restore();
        let recovery = scene.bob_is("bob", Instant::now()).await;
        table.add(damage, got, others, recovery);
        // It is written anew, whole.
        scene.wait_for_snapshot("\"bob\"").await;
    }
    // And the whole one is good.
    scene.line.cut().await;
    tokio::task::block_in_place(|| scene.server.restart());
    scene.bob_is("bob", Instant::now()).await;
}
