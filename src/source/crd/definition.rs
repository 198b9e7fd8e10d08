//! The kind IAMIdentityMapping, and its CustomResourceDefinition.
//!
//! Names, fields and validation are aws-iam-authenticator's, so that the definition can take the place of that
//! program's in a cluster, and the other way round, and objects stay as they are.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom an IAM principal is in this cluster.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "iamauthenticator.k8s.aws",
    version = "v1alpha1",
    kind = "IAMIdentityMapping",
    root = "IamIdentityMapping",
    singular = "iamidentitymapping",
    plural = "iamidentitymappings",
    category = "all",
    status = "IamIdentityMappingStatus",
    doc = "Makes an IAM principal a Kubernetes user.",
    printcolumn(name = "ARN", json_path = ".spec.arn", type_ = "string"),
    printcolumn(name = "Username", json_path = ".spec.username", type_ = "string"),
    printcolumn(name = "Groups", json_path = ".spec.groups", type_ = "string"),
    printcolumn(name = "Canonical ARN", json_path = ".status.canonicalARN", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[expect(clippy::duplicated_attributes, reason = "columns of one type")]
pub struct IamIdentityMappingSpec {
    /// The principal's ARN: a role's or user's, root's or a federated user's. It is matched without case, and a role's
    /// without its path.
    pub arn: String,
    /// The username, in which `{{AccountID}}`, `{{SessionName}}`, `{{SessionNameRaw}}`, `{{AccessKeyID}}` and
    /// `{{EC2PrivateDNSName}}` are filled in.
    pub username: String,
    /// The groups, in which the same is filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// What the authenticator has made of the spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IamIdentityMappingStatus {
    /// The ARN in lower case, that of an assumed role's session as the role's.
    #[serde(rename = "canonicalARN", default, skip_serializing_if = "Option::is_none")]
    pub canonical_arn: Option<String>,
    /// Not filled in by any authenticator so far.
    #[serde(rename = "userID", default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// The CustomResourceDefinition.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    let mut definition = IamIdentityMapping::crd();
    let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        // An object without spec is valid in clusters today, and may be changed there.
        schema.required = None;
        schema.title = None;
        forbid_null(schema);
    }
    definition
}

/// A field may be left out, but not be null, as today: with aws-iam-authenticator's definition in the place of this
/// one, an object with a null could not be changed any more.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(forbid_null);
}

/// The CustomResourceDefinition in YAML, as `deploy/crd/iamidentitymapping.yaml` has it.
///
/// # Errors
/// Where it cannot be written, which is a bug.
pub fn yaml() -> Result<String, serde_saphyr::ser::Error> {
    let text = serde_saphyr::to_string(&definition())?;
    Ok(format!(
        "# The kind of the backend CRD. Generated: `arngate crd`, or `make crd` in arngate's repository.\n{text}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_names_are_those_that_clusters_have() {
        let definition = serde_json::to_value(definition()).unwrap();
        assert_eq!(definition["metadata"]["name"], "iamidentitymappings.iamauthenticator.k8s.aws");
        let spec = &definition["spec"];
        assert_eq!((&spec["group"], &spec["scope"]), (&json!("iamauthenticator.k8s.aws"), &json!("Cluster")));
        let names = json!({
            "plural": "iamidentitymappings", "singular": "iamidentitymapping", "kind": "IAMIdentityMapping",
            "categories": ["all"],
        });
        assert_eq!(spec["names"], names);
        let version = &spec["versions"][0];
        assert_eq!(
            (&version["name"], &version["served"], &version["storage"], &version["subresources"]),
            (&json!("v1alpha1"), &json!(true), &json!(true), &json!({"status": {}}))
        );
    }

    /// Everything in `schema` that may make an object invalid, as `path: rule`.
    fn rules(path: &str, schema: &Value, into: &mut Vec<String>) {
        for (key, value) in schema.as_object().unwrap() {
            match key.as_str() {
                "description" => {}
                "properties" => {
                    for (name, schema) in value.as_object().unwrap() {
                        rules(&format!("{path}.{name}"), schema, into);
                    }
                }
                "items" => rules(&format!("{path}[]"), value, into),
                _ => into.push(format!("{path}: {key} {value}")),
            }
        }
    }

    #[test]
    fn the_validation_is_that_of_today() {
        let definition = serde_json::to_value(definition()).unwrap();
        let mut found = Vec::new();
        rules("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut found);
        found.sort();
        let known = [
            r#".spec.arn: type "string""#,
            r#".spec.groups: type "array""#,
            r#".spec.groups[]: type "string""#,
            r#".spec.username: type "string""#,
            r#".spec: required ["arn","username"]"#,
            r#".spec: type "object""#,
            r#".status.canonicalARN: type "string""#,
            r#".status.userID: type "string""#,
            r#".status: type "object""#,
            r#": type "object""#,
        ];
        assert_eq!(found, known);
    }
}
