//! The files that people copy: each is read without a word of complaint.

use std::{collections::BTreeMap, path::Path};

use arngate::{
    config::{File, ServerFlags, ServerSettings},
    mapping::Snapshot,
    yaml::{self, Limits},
};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_example_configuration_holds() {
    let file = File::parse(Path::new("config/server.yaml"), &read("config/server.yaml")).unwrap();
    let (_, diagnostics) = Snapshot::from_nodes(file.map_roles.as_ref(), None, None);
    assert_eq!(diagnostics, []);
    let settings = ServerSettings::new(file, None, &ServerFlags::default()).unwrap();
    assert_eq!(settings.mounted.index().len(), 1);
    assert_eq!(settings.backend_modes.len(), 2);
}

#[test]
fn the_example_aws_auth_maps_four_without_a_diagnostic() {
    let manifest = yaml::parse(&read("config/aws-auth.yaml"), Limits::default()).unwrap().unwrap();
    let data: BTreeMap<String, String> = manifest
        .get("data")
        .and_then(yaml::Node::as_mapping)
        .unwrap()
        .iter()
        .map(|(key, value)| (key.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned()))
        .collect();
    let (snapshot, diagnostics) = Snapshot::update(None, &data.into());
    assert_eq!(diagnostics, []);
    assert_eq!(snapshot.index().len(), 4);
}
