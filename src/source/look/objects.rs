//! IAMIdentityMappings, of a cluster or a file.

use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Found, LookError, kept, restore, the_client, within};
use crate::{
    mapping::{Object, ObjectRecords, Objects, Publisher},
    source::{
        BackendSettings,
        crd::{self, definition::IamIdentityMapping},
    },
};

/// How many objects a page of the list has.
const PAGE: u32 = 500;

/// The cluster's objects, as they follow what a server has kept as last good.
pub(super) async fn in_cluster(
    settings: &BackendSettings,
    publisher: &Publisher,
    notes: &mut Vec<String>,
) -> Result<Found, LookError> {
    let saved = kept::<ObjectRecords>(settings, notes);
    match list(settings).await {
        Ok(Some(listed)) => {
            let mut objects = saved.map(|saved| Objects::from_records(saved.content)).unwrap_or_default();
            objects.replace(listed);
            Ok(Found::of_objects(&objects).noting_kept())
        }
        Ok(None) => Ok(Found::default().noting(
            "the cluster has no IAMIdentityMapping: apply deploy/crd/iamidentitymapping.yaml".to_owned(),
        )),
        Err(error) => {
            if let Some(saved) = saved {
                let (snapshot, _) = Objects::from_records(saved.content).snapshot();
                restore(snapshot, saved.confirmed_at, publisher, notes);
            }
            Err(error)
        }
    }
}

/// All objects; `None` where the cluster does not know the kind.
async fn list(settings: &BackendSettings) -> Result<Option<Vec<Object>>, LookError> {
    const WHAT: &str = "IAMIdentityMappings";
    let resource = ApiResource::erase::<IamIdentityMapping>(&());
    let api: Api<DynamicObject> = Api::all_with(the_client(settings).await?, &resource);
    let listed = async {
        let mut params = ListParams::default().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = api.list(&params).await?;
            objects.extend(page.items.into_iter().filter_map(crd::read).map(|(object, _)| object));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
    };
    match within(WHAT, listed).await {
        Ok(objects) => Ok(Some(objects)),
        Err(LookError::Api { error, .. }) if is_unknown_kind(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_unknown_kind(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if crd::is_unknown_kind(status))
}

/// The objects in a text, as `kubectl apply -f` takes it and `kubectl get -o yaml` writes it.
pub(super) fn in_file(file: &str, text: &str) -> Result<Found, LookError> {
    let content = |message: String| LookError::Content { file: file.to_owned(), message };
    let documents: Vec<Json> = serde_saphyr::from_multiple(text).map_err(|error| {
        // Without the snippet, which may be as long as the file.
        let error = error.without_snippet();
        content(error.to_string())
    })?;
    let (mut objects, mut lists) = (Vec::new(), 0_usize);
    for document in documents {
        gather(document, None, &mut objects, &mut lists).map_err(content)?;
    }
    if objects.is_empty() && lists == 0 {
        return Err(content("holds no IAMIdentityMapping of iamauthenticator.k8s.aws/v1alpha1".to_owned()));
    }
    let listed = objects;
    let mut objects = Objects::default();
    objects.replace(listed);
    Ok(Found::of_objects(&objects))
}

/// Takes the objects out of a document. The items of an `IAMIdentityMappingList` do not name their kind.
fn gather(
    document: Json,
    of_list: Option<&str>,
    objects: &mut Vec<Object>,
    lists: &mut usize,
) -> Result<(), String> {
    let kind = document.get("kind").and_then(Json::as_str).or(of_list).unwrap_or_default().to_owned();
    if let Some(items_kind) = kind.strip_suffix("List") {
        *lists += 1;
        let items_kind = (!items_kind.is_empty()).then_some(items_kind);
        let items = document.get("items").and_then(Json::as_array).cloned().unwrap_or_default();
        return items.into_iter().try_for_each(|item| gather(item, items_kind, objects, lists));
    }
    let group = IamIdentityMapping::group(&());
    let version = document.get("apiVersion").and_then(Json::as_str);
    let is_ours = version.map_or(of_list.is_some(), |version| version.split('/').next() == Some(&*group));
    if kind != IamIdentityMapping::kind(&()) || !is_ours {
        return Ok(());
    }
    let object = DynamicObject::deserialize(document).map_err(|error| error.to_string())?;
    let (object, _) = crd::read(object).ok_or("an IAMIdentityMapping has no metadata.name")?;
    objects.push(object);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "apiVersion: iamauthenticator.k8s.aws/v1alpha1
kind: IAMIdentityMapping
metadata: {name: admin}
spec: {arn: 'arn:aws:iam::111122223333:role/Admin', username: admin, groups: [system:masters]}
";

    fn mapped(text: &str) -> (usize, Vec<String>) {
        let found = in_file("f.yaml", text).unwrap();
        let told = found.findings.into_iter().map(|finding| finding.message).collect();
        (found.snapshot.index().len(), told)
    }

    #[test]
    fn documents_and_lists_are_read_as_kubectl_reads_them() {
        let other = ADMIN.replace("admin", "ops").replace("Admin", "Ops");
        let item = |text: &str| text.replace('\n', "\n  ");
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
            item(ADMIN.trim_end()),
            item(other.trim_end())
        );
        let without_kinds: String = list
            .lines()
            .skip(1)
            .filter(|line| !line.contains("kind: IAM"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let typed = without_kinds.replace("kind: List", "kind: IAMIdentityMappingList");
        let json = r#"{"kind":"List","items":[{"apiVersion":"iamauthenticator.k8s.aws/v1alpha1",
            "kind":"IAMIdentityMapping","metadata":{"name":"a"},
            "spec":{"arn":"arn:aws:iam::111122223333:user/a","username":"a"}}]}"#;
        for (text, count) in [
            (ADMIN.to_owned(), 1),
            (format!("---\n{ADMIN}---\n{other}---\nkind: Namespace\n"), 2),
            (list.clone(), 2),
            (typed, 2),
            (json.to_owned(), 1),
            ("kind: List\nitems: []\n".to_owned(), 0),
            (format!("{ADMIN}---\n{}", ADMIN.replace("Admin", "Other")), 1),
        ] {
            assert_eq!(mapped(&text), (count, Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_the_api_server_or_arngate_would_refuse_is_told() {
        for (text, told) in [
            (ADMIN.replace("username: admin", "username: 7"), "spec cannot be read"),
            (ADMIN.replace(":role/Admin", ":group/Admin"), "an IAM group is not a principal"),
        ] {
            let (count, messages) = mapped(&text);
            assert!(count == 0 && messages[0].contains(told), "{messages:?}");
        }
        for (text, told) in [
            ("kind: Namespace\n".to_owned(), "holds no IAMIdentityMapping"),
            (ADMIN.replace("iamauthenticator.k8s.aws", "example.org"), "holds no IAMIdentityMapping"),
            (ADMIN.replace("{name: admin}", "{}"), "has no metadata.name"),
            ("kind: [".to_owned(), "f.yaml: "),
        ] {
            let error = in_file("f.yaml", &text).err().unwrap().to_string();
            assert!(error.contains(told) && !error.contains('\n'), "{error}");
        }
    }
}
