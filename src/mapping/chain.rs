use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;

use super::{Explained, Figures, Match, Origin, RenderError, Snapshot};
use crate::identity::Identity;

/// A kind of place where mappings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendMode {
    /// `MountedFile`: the configuration file.
    MountedFile,
    /// `EKSConfigMap`: `configmap/aws-auth` in `kube-system`.
    EksConfigMap,
    /// `CRD`: the cluster's IAMIdentityMapping objects.
    Crd,
    /// `DynamicFile`: a JSON file that is read anew when it changes.
    DynamicFile,
    /// `AdminPrincipals`: the principals that `server.adminPrincipals` names. It is asked before all others, and is
    /// none that a configuration could name.
    AdminPrincipals,
}

/// A text that names no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such backend, or none that this version serves; want MountedFile, EKSConfigMap, CRD or DynamicFile"
)]
pub struct UnknownBackendMode;

impl BackendMode {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MountedFile => "MountedFile",
            Self::EksConfigMap => "EKSConfigMap",
            Self::Crd => "CRD",
            Self::DynamicFile => "DynamicFile",
            Self::AdminPrincipals => "AdminPrincipals",
        }
    }

    /// A backend of this kind that has not loaded yet, and what loads it.
    #[must_use]
    pub fn backend(self) -> (Backend, Publisher) {
        let slot = Arc::new(ArcSwapOption::empty());
        (
            Backend {
                mode: self,
                slot: Arc::clone(&slot),
                reserved: Box::default(),
                permission_sets: true,
                overdue: Arc::default(),
            },
            Publisher(slot),
        )
    }
}

impl FromStr for BackendMode {
    type Err = UnknownBackendMode;

    /// Takes the names, and those that they had before.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "MountedFile" | "File" => Ok(Self::MountedFile),
            "EKSConfigMap" | "ConfigMap" => Ok(Self::EksConfigMap),
            "CRD" => Ok(Self::Crd),
            "DynamicFile" => Ok(Self::DynamicFile),
            _ => Err(UnknownBackendMode),
        }
    }
}

impl fmt::Display for BackendMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

type Slot = Arc<ArcSwapOption<Published>>;

/// What a backend has in force.
#[derive(Debug)]
struct Published {
    snapshot: Arc<Snapshot>,
    standing: Standing,
}

/// What a backend's mappings stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There are none yet.
    NotLoaded,
    /// They are what their source held last.
    Loaded,
    /// They are what an earlier run saw last: whom they map is mapped, and of anybody else nothing is known yet.
    Restored {
        /// When the source was last known to hold them.
        confirmed_at: Timestamp,
    },
}

/// How a backend stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendState {
    /// Which backend.
    pub backend: BackendMode,
    /// What its mappings stand on.
    pub standing: Standing,
    /// How many subjects are mapped.
    pub mappings: usize,
    /// What the last update came to.
    pub figures: Figures,
}

/// A place where mappings are kept, as look-ups see it. Clones see the same mappings.
#[derive(Debug, Clone)]
pub struct Backend {
    mode: BackendMode,
    slot: Slot,
    /// Beginnings of usernames that it may not give; none is empty.
    reserved: Box<[Box<str>]>,
    /// Whether its permission sets match anybody.
    permission_sets: bool,
    /// It has had its time to load: those after it are asked without it.
    overdue: Arc<AtomicBool>,
}

impl Backend {
    /// Which kind it is of.
    #[must_use]
    pub const fn mode(&self) -> BackendMode {
        self.mode
    }

