//! Who counts where several entries are about one principal.

use super::*;

#[test]
fn roles_come_before_users_and_entries_before_accounts() {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/bob");
    let (snapshot, diagnostics) = load(&[
        ("mapRoles", &format!("- {{rolearn: '{arn}', username: as-role}}")),
        ("mapUsers", &format!("- {{userarn: '{arn}', username: as-user}}")),
        ("mapAccounts", &format!("['{ACCOUNT}']")),
    ]);
    only(&diagnostics, Severity::Warning, "it belongs in mapUsers");
    assert_eq!(who(&snapshot, &user("bob")), "as-role");
    assert_eq!(who(&snapshot, &user("carol")), "account");
}

#[test]
fn of_two_entries_with_one_user_id_that_of_map_roles_counts() {
    let list = |username: &str| {
        yaml::parse(&format!("- {{userid: AIDAEXAMPLE, username: {username}}}"), Limits::default()).unwrap()
    };
    let (roles, users) = (list("as-role"), list("as-user"));
    let lists = [roles.as_ref(), users.as_ref(), None];
    let (snapshot, diagnostics) = Snapshot::update_from_nodes(None, lists, MatchBy::UserId);
    assert_eq!(diagnostics, []);
    assert_eq!(who(&snapshot, &user("bob")), "as-role");
}

#[test]
fn the_last_of_two_counts_and_that_is_told() {
    let (snapshot, diagnostics) = load(&[("mapRoles", &(entry("path/A", "first") + &entry("a", "second")))]);
    only(
        &diagnostics,
        Severity::Warning,
        "mapRoles, entry 2, line 4, column 3: maps what entry 1 (line 1) maps too",
    );
    assert_eq!(who(&snapshot, &role("A")), "second,g");
}

/// Today the entry with a path matches nobody, so that the other one is who they are.
#[test]
fn an_entry_without_a_path_goes_before_one_with_it_in_either_order() {
    let (plain, path) = (entry("Admin", "plain"), entry("team/Admin", "path"));
    for (text, told) in [
        (
            plain.clone() + &path,
            "entry 2, line 4, column 3: maps what entry 1 (line 1) maps too; the one without a path counts, so entry 1 does",
        ),
        (path.clone() + &plain, "the one without a path counts, so entry 2 does"),
    ] {
        let (snapshot, diagnostics) = load(&[("mapRoles", &text)]);
        only(&diagnostics, Severity::Warning, told);
        assert_eq!(who(&snapshot, &role("Admin")), "plain,g", "{text}");
    }
    let (snapshot, diagnostics) = load(&[("mapRoles", &(path + &entry("ops/Admin", "later")))]);
    only(&diagnostics, Severity::Warning, "the last one counts, so entry 2 does");
    assert_eq!(who(&snapshot, &role("Admin")), "later,g");
}

#[test]
fn what_is_kept_is_what_was_in_force() {
    let (before, _) = load(&[("mapRoles", &(entry("Admin", "plain") + &entry("team/Admin", "path")))]);
    let broken = format!("- rolearn: arn:aws:iam::{ACCOUNT}:role/Admin\n  username: [x]\n");
    let (after, _) = Snapshot::update(Some(&before), &data(&[("mapRoles", &broken)]));
    assert_eq!(who(&after, &role("Admin")), "plain,g");
}
