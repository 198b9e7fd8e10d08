//! The API server, arngate's rights there, the mappings, and the credentials for EC2 where mappings name instances.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

use super::{Check, Status, in_time};
use crate::{
    config::ServerSettings,
    ec2,
    mapping::{BackendMode, Severity},
    server,
    source::{
        self,
        look::{self, Instead, Looked},
    },
};

const API_SERVER: &str = "api server";
const RIGHTS: &str = "rights";
const MAPPINGS: &str = "mappings";
const EC2: &str = "ec2 credentials";

/// A right that arngate makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    /// The backend that wants it.
    backend: BackendMode,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    /// The one object that it is about.
    name: Option<&'static str>,
    namespace: Option<&'static str>,
    /// What is lost without it; nothing where the backend does not work at all.
    lost: Option<&'static str>,
}

/// What `deploy/rbac` and `deploy/crd` grant.
const ALL: [Right; 6] = [
    Right::of_config_map("list"),
    Right::of_config_map("watch"),
    Right {
        backend: BackendMode::EksConfigMap,
        verb: "create",
        group: "",
        resource: "events",
        subresource: None,
        name: None,
        namespace: Some("kube-system"),
        lost: Some("what is wrong in aws-auth is not told by events"),
    },
    Right::of_identity_mappings("list", None, None),
    Right::of_identity_mappings("watch", None, None),
    Right::of_identity_mappings("patch", Some("status"), Some("status.canonicalARN is not kept")),
];

impl Right {
    const fn of_config_map(verb: &'static str) -> Self {
        Self {
            backend: BackendMode::EksConfigMap,
            verb,
            group: "",
            resource: "configmaps",
            subresource: None,
            name: Some("aws-auth"),
            namespace: Some("kube-system"),
            lost: None,
        }
    }

    const fn of_identity_mappings(
        verb: &'static str,
        subresource: Option<&'static str>,
        lost: Option<&'static str>,
    ) -> Self {
        Self {
            backend: BackendMode::Crd,
            verb,
            group: "iamauthenticator.k8s.aws",
            resource: "iamidentitymappings",
            subresource,
            name: None,
            namespace: None,
            lost,
        }
    }

