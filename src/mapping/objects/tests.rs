use super::*;
use crate::{
    identity::{Identity, Partition},
    mapping::Match,
};

const ACCOUNT: &str = "111122223333";

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// An object made `age` seconds before the others that are of age zero.
fn object(name: &str, age: i64, arn: &str, username: &str) -> Object {
    Object {
        name: name.into(),
        uid: Some(format!("uid-of-{name}")),
        created: Some(Timestamp::from_second(1_000_000 - age).unwrap()),
        spec: Ok(ObjectSpec { arn: arn.to_owned(), username: username.to_owned(), groups: vec!["g".into()] }),
    }
}

/// Username and groups of the role `name`'s sessions, joined by commas; `-` where nothing matches.
fn who(objects: &Objects, name: &str) -> String {
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s");
    let account = ACCOUNT.parse().unwrap();
    let identity = Identity::new(Partition::Aws, &arn, account, "AROAEXAMPLE:s", "ASIAEXAMPLE").unwrap();
    match objects.snapshot().0.index().look_up(&identity) {
        Some(Match::Entry(mapping)) => {
            let (username, groups) = mapping.render(&identity, None).unwrap();
            std::iter::once(username).chain(groups).collect::<Vec<_>>().join(",")
        }
        Some(Match::Account(_)) => "account".to_owned(),
        None => "-".to_owned(),
    }
}

fn of(list: impl IntoIterator<Item = Object>) -> Objects {
    let mut objects = Objects::default();
    objects.replace(list.into_iter().collect());
    objects
}

#[track_caller]
fn only(objects: &Objects, severity: Severity, text: &str) {
    let (_, diagnostics) = objects.snapshot();
    let [diagnostic] = diagnostics.as_slice() else { panic!("not one: {diagnostics:#?}") };
    assert_eq!(diagnostic.severity, severity, "{diagnostic}");
    assert!(diagnostic.to_string().contains(text), "{diagnostic}\ndoes not contain\n{text}");
}

#[test]
fn an_object_maps_its_principal_whatever_the_case_and_the_path() {
    let objects = of([object("a", 0, &role_arn("Team/Admin"), "admin:{{SessionName}}")]);
    assert_eq!(who(&objects, "ADMIN"), "admin:s,g");
    assert_eq!(who(&objects, "Other"), "-");
    assert_eq!(objects.snapshot().1, []);
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/Admin/s");
    let identity =
        Identity::new(Partition::Aws, &arn, ACCOUNT.parse().unwrap(), "AROAEXAMPLE:s", "ASIA").unwrap();
    let (snapshot, _) = objects.snapshot();
    let Some(Match::Entry(mapping)) = snapshot.index().look_up(&identity) else { panic!("no entry") };
    assert_eq!(mapping.origin.to_string(), "IAMIdentityMapping a");
}

#[test]
fn what_cannot_be_mapped_is_told_with_the_objects_name_and_the_others_stand() {
    for (arn, text) in [
        (
            "arn:aws:iam::111122223333:group/Admins",
            "IAMIdentityMapping bad: spec.arn \"arn:aws:iam::111122223333:group/Admins\" is no ARN that can be mapped: an IAM group is not a principal",
        ),
        ("arn:aws:iam::111122223333:instance-profile/P", "an instance profile is not a principal"),
        ("", "not of the form"),
    ] {
        let objects = of([object("bad", 0, arn, "x"), object("good", 0, &role_arn("A"), "a")]);
        only(&objects, Severity::Error, text);
        only(&objects, Severity::Error, "it maps nobody");
        assert_eq!(who(&objects, "A"), "a,g");
    }
}

