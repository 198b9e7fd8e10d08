//! EC2's answers.
//!
//! **Property.** Each name that is read stands, in the same instance's element, where another XML reader finds it, and
//! every one that can name a node is read; none is an instance's whose ID is not beside it.

use arngate::{
    ec2::fuzzing::{describe_instances, error},
    xml::XmlError,
};
use roxmltree::Document;

use crate::xml;

const MAX_DEPTH: usize = 16;

/// Looks at a body.
pub fn check(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let document = Document::parse(body);
    let ours = describe_instances(body);
    if let Ok((names, _)) = &ours {
        for (id, name) in names {
            assert!(is_instance(id), "{id}");
            assert!(is_host(name), "{name}");
        }
    }
    if let Ok(told) = error(body) {
        assert!(ours.is_err(), "instances and an error in one body");
        if let Ok(document) = &document {
            assert_eq!(xml::texts(document, "Response/Errors/Error/Code"), [told]);
        }
    }
    let Ok(document) = &document else { return };
    match ours {
        Ok((names, next)) => {
            assert_eq!(Some(names), instances(document));
            let tokens = xml::texts(document, "DescribeInstancesResponse/nextToken");
            assert_eq!(next.unwrap_or_default(), tokens.concat());
        }
        Err(error) => {
            let tokens = xml::texts(document, "DescribeInstancesResponse/nextToken");
            let has_list =
                !xml::elements(document.root(), "DescribeInstancesResponse/reservationSet").is_empty();
            let is_whole = instances(document).is_some() && tokens.len() <= 1 && has_list;
            let is_refused = error == XmlError::Malformed || xml::depth(document) > MAX_DEPTH;
            assert!(!is_whole || is_refused, "{error}, and another reader has it");
        }
    }
}

/// Each instance with its name; none where an instance has no ID, or two, or two names.
fn instances(document: &Document<'_>) -> Option<Vec<(String, String)>> {
    let path = "DescribeInstancesResponse/reservationSet/item/instancesSet/item";
    let mut found = Vec::new();
    for item in xml::elements(document.root(), path) {
        let of = |name: &str| xml::elements(item, name).into_iter().map(xml::text).collect::<Vec<_>>();
        let (ids, names) = (of("instanceId"), of("privateDnsName"));
        let [id] = ids.as_slice() else { return None };
        match names.as_slice() {
            [] => {}
            [name] if is_instance(id) && is_host(name) => found.push((id.clone(), name.clone())),
            [_] => {}
            _ => return None,
        }
    }
    Some(found)
}

fn is_instance(id: &str) -> bool {
    let digits = id.strip_prefix("i-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.len() < 64 && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() < 254 && name.split('.').all(is_label)
}