    /// Whether it has loaded its mappings.
    #[must_use]
    pub fn has_loaded(&self) -> bool {
        self.state().standing == Standing::Loaded
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> BackendState {
        let published = self.slot.load();
        let (standing, mappings, figures) = match published.as_deref() {
            Some(Published { snapshot, standing }) => (*standing, snapshot.index().len(), snapshot.figures()),
            None => (Standing::NotLoaded, 0, Figures::default()),
        };
        BackendState { backend: self.mode, standing, mappings, figures }
    }

    /// The same backend, which may give no username that begins with one of `prefixes`. An empty one reserves
    /// nothing, as today.
    #[must_use]
    pub fn reserving(self, prefixes: &[String]) -> Self {
        let reserved =
            prefixes.iter().filter(|prefix| !prefix.is_empty()).map(|prefix| prefix.as_str().into());
        Self { reserved: reserved.collect(), ..self }
    }

    /// Has it hold up the backends after it no longer, where it has not loaded: whom they map is let in, as today. Of
    /// whom none of them maps there is no verdict still.
    pub fn stop_waiting(&self) {
        self.overdue.store(true, Ordering::Relaxed);
    }

    /// The same backend, whose permission sets match somebody or not.
    #[must_use]
    pub fn matching_permission_sets(self, permission_sets: bool) -> Self {
        Self { permission_sets, ..self }
    }

    /// Whether its permission sets match somebody.
    pub(super) const fn permission_sets_match(&self) -> bool {
        self.permission_sets
    }

    /// What it has in force; `None` where it has loaded nothing.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.slot.load().as_ref().map(|published| Arc::clone(&published.snapshot))
    }

    /// What matches `identity` in `snapshot`, which is its own.
    pub(super) fn look_up<'a>(&self, snapshot: &'a Snapshot, identity: &Identity) -> Option<Match<'a>> {
        if self.permission_sets {
            snapshot.index().look_up(identity)
        } else {
            snapshot.index().look_up_without_permission_sets(identity)
        }
    }

    /// The beginning of `username` that it may not give.
    pub(super) fn reserved_beginning(&self, username: &str) -> Option<&str> {
        self.reserved.iter().map(|prefix| &**prefix).find(|prefix| username.starts_with(prefix))
    }

    /// What `found` gives `identity` here.
    fn give(&self, found: Match<'_>, identity: &Identity, instance_name: Option<&str>) -> Mapped {
        match found.render(identity, instance_name) {
            // After rendering, so that no placeholder smuggles a prefix in.
            Ok((username, _)) if self.reserved_beginning(&username).is_some() => Mapped::Reserved(self.mode),
            Ok((username, groups)) => {
                let origin = found.origin().clone();
                Mapped::Found(MappedUser { username, groups, backend: self.mode, origin })
            }
            Err(RenderError::NoInstanceName) => Mapped::WantsInstanceName,
        }
    }
}

/// The other end of a [`Backend`]: what its source publishes by.
#[derive(Debug)]
pub struct Publisher(Slot);

impl Publisher {
    /// Puts a snapshot in force, at once and whole.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.0.store(Some(Arc::new(Published { snapshot, standing: Standing::Loaded })));
    }

    /// Puts in force what an earlier run saw last, at `confirmed_at`, until the source has been read.
    pub fn publish_restored(&self, snapshot: Arc<Snapshot>, confirmed_at: Timestamp) {
        let standing = Standing::Restored { confirmed_at };
        self.0.store(Some(Arc::new(Published { snapshot, standing })));
    }
}

/// The backends in their order.
#[derive(Debug)]
pub struct Chain(Vec<Backend>);

/// The chain in force, which may be another one at any moment. A request takes it once, and is answered by it.
#[derive(Debug)]
pub struct CurrentChain(ArcSwap<Chain>);

impl CurrentChain {
    /// Puts `chain` in force.
    #[must_use]
    pub fn new(chain: Chain) -> Self {
        Self(ArcSwap::from_pointee(chain))
    }

    /// The chain in force.
    #[must_use]
    pub fn get(&self) -> Arc<Chain> {
        self.0.load_full()
    }

    /// Puts `chain` in force instead, at once and whole.
    pub fn replace(&self, chain: Chain) {
        self.0.store(Arc::new(chain));
    }
}

/// What the chain says of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapped {
    /// It is this user.
    Found(MappedUser),
    /// Every backend has loaded, and none maps it.
    NotMapped,
    /// This backend has not loaded yet, and none before it maps the identity, nor, where it is overdue, one after it:
    /// there is no verdict.
    NotLoaded(BackendMode),
    /// What matches names the caller's instance, whose private DNS name was not given.
    WantsInstanceName,
    /// What matches gives a username that is reserved from this backend.
    Reserved(BackendMode),
}