#[test]
fn what_is_odd_works_and_is_told() {
    let assumed = format!("arn:aws:sts::{ACCOUNT}:assumed-role/A/x");
    let cases = [
        (object("o", 0, &assumed, "a"), "write the role's ARN in spec.arn", "a,g"),
        (object("o", 0, &role_arn("A"), ""), "spec.username is empty", "arn:aws:iam::111122223333:role/A,g"),
        (object("o", 0, &role_arn("A"), "{{Foo}}"), "there are {{AccountID}}", "{{Foo}},g"),
    ];
    for (object, text, want) in cases {
        let objects = of([object]);
        only(&objects, Severity::Warning, text);
        assert_eq!(who(&objects, "A"), want);
    }
    let mut empty_group = object("o", 0, &role_arn("A"), "a");
    empty_group.spec.as_mut().unwrap().groups.push(String::new());
    let objects = of([empty_group]);
    only(&objects, Severity::Warning, "has an empty name");
    assert_eq!(who(&objects, "A"), "a,g");
}

#[test]
fn an_edit_that_breaks_an_object_takes_nothing_away() {
    let mut unreadable = object("a", 0, "", "");
    unreadable.spec = Err("missing field `username`".to_owned());
    for broken in [object("a", 0, &role_arn(""), "new"), unreadable] {
        let mut objects = of([object("a", 0, &role_arn("A"), "a"), object("b", 0, &role_arn("B"), "b")]);
        objects.apply(broken.clone());
        assert_eq!(who(&objects, "A"), "a,g", "what it gave, whole: neither the new username nor new groups");
        only(&objects, Severity::Error, "it keeps what it last gave");
        // A new list finds it still broken.
        objects.replace(vec![broken.clone(), object("b", 0, &role_arn("B"), "b")]);
        assert_eq!((who(&objects, "A"), who(&objects, "B")), ("a,g".into(), "b,g".into()));
        objects.apply(object("a", 0, &role_arn("C"), "c"));
        assert_eq!((who(&objects, "A"), who(&objects, "C")), ("-".into(), "c,g".into()));
        assert_eq!(objects.snapshot().1, []);
    }
}

#[test]
fn what_is_clearly_gone_is_gone() {
    let all = || of([object("a", 0, &role_arn("A"), "a"), object("b", 0, &role_arn("B"), "b")]);
    let mut deleted = all();
    deleted.delete("a");
    let mut not_listed = all();
    not_listed.replace(vec![object("b", 0, &role_arn("B"), "b")]);
    let mut edited = all();
    edited.apply(object("a", 0, &role_arn("Other"), "a"));
    for objects in [deleted, not_listed, edited] {
        assert_eq!((who(&objects, "A"), who(&objects, "B")), ("-".into(), "b,g".into()));
    }
}

#[test]
fn an_object_made_anew_keeps_nothing_of_its_predecessor() {
    let mut anew = object("a", 0, "oops", "a");
    anew.uid = Some("another".to_owned());
    let mut applied = of([object("a", 0, &role_arn("A"), "a")]);
    applied.apply(anew.clone());
    let mut listed = of([object("a", 0, &role_arn("A"), "a")]);
    listed.replace(vec![anew]);
    for objects in [applied, listed] {
        assert_eq!(who(&objects, "A"), "-");
        only(&objects, Severity::Error, "it maps nobody");
    }
}

#[test]
fn the_oldest_of_two_counts_and_then_the_first_by_name() {
    let (a, b) = (role_arn("X"), role_arn("path/x"));
    for (objects, wanted, told) in [
        (
            [object("one", 9, &a, "1"), object("two", 0, &b, "2")],
            "1,g",
            "IAMIdentityMapping two: maps whom IAMIdentityMapping one",
        ),
        (
            [object("one", 0, &a, "1"), object("two", 9, &b, "2")],
            "2,g",
            "IAMIdentityMapping one: maps whom IAMIdentityMapping two",
        ),
        (
            [object("one", 0, &a, "1"), object("two", 0, &b, "2")],
            "1,g",
            "IAMIdentityMapping two: maps whom IAMIdentityMapping one",
        ),
    ] {
        let [first, second] = objects;
        for list in [[first.clone(), second.clone()], [second, first]] {
            let objects = of(list);
            assert_eq!(who(&objects, "X"), wanted);
            only(&objects, Severity::Warning, told);
        }
    }
}

