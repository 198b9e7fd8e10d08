//! The files that people copy: each is read without a word of complaint, and does what its comments say.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use arngate::{
    config::{File, ServerFlags, ServerSettings},
    mapping::BackendMode,
};
use support::{Setup, arngate, emulator, text};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of config/ whose names begin and end so.
fn examples(prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(repository().join("config"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix) && name.ends_with(suffix)
        })
        .collect();
    found.sort();
    found
}

fn run(args: &[&str]) -> Output {
    arngate().args(args).output().unwrap()
}

fn settings(path: &Path) -> ServerSettings {
    ServerSettings::new(File::read(path).unwrap(), None, &ServerFlags::default()).unwrap()
}

#[test]
fn each_server_configuration_holds_without_a_warning() {
    let mut files = examples("server", ".yaml");
    assert!(files.len() >= 6, "{files:?}");
    // What an installation in the cluster begins with.
    files.push(repository().join("deploy/base/config.yaml"));
    for path in files {
        let output = run(&["config", "show", "-c", path.to_str().unwrap()]);
        let (stdout, stderr) = text(&output);
        assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", path.display());
        // A default is no example.
        let said = stdout.lines().filter(|line| line.contains(path.to_str().unwrap())).count();
        assert!(said >= 2, "{}: {stdout}", path.display());
        settings(&path);
    }
}

#[test]
fn the_first_example_has_a_way_in_before_aws_auth() {
    let settings = settings(&repository().join("config/server.yaml"));
    assert_eq!(settings.mounted.index().len(), 1);
    assert_eq!(settings.backend_modes, [BackendMode::MountedFile, BackendMode::EksConfigMap]);
}

#[test]
fn lint_finds_nothing_in_any_aws_auth() {
    let files = examples("aws-auth", ".yaml");
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let output = run(&["lint", "--strict", path.to_str().unwrap()]);
        assert!(output.status.success(), "{}: {:?}", path.display(), text(&output));
    }
    // One that is broken is not let through.
    let broken =
        fs::read_to_string(repository().join("config/aws-auth.yaml")).unwrap().replace("rolearn:", "role:");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("aws-auth.yaml"), broken).unwrap();
    let path = folder.path().join("aws-auth.yaml");
    assert_eq!(run(&["lint", "--strict", path.to_str().unwrap()]).status.code(), Some(3));
}

#[test]
fn each_example_is_in_the_list() {
    let list = fs::read_to_string(repository().join("config/README.md")).unwrap();
    for path in examples("", "").iter().filter(|path| !path.ends_with("README.md")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(list.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[tokio::test]
async fn a_server_takes_the_dynamic_file() {
    let (emulator, _) = emulator().await;
    let path = repository().join("config/dynamic-mappings.json");
    let server = Setup::new(
        &emulator,
        &format!(
            "  backendMode: [DynamicFile]\n  dynamicfileUserIDStrict: true\n  dynamicfilepath: {}\n",
            path.display()
        ),
    )
    .start();
    server.wait_until_ready().await;
    let ready = server.client().get(server.at("/readyz")).send().await.unwrap().text().await.unwrap();
    let wanted = "[+]DynamicFile ok: 2 mappings, 0 entries invalid, 0 mappings kept, 0 errors, 0 warnings";
    assert!(ready.contains(wanted), "{ready}");
}
