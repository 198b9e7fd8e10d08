//! `arngate crd`: the kind that the backend CRD watches.

mod support;

use std::{fs, path::Path};

#[test]
fn the_manifest_in_deploy_is_what_the_program_prints() {
    let output = support::arngate().arg("crd").output().unwrap();
    let (printed, stderr) = support::text(&output);
    assert!(output.status.success(), "{stderr}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crd/iamidentitymapping.yaml");
    assert_eq!(fs::read_to_string(path).unwrap(), printed, "make crd generates it anew");
}
