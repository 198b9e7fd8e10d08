//! deploy/monitoring, by the real Prometheus: it scrapes a real arngate as deploy/monitoring/scrape.yaml says, has what
//! each panel and each alert asks for, and each alert's runbook is there.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use arngate_lab::{
    config_map_api::ConfigMapApi,
    dashboard::{Dashboard, Prometheus, Series, Span, Variables},
    sts::{Credentials, Emulator, Fault, Principals},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{ACCOUNT, CLUSTER_ID, Server, Setup, emulator, post, text, token, token_for};

fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring").join(name)
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Runs one of Prometheus's programs.
fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}; on Debian, apt-get install prometheus"))
}

/// The alerts' names and expressions, as promtool would read them.
fn alerts() -> Vec<(String, String)> {
    let rules = read(monitoring("rules.yaml"));
    let alerts = rules.split("- alert: ").skip(1).map(|alert| {
        let (name, rest) = alert.split_once('\n').unwrap();
        let (_, expression) = rest.split_once("expr: ").unwrap();
        // To the next key of the same depth.
        let lines = expression.lines().enumerate();
        let of_expression = lines.take_while(|(number, line)| *number == 0 || line.starts_with("          "));
        (name.to_owned(), of_expression.map(|(_, line)| line).collect())
    });
    alerts.collect()
}

#[test]
fn promtool_takes_the_rules_and_sees_each_alert_fire() {
    let (rules, tests) = (monitoring("rules.yaml"), monitoring("rules.test.yaml"));
    for args in [["check", "rules", rules.to_str().unwrap()], ["test", "rules", tests.to_str().unwrap()]] {
        let output = run("promtool", &args);
        assert!(output.status.success(), "{args:?}: {:?}", text(&output));
    }
    let tests = read(tests);
    for (alert, _) in alerts() {
        // Where it is seen not to fire, it stands within a line.
        let fires = tests.contains(&format!("alertname: {alert}\n"));
        assert!(fires, "{alert} is seen to fire nowhere in rules.test.yaml");
    }
}

#[test]
fn each_alerts_runbook_is_there() {
    let page = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md"));
    let anchors: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    let rules = read(monitoring("rules.yaml"));
    let runbooks: BTreeSet<String> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: docs/alerts.md#"))
        .map(str::to_owned)
        .collect();
    assert_eq!(rules.matches("runbook_url: ").count(), alerts().len());
    assert_eq!(runbooks, anchors, "the page has a heading for each runbook, and no other");
}

/// A Prometheus that scrapes one server. It is ended when dropped.
struct Running {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Running {
    /// With the configuration that the repository has, but for the place of the server and its haste.
    fn start(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = server.url.rsplit(':').next().unwrap().split('/').next().unwrap();
        let certificate = server.path("state/cert.pem");
        let config = read(monitoring("scrape.yaml"))
            .replace("127.0.0.1:21362", &format!("127.0.0.1:{port}"))
            .replace("/var/aws-iam-authenticator/cert.pem", certificate.to_str().unwrap())
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("- rules.yaml", &format!("- {}", monitoring("rules.yaml").display()));
        let config = format!("global: {{evaluation_interval: 1s}}\n{config}");
        fs::write(folder.path().join("prometheus.yaml"), config).unwrap();
        // Prometheus cannot be asked which free port it took; this one was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}; on Debian, apt-get install prometheus"));
        Self { child, url: format!("http://127.0.0.1:{port}"), folder }
    }

    fn log(&self) -> String {
        read(self.folder.path().join("log"))
    }

    /// What an API path answers.
    async fn get(&self, path: &str) -> Option<Value> {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("{}{path}", self.url)).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MAPPINGS: &str = "  backendMode: [MountedFile, EKSConfigMap]
  mapRoles:
  - {rolearn: 'arn:aws:iam::111122223333:role/Node', username: 'system:node:{{EC2PrivateDNSName}}', groups: [system:nodes]}
";
/// Not shown yet: it comes with the renewal of certificates.
const NOT_YET: &str = "certificate_expiry_timestamp_seconds";
const BOB: &str = "- userarn: arn:aws:iam::111122223333:user/bob\n  username: bob\n";
const INSTANCE: &str = "i-0123456789abcdef0";

/// Somebody of each kind, and what befalls them.
struct Scene {
    emulator: Emulator,
    principals: Principals,
    aws_auth: ConfigMapApi,
    server: Server,
}

impl Scene {
    async fn start() -> Self {
        let (emulator, principals) = emulator().await;
        emulator.instances().add(INSTANCE, "ip-10-0-0-1.ec2.internal");
        let aws_auth = ConfigMapApi::start().await.unwrap();
        aws_auth.replace([("mapUsers".to_owned(), BOB.to_owned())].into());
        let server = principals
            .role(ACCOUNT, "Authenticator", "server")
            .env()
            .iter()
            .fold(Setup::new(&emulator, MAPPINGS), |setup, (name, value)| setup.env(name, value))
            .env("AWS_REGION", "us-east-1")
            .arg("--ec2-connect-to", &emulator.address().to_string())
            .arg("--master", &aws_auth.url())
            // So few that somebody is turned away.
            .arg("--sts-access-key-qps", "1")
            .arg("--sts-access-key-burst", "5")
            .start();
        server.wait_until_ready().await;
        Self { emulator, principals, aws_auth, server }
    }