impl Mapped {
    /// The user that it is.
    #[must_use]
    pub fn found(self) -> Option<MappedUser> {
        if let Self::Found(user) = self { Some(user) } else { None }
    }
}

/// A Kubernetes user, and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedUser {
    /// The username.
    pub username: String,
    /// The groups, in order.
    pub groups: Vec<String>,
    /// Which backend matched.
    pub backend: BackendMode,
    /// Which of its entries.
    pub origin: Origin,
}

impl Chain {
    /// The backends, first match first.
    #[must_use]
    pub const fn new(backends: Vec<Backend>) -> Self {
        Self(backends)
    }

    /// How each backend stands.
    pub fn states(&self) -> impl Iterator<Item = BackendState> + '_ {
        self.0.iter().map(Backend::state)
    }

    /// What the backend `mode` has in force; `None` where it has loaded nothing, or is none of them.
    #[must_use]
    pub fn snapshot(&self, mode: BackendMode) -> Option<Arc<Snapshot>> {
        self.0.iter().find(|backend| backend.mode == mode)?.snapshot()
    }

    /// What each backend says of `identity`, by the same look-up as [`Self::map_instance`], whether it comes to be asked
    /// or not.
    #[must_use]
    pub fn explain(&self, identity: &Identity, instance_name: Option<&str>) -> Vec<Explained> {
        self.0.iter().map(|backend| Explained::new(backend, identity, instance_name)).collect()
    }

    /// Who `identity` is. Within a backend, entries come before accounts; the first backend that matches wins.
    #[must_use]
    pub fn map(&self, identity: &Identity) -> Mapped {
        self.map_instance(identity, None)
    }

    /// Who `identity` is, whose instance has the private DNS name `instance_name`.
    #[must_use]
    pub fn map_instance(&self, identity: &Identity, instance_name: Option<&str>) -> Mapped {
        let mut waiting = None;
        for backend in &self.0 {
            let published = backend.slot.load();
            let published = published.as_deref();
            let found = published.and_then(|published| backend.look_up(&published.snapshot, identity));
            let Some(found) = found else {
                let has_loaded = published.is_some_and(|published| published.standing == Standing::Loaded);
                if !has_loaded && !backend.overdue.load(Ordering::Relaxed) {
                    return Mapped::NotLoaded(backend.mode);
                }
                if !has_loaded {
                    waiting = waiting.or(Some(backend.mode));
                }
                continue;
            };
            return backend.give(found, identity, instance_name);
        }
        waiting.map_or(Mapped::NotMapped, Mapped::NotLoaded)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::identity::Partition;

    fn identity(arn: &str) -> Identity {
        let user_id = if arn.contains(":assumed-role/") { "AROAEXAMPLE:s" } else { "AIDAEXAMPLE" };
        Identity::new(Partition::Aws, arn, "111122223333".parse().unwrap(), user_id, "AKIAEXAMPLE").unwrap()
    }

    fn snapshot(section: &str, text: &str) -> Arc<Snapshot> {
        let data = BTreeMap::from([(section.to_owned(), text.to_owned())]);
        let (snapshot, diagnostics) = Snapshot::update(None, &data.into());
        assert_eq!(diagnostics, []);
        Arc::new(snapshot)
    }

    fn username(mapped: &Mapped) -> &str {
        if let Mapped::Found(user) = mapped { &user.username } else { panic!("{mapped:?}") }
    }

    const BOB: &str = "arn:aws:iam::111122223333:user/bob";
    const CAROL: &str = "arn:aws:iam::111122223333:user/carol";

    #[test]
    fn the_first_backend_that_matches_wins() {
        let (first, first_source) = BackendMode::EksConfigMap.backend();
        let (second, second_source) = BackendMode::MountedFile.backend();
        let chain = Chain::new(vec![first, second]);
        second_source.publish(snapshot(
            "mapUsers",
            &format!("[{{userarn: {BOB}, username: second}}, {{userarn: {CAROL}, username: carol}}]"),
        ));
        assert_eq!(chain.map(&identity(BOB)), Mapped::NotLoaded(BackendMode::EksConfigMap));
        let standings: Vec<_> = chain.states().map(|state| state.standing).collect();
        assert_eq!(standings, [Standing::NotLoaded, Standing::Loaded]);

        first_source.publish(snapshot("mapUsers", &format!("[{{userarn: {BOB}, username: first}}]")));
        assert_eq!(username(&chain.map(&identity(BOB))), "first");
        assert_eq!(username(&chain.map(&identity(CAROL))), "carol");
        let nobody = identity("arn:aws:iam::111122223333:user/mallory");
        assert_eq!(chain.map(&nobody), Mapped::NotMapped);

        first_source.publish(Arc::new(Snapshot::empty()));
        assert_eq!(username(&chain.map(&identity(BOB))), "second");
    }

    #[test]
    fn a_backend_that_is_overdue_holds_up_nobody_whom_one_after_it_maps() {
        let (first, first_source) = BackendMode::EksConfigMap.backend();
        let (second, second_source) = BackendMode::MountedFile.backend();
        let chain = Chain::new(vec![first.clone(), second]);
        second_source.publish(snapshot("mapUsers", &format!("[{{userarn: {BOB}, username: second}}]")));
        assert_eq!(chain.map(&identity(BOB)), Mapped::NotLoaded(BackendMode::EksConfigMap));
        first.stop_waiting();
        assert_eq!(username(&chain.map(&identity(BOB))), "second");
        assert_eq!(
            chain.map(&identity(CAROL)),
            Mapped::NotLoaded(BackendMode::EksConfigMap),
            "it may map her"
        );

        first_source.publish(snapshot("mapUsers", &format!("[{{userarn: {BOB}, username: first}}]")));
        assert_eq!(username(&chain.map(&identity(BOB))), "first", "it is never too late");
        assert_eq!(chain.map(&identity(CAROL)), Mapped::NotMapped);
    }

    #[test]
    fn a_match_before_a_backend_that_has_not_loaded_is_a_verdict() {
        let (first, first_source) = BackendMode::MountedFile.backend();
        let (second, _source) = BackendMode::EksConfigMap.backend();
        let chain = Chain::new(vec![first, second]);
        first_source.publish(snapshot("mapUsers", &format!("[{{userarn: {BOB}, username: bob}}]")));
        assert_eq!(username(&chain.map(&identity(BOB))), "bob");
        assert_eq!(chain.map(&identity(CAROL)), Mapped::NotLoaded(BackendMode::EksConfigMap));
    }

    #[test]
    fn what_an_earlier_run_saw_maps_those_whom_it_names_and_denies_nobody() {
        let (first, first_source) = BackendMode::EksConfigMap.backend();
        let (second, second_source) = BackendMode::MountedFile.backend();
        let chain = Chain::new(vec![first, second]);
        let everybody = format!("[{{userarn: {CAROL}, username: carol}}]");
        second_source.publish(snapshot("mapUsers", &everybody));
        let bob = snapshot("mapUsers", &format!("[{{userarn: {BOB}, username: bob}}]"));
        first_source.publish_restored(Arc::clone(&bob), Timestamp::UNIX_EPOCH);
        assert_eq!(username(&chain.map(&identity(BOB))), "bob");
        let not_loaded = Mapped::NotLoaded(BackendMode::EksConfigMap);
        assert_eq!(chain.map(&identity(CAROL)), not_loaded, "the first backend may map her by now");
        assert_eq!(chain.map(&identity("arn:aws:iam::111122223333:user/mallory")), not_loaded);
        first_source.publish(bob);
        assert_eq!(username(&chain.map(&identity(CAROL))), "carol");
    }

    #[test]
    fn an_account_maps_all_that_no_entry_of_the_backend_does() {
        let (backend, source) = BackendMode::MountedFile.backend();
        let chain = Chain::new(vec![backend]);
        source.publish(snapshot("mapAccounts", "['111122223333']"));
        let role = identity("arn:aws:sts::111122223333:assumed-role/R/s");
        let Mapped::Found(user) = chain.map(&role) else { panic!("not found") };
        assert_eq!((user.username.as_str(), user.groups.len()), ("arn:aws:iam::111122223333:role/R", 0));
        assert_eq!(user.origin.to_string(), "mapAccounts entry 1 (line 1)");
    }

    #[test]
    fn a_reserved_username_is_refused_whatever_gives_it() {
        let (backend, source) = BackendMode::MountedFile.backend();
        let reserved = [String::new(), "system:".to_owned(), "arn:aws:iam::111122223333:user/c".to_owned()];
        let chain = Chain::new(vec![backend.reserving(&reserved)]);
        let entries = format!("[{{userarn: {BOB}, username: 'system:x'}}]");
        let data = [("mapUsers", entries.as_str()), ("mapAccounts", "['111122223333']")];
        let data = data.map(|(key, value)| (key.to_owned(), value.to_owned()));
        source.publish(Arc::new(Snapshot::update(None, &BTreeMap::from(data).into()).0));
        assert_eq!(chain.map(&identity(BOB)), Mapped::Reserved(BackendMode::MountedFile));
        assert_eq!(chain.map(&identity(CAROL)), Mapped::Reserved(BackendMode::MountedFile), "by its account");
        let dora = "arn:aws:iam::111122223333:user/dora";
        assert_eq!(username(&chain.map(&identity(dora))), dora);
    }

    #[test]
    fn an_entry_that_names_the_instance_wants_its_name_and_is_held_to_the_reserved_ones() {
        let (backend, source) = BackendMode::MountedFile.backend();
        let chain = Chain::new(vec![backend.reserving(&["node:ip-10-0-0-1".to_owned()])]);
        let entry = |groups| {
            let role = "arn:aws:iam::111122223333:role/R";
            format!("[{{rolearn: {role}, username: 'node:{{{{EC2PrivateDNSName}}}}', groups: [{groups}]}}]")
        };
        source.publish(snapshot("mapRoles", &entry("'in:{{EC2PrivateDNSName}}'")));
        let role = identity("arn:aws:sts::111122223333:assumed-role/R/s");
        assert_eq!(chain.map(&role), Mapped::WantsInstanceName);
        let Mapped::Found(user) = chain.map_instance(&role, Some("ip-10-0-0-2")) else { panic!("not found") };
        assert_eq!(
            (user.username.as_str(), user.groups),
            ("node:ip-10-0-0-2", vec!["in:ip-10-0-0-2".to_owned()])
        );
        let reserved = chain.map_instance(&role, Some("ip-10-0-0-1.ec2.internal"));
        assert_eq!(reserved, Mapped::Reserved(BackendMode::MountedFile));
    }

    #[test]
    fn permission_sets_match_unless_they_are_switched_off() {
        let role = identity("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/s");
        for on in [true, false] {
            let (backend, source) = BackendMode::MountedFile.backend();
            let chain = Chain::new(vec![backend.matching_permission_sets(on)]);
            let entry = "[{sso: {permissionSetName: Ops, accountID: '111122223333'}, username: ops}]";
            source.publish(snapshot("mapRoles", entry));
            match chain.map(&role) {
                Mapped::Found(user) => assert!(on && user.username == "ops"),
                other => assert!(!on && other == Mapped::NotMapped, "{other:?}"),
            }
        }
    }

    #[test]
    fn the_old_names_are_taken() {
        for (name, mode) in [
            ("MountedFile", BackendMode::MountedFile),
            ("File", BackendMode::MountedFile),
            ("EKSConfigMap", BackendMode::EksConfigMap),
            ("ConfigMap", BackendMode::EksConfigMap),
            ("CRD", BackendMode::Crd),
            ("DynamicFile", BackendMode::DynamicFile),
        ] {
            assert_eq!(name.parse(), Ok(mode));
        }
        assert_eq!("Nothing".parse::<BackendMode>(), Err(UnknownBackendMode));
    }
}
