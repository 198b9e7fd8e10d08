//! The API server, as the source of aws-auth.

use std::{collections::BTreeMap, fs, time::Instant};

use arngate::mapping::{Saved, Snapshot};
use arngate_lab::{
    config_map_api::ConfigMapApi,
    sts::{Credentials, Emulator, Principals},
};

use crate::{
    asking::{Asking, forger, fresh, name, shown, told, until},
    line::Line,
    support::{ACCOUNT, CLUSTER_ID, Server, Setup, emulator},
    table::Table,
};

/// aws-auth with these users, each by a username of its own.
pub(crate) fn users(users: &[(&str, &str)]) -> BTreeMap<String, String> {
    let entries = users.iter().map(|(user, username)| {
        format!("- userarn: arn:aws:iam::{ACCOUNT}:user/{user}\n  username: {username}\n")
    });
    BTreeMap::from([("mapUsers".to_owned(), entries.collect())])
}

/// arngate between an STS that is well and an API server that can go.
pub(crate) struct Scene {
    pub(crate) api: ConfigMapApi,
    pub(crate) line: Line,
    pub(crate) server: Server,
    pub(crate) bob: Credentials,
    forger: Credentials,
    mallory: Credentials,
    principals: Principals,
    _emulator: Emulator,
}

impl Scene {
    /// `start` starts what is set up; the API server is there already, and holds `aws_auth`.
    pub(crate) async fn new(
        aws_auth: BTreeMap<String, String>,
        is_there: bool,
        start: impl FnOnce(Setup) -> Server,
    ) -> Self {
        let (emulator, principals) = emulator().await;
        let api = ConfigMapApi::start().await.unwrap();
        api.replace(aws_auth);
        let mut line = Line::to(api.url().strip_prefix("http://").unwrap().parse().unwrap());
        if !is_there {
            line.cut().await;
        }
        let setup = Setup::new(&emulator, "  backendMode: [EKSConfigMap]\n").arg("--sts-access-key-qps", "0");
        let kubeconfig = setup.path("kubeconfig");
        fs::write(&kubeconfig, api.kubeconfig().replace(&api.url(), &format!("http://{}", line.address)))
            .unwrap();
        let setup = setup.arg("--kubeconfig", kubeconfig.to_str().unwrap());
        let server = tokio::task::block_in_place(|| start(setup));
        let bob = principals.user(ACCOUNT, "bob");
        let mallory = principals.user(ACCOUNT, "mallory");
        let forger = forger(&bob);
        Self { api, line, server, bob, forger, mallory, principals, _emulator: emulator }
    }

    pub(crate) fn asking(&self) -> Asking {
        Asking::of(&self.server)
    }

    /// What forged and unmapped tokens get, neither of whom is let in.
    pub(crate) async fn others(&self) -> String {
        let asking = self.asking();
        let forged = asking.about(&fresh(&self.forger)).await;
        let unmapped = asking.about(&fresh(&self.mallory)).await;
        assert_eq!((name(&forged), name(&unmapped)), (None, None), "{forged:?} {unmapped:?}");
        format!("{}, {}", told(&forged), told(&unmapped))
    }

    /// Asks until bob is let in as `username`.
    pub(crate) async fn bob_is(&self, username: &str, start: Instant) -> String {
        shown(self.asking().until_let_in(&fresh(&self.bob), username, start).await)
    }

    /// What bob is told now.
    pub(crate) async fn bob_now(&self) -> String {
        told(&self.asking().about(&fresh(&self.bob)).await)
    }

    /// The figure of a metric; 0 where nothing was counted.
    pub(crate) async fn figure(&self, metric: &str) -> u64 {
        let name = format!("aws_iam_authenticator_{metric} ");
        let metrics = self.server.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    }

    /// Waits until what is on disk is whole, and has this in it.
    pub(crate) async fn wait_for_snapshot(&self, with: &str) {
        let file = self.server.path("state/aws-auth.snapshot");
        let is_good =
            |text: String| text.contains(with) && Saved::<Snapshot>::from_text(&text, CLUSTER_ID).is_ok();
        until("the snapshot", async || fs::read_to_string(&file).is_ok_and(is_good)).await;
    }