    async fn review(&self, credentials: &Credentials, age: i64) {
        let signed_at = Timestamp::now() - SignedDuration::from_secs(age);
        self.server.review(&token_for(credentials, CLUSTER_ID, signed_at)).await;
    }

    /// One turn of everything that a figure is kept of.
    async fn turn(&self, number: i64) {
        let bob = self.principals.user(ACCOUNT, "bob");
        self.server.review(&token(&self.principals.role(ACCOUNT, "Node", INSTANCE))).await;
        for age in 0..8 {
            self.review(&bob, age + 8 * number).await;
            self.review(&bob, 8 * number).await;
        }
        self.server.review("k8s-aws-v1.forged").await;
        self.review(&self.principals.user(ACCOUNT, &format!("nobody-{number}")), 0).await;
        for fault in [Fault::Throttle, Fault::Reset] {
            self.emulator.faults().set(fault);
            for stranger in 0..6 {
                let stranger = format!("stranger-{number}-{stranger}");
                self.review(&self.principals.user(ACCOUNT, &stranger), 0).await;
            }
        }
        self.emulator.faults().clear();
        let edit = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "CREATE", "namespace": "kube-system", "name": "aws-auth",
                "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
                "object": {"kind": "ConfigMap", "apiVersion": "v1", "data": {"mapUsers": BOB}},
            }
        });
        post(&self.server.client(), &self.server.at("/validate/aws-auth"), &edit).await;
        // A broken edit, so that something is invalid and kept.
        self.aws_auth.replace([("mapUsers".to_owned(), BOB.replace("username", "user_name"))].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_what_each_panel_and_each_alert_asks_for() {
    let scene = Scene::start().await;
    let prometheus = Running::start(&scene.server);
    let dashboard = Dashboard::parse(&read(monitoring("dashboard.json"))).unwrap();
    let variables = Variables { job: "arngate".to_owned(), rate_interval: "10s".to_owned() };
    let asked: Vec<(String, String)> = dashboard
        .panels()
        .flat_map(|panel| {
            panel.queries.iter().map(|query| (panel.title.clone(), query.filled_in(&variables)))
        })
        .chain(alerts().into_iter().flat_map(|(alert, expression)| {
            metrics_in(&expression).into_iter().map(move |metric| (alert.clone(), metric))
        }))
        .filter(|(_, expression)| !expression.contains(NOT_YET))
        .collect();
    let client = Prometheus::at(&prometheus.url).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut turns = 0;
    let empty = loop {
        scene.turn(turns).await;
        turns += 1;
        let mut empty = BTreeMap::new();
        for (what, expression) in &asked {
            if !found(&client, expression).await {
                empty.insert(expression.clone(), what.clone());
            }
        }
        if empty.is_empty() || Instant::now() > deadline {
            break empty;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(
        empty.is_empty(),
        "no data for {empty:#?}\n{}\n{}",
        scene.server.metrics().await,
        prometheus.log()
    );

    // Prometheus itself evaluates the rules, and none fails.
    let rules = prometheus.get("/api/v1/rules").await.unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), alerts().len());
    for rule in &rules {
        assert_eq!(rule["lastError"], Value::Null, "{rule}");
    }
    let state = |name: &str| {
        rules.iter().find(|rule| rule["name"] == name).map(|rule| rule["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state("ArngateDown").as_deref(), Some("inactive"));
    assert_eq!(state("ArngateMappingsInvalid").as_deref(), Some("pending"), "it fires after ten minutes");
    println!("{} queries have data after {turns} turns; {} rules without an error", asked.len(), rules.len());
}

/// The names of the metrics in an expression; `up` of the scrape among them.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    expression
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("aws_iam_authenticator_") || *word == "up")
        .map(str::to_owned)
        .collect()
}

/// Whether there is a value within the last seconds.
async fn found(client: &Prometheus, expression: &str) -> bool {
    let span = Span { to: Timestamp::now(), lasting: Duration::from_secs(10), step: Duration::from_secs(1) };
    // Prometheus may not answer yet.
    let series: Vec<Series> = client.over(expression, span).await.unwrap_or_default();
    series.iter().any(|series| !series.points.is_empty())
}
