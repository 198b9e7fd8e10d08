use std::collections::BTreeMap;

use super::*;
use crate::mapping::{AwsAuth, Object, ObjectSpec, Objects};

const SAVED_AT: &str = "2026-01-01T00:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn last_good(folder: &Path) -> LastGood {
    LastGood { folder: folder.to_owned(), cluster_id: "c".to_owned(), max_age: Duration::from_hours(24) }
}

fn path(last_good: &LastGood) -> PathBuf {
    last_good.path::<Snapshot>()
}

fn read(last_good: &LastGood, now: &str) -> Result<Option<Saved<Snapshot>>, LastGoodError> {
    last_good.read(time(now))
}

fn snapshot() -> Arc<Snapshot> {
    let data = BTreeMap::from([("mapAccounts".to_owned(), "['111122223333']".to_owned())]);
    Arc::new(Snapshot::update(None, &AwsAuth::from(data)).0)
}

fn saved(folder: &Path) -> LastGood {
    let last_good = last_good(folder);
    write(&path(&last_good), &*snapshot(), "c", time(SAVED_AT)).unwrap();
    last_good
}

#[test]
fn it_is_read_again_by_its_owner_while_it_is_not_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let last_good = saved(folder.path());
    let mode = fs::metadata(path(&last_good)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for now in ["2026-01-02T00:00:00Z", "2025-12-31T23:55:00Z"] {
        let saved = read(&last_good, now).unwrap().unwrap();
        assert_eq!((saved.content.index().len(), saved.confirmed_at), (1, time(SAVED_AT)));
    }
    let error = read(&last_good, "2026-01-02T00:00:01Z").unwrap_err();
    assert!(matches!(error, LastGoodError::TooOld { hours: 24, max_hours: 24 }), "{error}");
    let error = read(&last_good, "2025-12-31T23:54:59Z").unwrap_err();
    assert!(error.to_string().contains("in force at 2026-01-01T00:00:00Z, which is more than 5"), "{error}");
}

#[test]
fn what_is_not_there_is_nothing_and_what_others_may_write_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(&last_good(folder.path()), SAVED_AT).unwrap().is_none());
    let last_good = saved(folder.path());
    fs::set_permissions(path(&last_good), fs::Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(read(&last_good, SAVED_AT), Err(LastGoodError::Permissions)));
    fs::remove_file(path(&last_good)).unwrap();
    fs::create_dir(path(&last_good)).unwrap();
    assert!(read(&last_good, SAVED_AT).is_err());
}

#[test]
fn what_another_user_has_written_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let last_good = saved(folder.path());
    let own = fs::metadata(path(&last_good)).unwrap().uid();
    assert_eq!(own_user().unwrap(), own);
    assert!(check_owner(own, own).is_ok() && check_owner(0, 1000).is_ok());
    assert!(matches!(check_owner(1001, 1000), Err(LastGoodError::Owner { owner: 1001, own: 1000 })));
    // Only root can give a file away.
    if std::os::unix::fs::chown(path(&last_good), Some(own + 1), None).is_ok() {
        let error = read(&last_good, SAVED_AT).unwrap_err();
        assert!(matches!(error, LastGoodError::Owner { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_latest_is_written_and_a_failure_is_counted_and_made_good() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let last_good = last_good(&folder.path().join("later"));
    let mut keeper = last_good.clone().keeper(metrics.clone());
    keeper.keep(snapshot(), time(SAVED_AT));
    let figure = |name: &str| {
        let text = String::from_utf8(metrics.render(time(SAVED_AT)).unwrap().0).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    while figure("aws_iam_authenticator_snapshot_write_failures_total").as_deref() != Some("1") {
        tokio::task::yield_now().await;
    }
    assert_eq!(figure("aws_iam_authenticator_snapshot_age_seconds{backend=\"EKSConfigMap\"}"), None);
    fs::create_dir(folder.path().join("later")).unwrap();
    keeper.keep(snapshot(), time(SAVED_AT));
    while figure("aws_iam_authenticator_snapshot_age_seconds{backend=\"EKSConfigMap\"}").as_deref()
        != Some("0")
    {
        tokio::task::yield_now().await;
    }
    assert!(read(&last_good, SAVED_AT).unwrap().is_some());
}
#[test]
fn what_is_too_long_takes_the_place_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let last_good = last_good(folder.path());
    let path = last_good.path::<ObjectRecords>();
    let mut objects = Objects::default();
    write(&path, &objects.records(), "c", time(SAVED_AT)).unwrap();
    let spec = ObjectSpec {
        arn: "arn:aws:iam::111122223333:role/A".to_owned(),
        username: "a".to_owned(),
        groups: vec!["x".repeat(ObjectRecords::MAX_LEN)],
    };
    objects.apply(Object { name: "a".into(), uid: None, created: None, spec: Ok(spec) });
    for _ in 0..2 {
        let refused = write(&path, &objects.records(), "c", time(SAVED_AT)).unwrap_err();
        assert!(matches!(refused, LastGoodError::Save(SaveError::TooLong(_))), "{refused}");
        assert!(!path.exists(), "what was kept before may map somebody whom nothing maps any more");
    }
}
