//! The image's file system, as `make image` has built it: what is in it, and that it works where there is nothing else,
//! as a user that can write nothing.
//!
//! It is run in a root of its own, which takes root's right to change it.

mod names;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use arngate_lab::sts::Emulator;
use serde_json::{Value, json};
use support::{ACCOUNT, CLUSTER_ID, emulator, post, text, token};

/// The most that the image may weigh, in bytes.
const MOST: u64 = 15_000_000;

/// The file system that was built.
fn built() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image/root-fs");
    let built = std::env::var_os("ARNGATE_IMAGE").map_or(default, PathBuf::from);
    assert!(built.join("arngate").is_file(), "{} is not there: make image builds it", built.display());
    built
}

/// What the builder says of the image.
fn configuration() -> Value {
    let text = fs::read_to_string(built().with_extension("json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["Docker"]["config"].clone()
}

/// All files below a folder, each with its size.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), path.symlink_metadata().unwrap().len()));
        }
    }
    found
}

/// A container: a copy of the image, which root owns, and beside it volumes of the container's user.
struct Container {
    root: tempfile::TempDir,
}

impl Container {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copied = Command::new("cp").arg("-a").arg(built().join(".")).arg(root.path()).status().unwrap();
        assert!(copied.success());
        let container = Self { root };
        container.write(
            "etc/arngate/config.yaml",
            &format!("clusterID: {CLUSTER_ID}\nserver: {{healthPort: 0}}\n"),
        );
        for volume in ["var/aws-iam-authenticator", "etc/kubernetes/aws-iam-authenticator"] {
            fs::create_dir_all(container.path(volume)).unwrap();
            std::os::unix::fs::chown(container.path(volume), Some(10000), Some(10000))
                .expect("root may give files away; these tests want to be root");
        }
        container
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// The image's entry point with these arguments, as the image's user.
    fn command(&self, args: &[&str]) -> Command {
        let configuration = configuration();
        let mut command = Command::new("chroot");
        command.arg(format!("--userspec={}", configuration["User"].as_str().unwrap()));
        command.arg("--groups=10000").arg(self.root.path());
        command.args(configuration["Entrypoint"].as_array().unwrap().iter().filter_map(Value::as_str));
        command.args(args).env_clear().stdin(Stdio::null());
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The server, listening, and its URL.
    fn serve(&self, args: &[&str]) -> (Serving, String) {
        let log = self.root.path().with_extension("log");
        let args =
            [&["server", "-l", "json", "-c", "/etc/arngate/config.yaml", "--port", "0"], args].concat();
        let child = self.command(&args).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn();
        let mut serving = Serving { child: child.unwrap(), log };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = fs::read_to_string(&serving.log).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let listening = lines.into_iter().find(|line| line["message"] == "listening");
            if let Some(line) = listening {
                return (serving, line["url"].as_str().unwrap().to_owned());
            }
            let ended = serving.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A server. It is ended when dropped.
struct Serving {
    child: Child,
    log: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap().split('/').next().unwrap()
}

#[test]
fn it_holds_one_static_program_and_weighs_little() {
    let built = built();
    let mut files = files(&built);
    files.sort();
    let names: Vec<_> =
        files.iter().map(|(path, _)| path.strip_prefix(&built).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["LICENSE", "arngate", "etc/ssl/certs/ca-certificates.crt"]);
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    println!("{bytes} bytes: {files:?}");
    assert!(bytes <= MOST, "{bytes} bytes, of which there may be {MOST}");
    let program = fs::read(built.join("arngate")).unwrap();
    assert_eq!(&program[..4], b"\x7fELF");
    // A program that needs a loader names it.
    let loader = b"/ld-linux".as_slice();
    let interpreter = program.windows(loader.len()).take(4096).any(|window| window == loader);
    assert!(!interpreter, "it is linked dynamically");
    for (path, _) in files {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{} can be written", path.display());
    }
}

#[test]
fn its_configuration_says_what_it_is_and_how_it_is_asked() {
    let configuration = configuration();
    assert_eq!(configuration["User"], "10000:10000");
    assert_eq!(configuration["Entrypoint"], json!(["/arngate"]));
    assert_eq!(configuration["Cmd"], json!(["server"]));
    assert_eq!(configuration["Healthcheck"]["Test"], json!(["CMD", "/arngate", "healthcheck"]));
    for port in ["21362/tcp", "21363/tcp"] {
        assert!(configuration["ExposedPorts"].get(port).is_some(), "{port}");
    }
    let labels = &configuration["Labels"];
    assert_eq!(labels["org.opencontainers.image.title"], "arngate");
    assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    for label in ["description", "licenses", "revision", "created"] {
        let value = labels[format!("org.opencontainers.image.{label}")].as_str();
        assert!(value.is_some_and(|value| !value.is_empty()), "{label}: {labels}");
    }
}

#[test]
fn its_program_runs_where_there_is_nothing_else() {
    let container = Container::new();
    let output = container.run(&["config", "show", "-c", "/etc/arngate/config.yaml"]);
    assert!(output.status.success(), "{}", text(&output).1);
    assert!(text(&output).0.contains(CLUSTER_ID), "{}", text(&output).0);
    let output = container.run(&["version", "--short"]);
    assert_eq!(text(&output).0.trim(), env!("CARGO_PKG_VERSION"));
    // Nothing that it could write to.
    let output = container.run(&["init", "-c", "/etc/arngate/config.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("Permission denied"), "{}", text(&output).1);
}

#[tokio::test]
async fn it_serves_is_healthy_and_ends_with_term() {
    let (emulator, principals): (Emulator, _) = emulator().await;
    let container = Container::new();
    container.write("sts-ca.pem", &emulator.ca_pem());
    let before = files(container.root.path());
    let sts = emulator.address().to_string();
    let (mut serving, url) = container.serve(&[
        "--backend-mode",
        "MountedFile",
        "--admin-principals",
        "arn:aws:iam::111122223333:user/bob",
        "--sts-connect-to",
        &sts,
        "--sts-ca-bundle",
        "/sts-ca.pem",
    ]);
    let healthcheck = configuration()["Healthcheck"]["Test"][2].as_str().unwrap().to_owned();
    let output = container.run(&[&healthcheck, "--port", port(&url)]);
    assert_eq!((output.status.code(), text(&output).0.as_str()), (Some(0), "ok\n"), "{}", text(&output).1);
    let output = container.run(&[&healthcheck, "--ready", "--port", port(&url)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);

    let pem = fs::read(container.path("var/aws-iam-authenticator/cert.pem")).unwrap();
    let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token(&principals.user(ACCOUNT, "bob"))},
    });
    let answer = post(&client, &url, &body).await;
    assert_eq!(answer.user()["groups"], json!(["system:masters"]));

    let id = serving.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(tokio::task::block_in_place(|| serving.child.wait()).unwrap().success());
    assert_eq!(container.run(&[&healthcheck, "--port", port(&url)]).status.code(), Some(1));
    let new: Vec<_> =
        files(container.root.path()).into_iter().filter(|file| !before.contains(file)).collect();
    let outside = |path: &Path| {
        !["var/aws-iam-authenticator", "etc/kubernetes/aws-iam-authenticator"]
            .iter()
            .any(|volume| path.starts_with(container.path(volume)))
    };
    assert!(!new.is_empty() && !new.iter().any(|(path, _)| outside(path)), "{new:?}");
}

#[test]
fn it_trusts_public_certificates_and_says_so_where_there_are_none() {
    let container = Container::new();
    drop(container.serve(&[]));
    fs::remove_file(container.path("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let output = container.run(&["server", "-c", "/etc/arngate/config.yaml", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("no trusted CA certificates"), "{}", text(&output).1);
}

/// glibc's look-up of names is static in it, without the libraries that glibc loads elsewhere.
#[test]
fn it_finds_names_by_files_and_by_dns() {
    let container = Container::new();
    let server = names::Server::start("by-dns.test");
    container.write("etc/hosts", "127.0.0.1 by-file.test\n");
    container.write("etc/resolv.conf", &format!("nameserver {}\n", names::ADDRESS));
    for name in ["by-file.test", "by-dns.test"] {
        let (_serving, url) = container.serve(&["--address", name]);
        let output = container.run(&["healthcheck", "--address", name, "--port", port(&url)]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output).1);
    }
    assert!(server.was_asked(), "the name server was asked");
    let output = container.run(&["server", "-c", "/etc/arngate/config.yaml", "--address", "nowhere.test"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("nowhere.test"), "{}", text(&output).1);
}