    /// What to do where it is not granted.
    const fn advice(&self) -> &'static str {
        match self.backend {
            BackendMode::Crd => {
                "kubectl apply -f deploy/crd/rbac.yaml, and have arngate be the service account that it binds"
            }
            _ => {
                "kubectl apply -f deploy/rbac/rbac.yaml, and have arngate be the service account that it makes"
            }
        }
    }

    fn words(&self) -> String {
        let Self { verb, resource, subresource, name, namespace, .. } = self;
        let subresource = subresource.map(|subresource| format!("/{subresource}")).unwrap_or_default();
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        let namespace = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{verb} {resource}{subresource}{name}{namespace}")
    }

    /// Whether the API server would allow it.
    async fn is_granted(&self, client: &Client) -> Result<bool, kube::Error> {
        let text = |text: &str| Some(text.to_owned());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: text(self.verb),
                    group: text(self.group),
                    resource: text(self.resource),
                    subresource: self.subresource.and_then(text),
                    name: self.name.and_then(text),
                    namespace: self.namespace.and_then(text),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Looks at what the backends `modes` need.
pub(super) async fn examine(
    settings: &ServerSettings,
    modes: &[BackendMode],
    within: Duration,
) -> Vec<Check> {
    let of_cluster = [BackendMode::EksConfigMap, BackendMode::Crd];
    let needed: Vec<BackendMode> = modes.iter().copied().filter(|mode| of_cluster.contains(mode)).collect();
    let (mut checks, is_reached) = if needed.is_empty() {
        let why = "not needed: no backend of these is the cluster's";
        (vec![Check::skip(API_SERVER, why), Check::skip(RIGHTS, why)], true)
    } else {
        api_server(settings, &needed, within).await
    };
    // What cannot be reached by the server's own way is not looked at by another.
    let readable: Vec<BackendMode> =
        modes.iter().copied().filter(|mode| is_reached || !needed.contains(mode)).collect();
    let looked = async {
        let Looked { chain, places } =
            look::look(&server::backend_settings(settings), &readable, Instead::default()).await;
        let mut checks: Vec<Check> = places.iter().zip(chain.states()).map(mappings).collect();
        let snapshots = places.iter().filter_map(|place| chain.snapshot(place.backend));
        let named = snapshots.into_iter().any(|snapshot| snapshot.index().names_instances());
        checks.push(credentials(settings, named).await);
        checks
    };
    checks.extend(Box::pin(in_time(MAPPINGS, within, looked)).await);
    checks
}

/// Whether the API server answers, and what it allows.
async fn api_server(
    settings: &ServerSettings,
    needed: &[BackendMode],
    within: Duration,
) -> (Vec<Check>, bool) {
    const ADVICE: &str = "set server.kubeconfig to one that reaches it, or run arngate in a pod with a service account; \
                          before the API server's first start there is nothing to mend";
    let skipped = || Check::skip(RIGHTS, "the API server was not reached");
    let client = source::client(settings.kubeconfig.as_deref(), settings.master.as_deref(), within).await;
    let client = match client {
        Ok(client) => client,
        Err(error) => return (vec![Check::fail(API_SERVER, error.to_string(), ADVICE), skipped()], false),
    };
    let reached = async {
        let check = match client.apiserver_version().await {
            Ok(version) => {
                Check::ok(API_SERVER, format!("answers, and is Kubernetes {}", version.git_version))
            }
            Err(error) => Check::fail(API_SERVER, format!("does not answer: {error}"), ADVICE),
        };
        vec![check]
    };
    let mut checks = in_time(API_SERVER, within, reached).await;
    if checks.iter().any(|check| check.status == Status::Fail) {
        checks.push(skipped());
        return (checks, false);
    }
    checks.extend(in_time(RIGHTS, within, rights(&client, needed)).await);
    (checks, true)
}

async fn rights(client: &Client, needed: &[BackendMode]) -> Vec<Check> {
    let (mut granted, mut checks) = (Vec::new(), Vec::new());
    for right in ALL.iter().filter(|right| needed.contains(&right.backend)) {
        match (right.is_granted(client).await, right.lost) {
            (Ok(true), _) => granted.push(right.words()),
            (Ok(false), None) => {
                checks.push(Check::fail(RIGHTS, format!("may not {}", right.words()), right.advice()));
            }
            (Ok(false), Some(lost)) => {
                checks.push(Check::warn(
                    RIGHTS,
                    format!("may not {}: {lost}", right.words()),
                    right.advice(),
                ));
            }
            (Err(error), _) => {
                let why = format!("cannot ask whether it may {}: {error}", right.words());
                checks.push(Check::fail(RIGHTS, why, "see that its credentials are good"));
            }
        }
    }
    if !granted.is_empty() {
        checks.insert(0, Check::ok(RIGHTS, format!("may {}", granted.join(", "))));
    }
    checks
}

/// Whether a backend's mappings can be read.
fn mappings((place, state): (&look::Place, crate::mapping::BackendState)) -> Check {
    let (backend, location) = (place.backend, &place.location);
    let head = format!("{backend} ({location})");
    if let Some(error) = &place.error {
        return Check::fail(MAPPINGS, format!("{head}: {error}"), "");
    }
    let errors = place.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let mapped = state.mappings;
    let notes: String = place.notes.iter().flat_map(|note| ["; ", note.as_str()]).collect();
    if errors > 0 {
        let advice =
            format!("`arngate explain` with the same file and flags tells each; {backend} is not as meant");
        return Check::warn(
            MAPPINGS,
            format!("{head}: {mapped} mapped, with {errors} told as wrong{notes}"),
            advice,
        );
    }
    let found = format!("{head}: {mapped} mapped{notes}");
    if mapped == 0 {
        Check::warn(MAPPINGS, found, "nobody is let in by it so far")
    } else {
        Check::ok(MAPPINGS, found)
    }
}

/// Whether there are credentials by which EC2 can be asked for instances' names, where mappings name instances.
async fn credentials(settings: &ServerSettings, named: bool) -> Check {
    if !named {
        return Check::skip(EC2, "not needed: no mapping has {{EC2PrivateDNSName}}");
    }
    match ec2::find_credentials(settings.ec2.clone()).await {
        Ok(url) => Check::ok(EC2, format!("found; EC2 is asked at {url}")),
        Err(error) => Check::fail(
            EC2,
            format!("mappings have {{{{EC2PrivateDNSName}}}}, and EC2 cannot be asked: {error}"),
            "give this machine an instance profile, or AWS_ACCESS_KEY_ID and its like, that may call \
             ec2:DescribeInstances, and a region",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Limits, Node};

    /// The rights that a manifest grants, in words.
    fn granted(text: &'static str) -> Vec<String> {
        let documents =
            text.split("\n---\n").filter_map(|text| yaml::parse(text, Limits::default()).unwrap());
        let texts = |node: Option<&Node>| -> Vec<String> {
            let Some(yaml::Value::Sequence(items)) = node.map(|node| &node.value) else { return Vec::new() };
            items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        let mut all = Vec::new();
        for document in documents {
            let Some(yaml::Value::Sequence(rules)) = document.get("rules").map(|rules| &rules.value) else {
                continue;
            };
            let namespace = document.get("metadata").and_then(|metadata| metadata.get("namespace"));
            let namespace =
                namespace.map(|node| format!(" in {}", node.as_str().unwrap())).unwrap_or_default();
            for rule in rules {
                let names = texts(rule.get("resourceNames"));
                let names = if names.is_empty() { vec![String::new()] } else { names };
                for (verb, resource) in texts(rule.get("verbs"))
                    .iter()
                    .flat_map(|verb| texts(rule.get("resources")).into_iter().map(move |what| (verb, what)))
                {
                    for name in &names {
                        let name = if name.is_empty() { String::new() } else { format!(" {name}") };
                        all.push(format!("{verb} {resource}{name}{namespace}"));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn what_is_asked_about_is_what_the_manifests_grant() {
        let asked: Vec<_> = ALL.iter().map(Right::words).collect();
        let manifests =
            [include_str!("../../deploy/rbac/rbac.yaml"), include_str!("../../deploy/crd/rbac.yaml")];
        assert_eq!(asked, manifests.map(granted).concat());
    }
}