    fn restart(&mut self) {
        tokio::task::block_in_place(|| self.server.restart());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_there_at_the_start() {
    let mut table = Table::of("API server, at the start");
    let mut scene = Scene::new(users(&[("bob", "bob")]), false, Setup::start).await;
    let mut got = scene.bob_now().await;
    let others = scene.others().await;
    assert_eq!(got, "503");
    until("lists are tried again", async || scene.figure("configmap_watch_failures_total").await > 1).await;
    scene.line.restore();
    let recovery = scene.bob_is("bob", Instant::now()).await;
    let after = scene.others().await;
    table.add("refuses connections, nothing on disk", got, format!("{others}; then {after}"), recovery);

    // With what was good on disk.
    for (fault, silent) in [("refuses connections", false), ("says nothing", true)] {
        scene.wait_for_snapshot("\"bob\"").await;
        if silent {
            scene.line.silence().await;
        } else {
            scene.line.cut().await;
        }
        scene.restart();
        got = format!("503, {} after the start in as bob", scene.bob_is("bob", Instant::now()).await);
        let others = scene.others().await;
        // Meanwhile bob was taken out, and carol has come.
        scene.api.replace(users(&[("carol", "carol")]));
        scene.line.cut().await;
        scene.line.restore();
        let back = Instant::now();
        let carol = scene.principals.user(ACCOUNT, "carol");
        let took = scene.asking().until_let_in(&fresh(&carol), "carol", back).await;
        assert_eq!(scene.bob_now().await, "denied for now", "what was removed meanwhile is gone");
        table.add(
            &format!("{fault}, a snapshot on disk"),
            got,
            format!("{others}; then {}", scene.others().await),
            format!("{}: an edit made meanwhile", shown(took)),
        );
        scene.api.replace(users(&[("bob", "bob")]));
        scene.bob_is("bob", back).await;
    }

    // Not allowed to list.
    scene.api.forbid(true);
    scene.server.signal("TERM");
    tokio::task::block_in_place(|| assert!(scene.server.wait().success()));
    fs::remove_file(scene.server.path("state/aws-auth.snapshot")).unwrap();
    tokio::task::block_in_place(|| scene.server.start_again());
    until("it says so", async || scene.server.log_text().contains("is forbidden")).await;
    let (got, others) = (scene.bob_now().await, scene.others().await);
    assert_eq!(got, "503");
    scene.api.forbid(false);
    let recovery = scene.bob_is("bob", Instant::now()).await;
    let after = scene.others().await;
    table.add("refuses with 403, nothing on disk", got, format!("{others}; then {after}"), recovery);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_while_arngate_runs() {
    let mut table = Table::of("API server, later");
    let mut scene = Scene::new(users(&[("bob", "bob")]), true, Setup::start).await;
    scene.bob_is("bob", Instant::now()).await;

    // So many failures in a row have brought the wait between two tries to its longest, as a minute would.
    let failures = scene.figure("configmap_watch_failures_total").await;
    scene.line.cut().await;
    let mut longest = 0;
    until("it is tried again and again", async || {
        assert_eq!(scene.bob_now().await, "in as bob");
        longest = scene.figure("configmap_watch_failures_total").await - failures;
        longest >= 5
    })
    .await;
    let others = scene.others().await;
    scene.api.replace(users(&[("bob", "bobby")]));
    scene.line.restore();
    let recovery = scene.bob_is("bobby", Instant::now()).await;
    table.add(
        &format!("gone until {longest} lists have failed"),
        "in as bob",
        others,
        format!("{recovery}: an edit made meanwhile"),
    );

    let failures = scene.figure("configmap_watch_failures_total").await;
    scene.api.expire(users(&[("bob", "robert")]));
    let expired = Instant::now();
    let (got, others) = (scene.bob_now().await, scene.others().await);
    let recovery = scene.bob_is("robert", expired).await;
    assert_eq!(scene.figure("configmap_watch_failures_total").await, failures + 1);
    assert!(scene.server.log_text().contains("too old resource version"), "{}", scene.server.log_text());
    assert!(got == "in as bobby" || got == "in as robert", "{got}");
    table.add("watch expired (410), with an edit that it never showed", got, others, recovery);

    scene.api.forbid(true);
    until("it is told", async || scene.server.log_text().contains("is forbidden")).await;
    scene.api.replace(users(&[("bob", "bob")]));
    let (got, others) = (scene.bob_now().await, scene.others().await);
    assert_eq!(got, "in as robert");
    scene.api.forbid(false);
    let recovery = scene.bob_is("bob", Instant::now()).await;
    table.add(
        "its rights are taken (403) and given",
        got,
        others,
        format!("{recovery}: an edit made meanwhile"),
    );

    let asking = scene.asking();
    let token = fresh(&scene.bob);
    asking.until_let_in(&token, "bob", Instant::now()).await;
    scene.api.delete();
    let deleted = Instant::now();
    // By a token that is remembered: mappings are not.
    let out = asking.until("bob is out", &token, deleted, |answer| name(answer).is_none()).await;
    let (got, others) = (told(&asking.about(&token).await), scene.others().await);
    assert_eq!(got, "denied for now");
    scene.api.replace(users(&[("bob", "bob")]));
    let recovery = shown(asking.until_let_in(&token, "bob", Instant::now()).await);
    table.add(
        "aws-auth deleted and made anew",
        format!("{got}, {} after the deletion", shown(out)),
        others,
        recovery,
    );
}
