//! A service's Role and RoleBinding in the cluster: read, and written where something is missing.

use std::fmt::Debug;

use http::StatusCode;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AwsService, Namespace,
    aws_auth::{MAX_TRIES, REQUEST_TIMEOUT, waits},
    rbac,
};

/// An object that has to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbacChange {
    /// Which: `role/NAME in NAMESPACE`.
    pub object: String,
    /// The object as it is, as YAML; none where there is none.
    pub before: Option<String>,
    /// The object as it would be.
    pub after: String,
}

/// Why a service has not got its rights.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccessError {
    /// The API server refuses, or is not reached.
    #[error("cannot {what} {object}: {source}")]
    Kubernetes {
        /// What was tried.
        what: &'static str,
        /// With which object.
        object: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// It does not answer.
    #[error("cannot {what} {object}: no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// What was tried.
        what: &'static str,
        /// With which object.
        object: String,
    },
    /// There is no such namespace.
    #[error("there is no namespace {0}; make it first: kubectl create namespace {0}")]
    NoNamespace(Namespace),
    /// Others write all the time.
    #[error("others have written {object} in each of {MAX_TRIES} tries: try again")]
    Conflict {
        /// Which object.
        object: String,
    },
    /// The RoleBinding is another's.
    #[error(
        "{object} binds {role}, and Kubernetes lets nobody change that; where nothing needs it, delete it and try again: \
         kubectl delete -n {namespace} rolebinding {name}"
    )]
    OtherRole {
        /// Which object.
        object: String,
        /// What it binds.
        role: String,
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        name: &'static str,
    },
    /// The object cannot be shown.
    #[error("cannot write {object} as YAML: {source}")]
    Yaml {
        /// Which object.
        object: String,
        /// Why not.
        source: Box<serde_saphyr::ser::Error>,
    },
}

/// The rights of a service in a namespace.
#[derive(Debug, Clone)]
pub struct ServiceAccess {
    service: AwsService,
    namespace: Namespace,
    roles: Api<Role>,
    bindings: Api<RoleBinding>,
}

impl ServiceAccess {
    /// Those of `service` in `namespace`, by this client.
    #[must_use]
    pub fn new(client: kube::Client, service: AwsService, namespace: Namespace) -> Self {
        let roles = Api::namespaced(client.clone(), namespace.as_str());
        let bindings = Api::namespaced(client, namespace.as_str());
        Self { service, namespace, roles, bindings }
    }

    /// What has to be written; empty where the service has its rights.
    ///
    /// # Errors
    /// See [`ServiceAccessError`].
    pub async fn changes(&self) -> Result<Vec<RbacChange>, ServiceAccessError> {
        let role = self.get(&self.roles).await?;
        let binding = self.get(&self.bindings).await?;
        let mut changes = Vec::new();
        if let Some(after) = self.role(role.as_ref())? {
            changes.push(self.change(role, after)?);
        }
        if let Some(after) = self.binding(binding.as_ref())? {
            changes.push(self.change(binding, after)?);
        }
        Ok(changes)
    }

    /// Has the API server say whether it would take the Role, and writes nothing. The RoleBinding cannot be tried
    /// before there is a Role.
    ///
    /// # Errors
    /// See [`ServiceAccessError`].
    pub async fn try_out(&self) -> Result<(), ServiceAccessError> {
        self.write(&self.roles, |found| self.role(found), true).await
    }

    /// Writes what is missing. Where somebody else writes in between, it is added to what is there then.
    ///
    /// # Errors
    /// See [`ServiceAccessError`].
    pub async fn grant(&self) -> Result<(), ServiceAccessError> {
        self.write(&self.roles, |found| self.role(found), false).await?;
        self.write(&self.bindings, |found| self.binding(found), false).await
    }

    #[expect(clippy::unnecessary_wraps, reason = "as `binding`, so that `write` takes both")]
    fn role(&self, found: Option<&Role>) -> Result<Option<Role>, ServiceAccessError> {
        Ok(rbac::role(self.service, &self.namespace, found))
    }

    fn binding(&self, found: Option<&RoleBinding>) -> Result<Option<RoleBinding>, ServiceAccessError> {
        rbac::binding(self.service, &self.namespace, found).map_err(|role| ServiceAccessError::OtherRole {
            object: self.object::<RoleBinding>(),
            role: format!("{}/{}", role.kind.to_ascii_lowercase(), role.name),
            namespace: self.namespace.clone(),
            name: self.service.name(),
        })
    }

    fn object<K: Resource<DynamicType = ()>>(&self) -> String {
        let kind = K::kind(&()).to_ascii_lowercase();
        format!("{kind}/{} in {}", self.service.name(), self.namespace)
    }

    fn change<K: Object>(&self, before: Option<K>, after: K) -> Result<RbacChange, ServiceAccessError> {
        let yaml = |mut object: K| {
            // Versions and managed fields change with each write, and say nothing to whoever reads the diff.
            *object.meta_mut() = ObjectMeta {
                name: Some(object.name_any()),
                namespace: object.namespace(),
                ..ObjectMeta::default()
            };
            serde_saphyr::to_string(&object).map_err(|source| ServiceAccessError::Yaml {
                object: self.object::<K>(),
                source: Box::new(source),
            })
        };
        Ok(RbacChange {
            object: self.object::<K>(),
            before: before.map(yaml).transpose()?,
            after: yaml(after)?,
        })
    }

    async fn get<K: Object>(&self, api: &Api<K>) -> Result<Option<K>, ServiceAccessError> {
        let found = self.within::<K, _>("read", api.get_opt(self.service.name())).await?;
        found.map_err(|error| self.failed::<K>("read", error))
    }

    async fn write<K: Object>(
        &self,
        api: &Api<K>,
        wanted: impl Fn(Option<&K>) -> Result<Option<K>, ServiceAccessError>,
        dry_run: bool,
    ) -> Result<(), ServiceAccessError> {
        let params = PostParams { dry_run, field_manager: Some("arngate".to_owned()) };
        let mut waits = waits();
        loop {
            let found = self.get(api).await?;
            let exists = found.is_some();
            let Some(object) = wanted(found.as_ref())? else { return Ok(()) };
            // The resource version says what was read.
            let written = if exists {
                self.within::<K, _>("write", api.replace(self.service.name(), &params, &object)).await?
            } else {
                self.within::<K, _>("write", api.create(&params, &object)).await?
            };
            match written {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND.as_u16() && !exists => {
                    return Err(ServiceAccessError::NoNamespace(self.namespace.clone()));
                }
                // It was written, made, or taken away meanwhile.
                Err(kube::Error::Api(status))
                    if [StatusCode::CONFLICT, StatusCode::NOT_FOUND]
                        .iter()
                        .any(|code| status.code == code.as_u16()) => {}
                Err(error) => return Err(self.failed::<K>("write", error)),
            }
            let Some(wait) = waits.next() else { break };
            tokio::time::sleep(wait).await;
        }
        Err(ServiceAccessError::Conflict { object: self.object::<K>() })
    }

    async fn within<K: Object, T>(
        &self,
        what: &'static str,
        request: impl Future<Output = T>,
    ) -> Result<T, ServiceAccessError> {
        tokio::time::timeout(REQUEST_TIMEOUT, request)
            .await
            .map_err(|_| ServiceAccessError::Timeout { what, object: self.object::<K>() })
    }

    fn failed<K: Object>(&self, what: &'static str, source: kube::Error) -> ServiceAccessError {
        ServiceAccessError::Kubernetes { what, object: self.object::<K>(), source: Box::new(source) }
    }
}

/// What the API's requests want of a kind.
trait Object: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned> Object for K {}
