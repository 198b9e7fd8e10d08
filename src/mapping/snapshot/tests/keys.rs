//! Under which key a list is found.

use super::*;

#[test]
fn a_key_in_another_case_is_found() {
    let (snapshot, diagnostics) = load(&[("maproles", &entry("A", "a"))]);
    only(&diagnostics, Severity::Warning, "the key is written maproles");
    assert_eq!(who(&snapshot, &role("A")), "a,g");
    let (snapshot, diagnostics) = load(&[("maproles", &entry("A", "a")), ("mapRoles", &entry("B", "b"))]);
    only(&diagnostics, Severity::Warning, "stands beside mapRoles and is ignored");
    assert_eq!((who(&snapshot, &role("A")), who(&snapshot, &role("B"))), ("-".into(), "b,g".into()));
}

#[test]
fn a_misspelt_key_takes_nobodys_access_and_gives_nobody_any() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a")), ("mapUsers", "[]")]);
    for key in ["mapRole", "map_roles", "mapsRoles", "roles", "mapRoles.yaml"] {
        let edit = data(&[(key, &entry("B", "b")), ("mapUsers", "[]")]);
        let (after, diagnostics) = Snapshot::update(Some(&before), &edit);
        only(&diagnostics, Severity::Error, &format!("there is no mapRoles, but {key}; the list stays"));
        assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("a,g".into(), "-".into()), "{key}");
        assert_eq!(after.figures().kept, 1, "{key}");
    }
}

#[test]
fn a_list_that_has_got_into_another_keys_text_or_into_binary_data_stays_as_it_was() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let whole = format!("apiVersion: v1\ndata:\n  mapRoles: |\n{}", entry("B", "b"));
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("aws-auth.yaml", &whole)]));
    only(&diagnostics, Severity::Error, "the text of aws-auth.yaml speaks of it");
    assert_eq!((who(&after, &role("A")), who(&after, &role("B"))), ("a,g".into(), "-".into()));

    let binary = AwsAuth { binary: ["mapRoles".to_owned()].into(), ..AwsAuth::default() };
    let (after, diagnostics) = Snapshot::update(Some(&before), &binary);
    only(&diagnostics, Severity::Error, "mapRoles is in binaryData");
    assert_eq!(who(&after, &role("A")), "a,g");
}

#[test]
fn a_key_of_another_kind_hides_nothing() {
    let (before, _) = load(&[("mapRoles", &entry("A", "a"))]);
    let (after, diagnostics) = Snapshot::update(Some(&before), &data(&[("comment", "nobody any more")]));
    assert_eq!((diagnostics.len(), who(&after, &role("A"))), (0, "-".into()));
}
