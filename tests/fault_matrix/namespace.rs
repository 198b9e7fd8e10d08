//! A mount namespace of arngate's own, in which a state directory can be full or read-only, and names can be known or
//! not, also where the tests run as root. Without root it takes user namespaces
//! (`sysctl -w kernel.unprivileged_userns_clone=1`, where a system turns them off).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Server, Setup};

/// A state directory of 1 MiB, in memory.
const STATE: &str = r#"exec unshare $FAULT_UNSHARE sh -c '
    mount -t tmpfs -o size=1m,mode=700 state "$FAULT_STATE" && exec "$@"' sh "$@""#;

/// Names that stand in a file, and a name server that nobody runs.
const NAMES: &str = r#"exec unshare $FAULT_UNSHARE sh -c '
    mount --bind "$FAULT_FOLDER/hosts" /etc/hosts &&
    mount --bind "$FAULT_FOLDER/resolv.conf" /etc/resolv.conf && exec "$@"' sh "$@""#;

/// Starts a server whose state directory is a file system of its own.
pub(crate) fn with_own_state(setup: Setup) -> Server {
    let state = setup.path("state");
    fs::create_dir(&state).unwrap();
    let server = setup
        .env("FAULT_UNSHARE", options())
        .env("FAULT_STATE", state.to_str().unwrap())
        .after(STATE)
        .start();
    // For clients out here.
    fs::copy(state_inside(&server).join("cert.pem"), state.join("cert.pem")).unwrap();
    server
}

/// Where the state directory of such a server is found from outside.
pub(crate) fn state_inside(server: &Server) -> PathBuf {
    let state = server.path("state");
    Path::new(&format!("/proc/{}/root", server.id())).join(state.strip_prefix("/").unwrap())
}

/// Mounts that state directory anew, `ro` or `rw`.
pub(crate) fn remount_state(server: &Server, mode: &str) {
    let state = server.path("state");
    let mut enter = Command::new("nsenter");
    enter.args(["-t", &server.id().to_string(), "-m"]);
    if options() != "-m" {
        enter.args(["-U", "--preserve-credentials"]);
    }
    let done = enter.args(["mount", "-o", &format!("remount,{mode}")]).arg(state).status().unwrap();
    assert!(done.success(), "cannot remount the state directory {mode}");
}

/// A setup whose server knows the names in [`hosts`], and no others.
pub(crate) fn with_own_names(setup: Setup) -> Setup {
    let hosts = setup.path("hosts");
    fs::write(&hosts, "").unwrap();
    fs::write(setup.path("resolv.conf"), "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n").unwrap();
    let folder = hosts.parent().unwrap().to_str().unwrap().to_owned();
    setup.env("FAULT_UNSHARE", options()).env("FAULT_FOLDER", &folder).after(NAMES)
}

/// What `unshare` is told: root needs no user namespace.
fn options() -> &'static str {
    let possible = |options: &str| {
        let tried = Command::new("unshare").args(options.split(' ')).arg("true").output();
        tried.expect("unshare is needed: install util-linux").status.success()
    };
    ["-m", "-r -m"].into_iter().find(|options| possible(options)).expect(
        "a mount namespace is needed: run the tests as root, or allow user namespaces \
         (sysctl -w kernel.unprivileged_userns_clone=1)",
    )
}
