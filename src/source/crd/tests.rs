use serde_json::{Value, json};

use super::*;
use crate::{
    identity::{Identity, Partition},
    mapping::{Backend, Chain, Mapped},
};

const ACCOUNT: &str = "111122223333";

fn source() -> (State, Chain) {
    let (backend, publisher): (Backend, _) = BackendMode::Crd.backend();
    (CrdSource::new(publisher, Metrics::new(), None).state, Chain::new(vec![backend]))
}

fn object(name: &str, version: &str, content: Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1", "kind": "IAMIdentityMapping",
        "metadata": {"name": name, "uid": name, "resourceVersion": version},
    });
    let Value::Object(content) = content else { panic!("no fields: {content}") };
    object.as_object_mut().unwrap().extend(content);
    serde_json::from_value(object).unwrap()
}

fn user(name: &str, version: &str) -> DynamicObject {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/{name}");
    object(name, version, json!({"spec": {"arn": arn, "username": name, "groups": ["g"]}}))
}

fn map(chain: &Chain, name: &str) -> Mapped {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/{name}");
    let account = ACCOUNT.parse().unwrap();
    chain.map(&Identity::new(Partition::Aws, &arn, account, "AIDAEXAMPLE", "AKIAEXAMPLE").unwrap())
}

#[track_caller]
fn assert_found(chain: &Chain, name: &str) {
    let Mapped::Found(found) = map(chain, name) else { panic!("{name}: {:?}", map(chain, name)) };
    assert_eq!((found.username.as_str(), found.backend), (name, BackendMode::Crd));
    assert_eq!(found.origin.to_string(), format!("IAMIdentityMapping {name}"));
}

fn list(state: &mut State, objects: impl IntoIterator<Item = DynamicObject>) {
    state.see(Event::Init);
    for object in objects {
        state.see(Event::InitApply(object));
    }
    state.see(Event::InitDone);
    state.settle();
}

fn refused(code: u16, message: &str, reason: &str) -> Failure {
    let status = Status::failure(message, reason).with_code(code);
    Failure::Watcher(watcher::Error::InitialListFailed(kube::Error::Api(status.boxed())))
}

#[test]
fn a_list_is_in_force_once_it_is_whole() {
    let (mut state, chain) = source();
    state.see(Event::Init);
    state.see(Event::InitApply(user("bob", "1")));
    assert_eq!(map(&chain, "bob"), Mapped::NotLoaded(BackendMode::Crd));
    state.see(Event::InitDone);
    state.settle();
    assert_found(&chain, "bob");

    state.see(Event::Apply(user("carol", "2")));
    state.see(Event::Delete(user("bob", "3")));
    state.settle();
    assert_found(&chain, "carol");
    assert_eq!(map(&chain, "bob"), Mapped::NotMapped);

    list(&mut state, [user("dora", "4")]);
    assert_found(&chain, "dora");
    assert_eq!(map(&chain, "carol"), Mapped::NotMapped, "a list that does not name it says that it is gone");
}

#[test]
fn an_object_of_another_form_does_not_keep_the_others_from_being_read() {
    let (mut state, chain) = source();
    let odd = [
        json!({}),
        json!({"spec": null}),
        json!({"spec": "x"}),
        json!({"spec": {"arn": 1, "username": "x"}}),
        json!({"spec": {"arn": "arn:aws:iam::111122223333:user/x", "username": "x", "groups": "g"}}),
        json!({"spec": {"username": "x"}, "status": "x"}),
    ];
    let count = odd.len();
    let odd = odd.into_iter().enumerate().map(|(number, content)| object(&number.to_string(), "1", content));
    list(&mut state, odd.chain([user("bob", "1")]));
    assert_found(&chain, "bob");
    assert_eq!(state.diagnosis.holding(), count, "{:#?}", state.diagnosis);
    let null_groups =
        json!({"spec": {"arn": "arn:aws:iam::111122223333:user/eve", "username": "eve", "groups": null}});
    state.see(Event::Apply(object("eve", "2", null_groups)));
    state.settle();
    assert_found(&chain, "eve");
}

#[test]
fn a_cluster_without_the_kind_has_no_mappings() {
    // As kube tells of an API server's answer in words, and of a Status.
    for (message, reason) in [("404 page not found", "Failed to parse error data"), ("not found", "NotFound")]
    {
        let (mut state, chain) = source();
        state.failed(&refused(404, message, reason), Duration::ZERO);
        assert_eq!(map(&chain, "bob"), Mapped::NotMapped, "loaded, and empty");
        list(&mut state, [user("bob", "1")]);
        assert_found(&chain, "bob");
        state.failed(&refused(404, message, reason), Duration::ZERO);
        assert_eq!(map(&chain, "bob"), Mapped::NotMapped, "the kind was deleted, and its objects with it");
    }
}

#[test]
fn a_backend_that_may_not_list_has_no_verdict_and_keeps_what_it_had() {
    for refused in [
        || refused(403, "forbidden", "Forbidden"),
        || refused(500, "no", "InternalError"),
        || refused(404, "<html>no such page", "Failed to parse error data"),
    ] {
        let (mut state, chain) = source();
        state.failed(&refused(), Duration::ZERO);
        state.failed(&Failure::NoList, Duration::ZERO);
        assert_eq!(map(&chain, "bob"), Mapped::NotLoaded(BackendMode::Crd));
        list(&mut state, [user("bob", "1")]);
        state.failed(&refused(), Duration::ZERO);
        state.failed(&Failure::Ended, Duration::ZERO);
        assert_found(&chain, "bob");
    }
}

#[tokio::test]
async fn a_status_is_wanted_where_it_is_not_right() {
    let (mut state, _) = source();
    let right = json!({
        "spec": {"arn": "arn:aws:iam::111122223333:user/Right", "username": "r"},
        "status": {"canonicalARN": "arn:aws:iam::111122223333:user/right", "userID": ""},
    });
    let other = json!({
        "spec": {"arn": "arn:aws:iam::111122223333:user/other", "username": "r"},
        "status": {"canonicalARN": "arn:aws:iam::111122223333:user/before", "userID": "AIDAEXAMPLE"},
    });
    let invalid = json!({
        "spec": {"arn": "oops", "username": "r"},
        "status": {"canonicalARN": "arn:aws:iam::111122223333:user/before"},
    });
    list(
        &mut state,
        [
            object("right", "1", right.clone()),
            user("becomes-right", "2"),
            user("gone", "3"),
            object("invalid", "4", invalid),
            object("other", "5", other),
            user("bob", "6"),
        ],
    );
    state.see(Event::Apply(object("becomes-right", "7", right)));
    state.see(Event::Delete(user("gone", "8")));
    let wanted = |version: &str, arn: &str, user_id: &str| Wanted {
        version: version.to_owned(),
        status: IamIdentityMappingStatus {
            canonical_arn: Some(arn.to_owned()),
            user_id: Some(user_id.to_owned()),
        },
    };
    let other = wanted("5", "arn:aws:iam::111122223333:user/other", "AIDAEXAMPLE");
    assert_eq!(state.statuses.next().await, ("other".to_owned(), other));
    let bob = wanted("6", "arn:aws:iam::111122223333:user/bob", "");
    assert_eq!(state.statuses.next().await, ("bob".to_owned(), bob));
    assert!(futures::FutureExt::now_or_never(state.statuses.next()).is_none());
}