#[test]
fn a_third_one_does_not_hide_who_counts() {
    let arn = role_arn("X");
    let objects = of([object("a", 5, &arn, "a"), object("b", 9, &arn, "b"), object("c", 7, &arn, "c")]);
    assert_eq!(who(&objects, "X"), "b,g");
    let told: Vec<String> =
        objects.snapshot().1.iter().map(|diagnostic| diagnostic.message.to_string()).collect();
    assert_eq!(told, vec!["maps whom IAMIdentityMapping b maps too; b counts, since it is older"; 2]);
}

#[test]
fn a_valid_object_counts_before_an_older_one_that_keeps_what_it_gave() {
    let arn = role_arn("X");
    let mut objects = of([object("old", 9, &arn, "old"), object("young", 0, &arn, "young")]);
    assert_eq!(who(&objects, "X"), "old,g");
    objects.apply(object("old", 9, "oops", "old"));
    assert_eq!(who(&objects, "X"), "young,g");
    objects.delete("young");
    assert_eq!(who(&objects, "X"), "old,g");
}

/// As an entry of aws-auth: it works where nothing did before, and takes nothing away.
#[test]
fn a_misspelt_template_counts_only_where_the_object_gave_nothing_before() {
    for (username, meant) in [
        ("{{sessionname}}", "did you mean {{SessionName}}?"),
        ("{{SesionName}}", "did you mean {{SessionName}}?"),
        ("system:node:{{EC2PrivateDnsName}}", "did you mean {{EC2PrivateDNSName}}?"),
    ] {
        let misspelt = object("a", 0, &role_arn("A"), username);
        let objects = of([misspelt.clone()]);
        only(&objects, Severity::Error, meant);
        assert_eq!(who(&objects, "A"), format!("{username},g"), "as today");
        assert_eq!(objects.snapshot().0.figures().kept, 0);

        let mut objects = of([object("a", 0, &role_arn("A"), "good")]);
        for _ in 0..2 {
            objects.apply(misspelt.clone());
            only(&objects, Severity::Error, "what it last gave counts");
            assert_eq!((who(&objects, "A"), objects.snapshot().0.figures().kept), ("good,g".into(), 1));
        }
        objects.apply(object("a", 0, &role_arn("B"), username));
        let both = (who(&objects, "A"), who(&objects, "B"));
        assert_eq!(both, ("-".into(), format!("{username},g")), "another's is another's");
        objects.apply(object("a", 0, &role_arn("B"), "mended"));
        assert_eq!((who(&objects, "B"), objects.snapshot().1), ("mended,g".into(), vec![]));
    }
}

/// Over a restart: what an object gave is kept where it is broken now, and gone where it is.
#[test]
fn what_outlives_the_process_keeps_what_is_broken_and_not_what_is_gone() {
    let first = of([
        object("a", 2, &role_arn("A"), "a"),
        object("b", 1, &role_arn("B"), "b"),
        object("c", 1, &role_arn("C"), "c"),
        object("d", 1, "oops", "d"),
    ]);
    let mut next = Objects::from_records(first.records());
    assert_eq!(next.records(), first.records());
    let all = |objects: &Objects| ["A", "B", "C"].map(|name| who(objects, name));
    assert_eq!(all(&next), ["a,g", "b,g", "c,g"]);
    let mut anew = object("c", 0, "oops", "c");
    anew.uid = Some("another".to_owned());
    next.replace(vec![object("a", 2, "oops", "a"), anew]);
    assert_eq!(all(&next), ["a,g", "-", "-"]);
    assert_eq!(all(&Objects::from_records(next.records())), ["a,g", "-", "-"]);
    next.delete("a");
    assert_eq!(next.records(), ObjectRecords::default());
}
