//! EC2's answers. A field that is wanted stands at a known path, once an instance.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>

use super::{InstanceId, PrivateDnsName};
use crate::xml::{Step, XmlError, fields, walk};

/// How deep an answer may nest. An instance's network interfaces go eleven deep.
const MAX_DEPTH: usize = 16;

const RESERVATIONS: &str = "DescribeInstancesResponse/reservationSet";
const INSTANCE: &str = "DescribeInstancesResponse/reservationSet/item/instancesSet/item";
const INSTANCE_ID: &str = "DescribeInstancesResponse/reservationSet/item/instancesSet/item/instanceId";
const NAME: &str = "DescribeInstancesResponse/reservationSet/item/instancesSet/item/privateDnsName";
const NEXT_TOKEN: &str = "DescribeInstancesResponse/nextToken";

/// Instances, as one answer tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Page {
    /// Each instance that has a private DNS name.
    pub(super) names: Vec<(InstanceId, PrivateDnsName)>,
    /// By which to ask for the next page, where there is one.
    pub(super) next_token: Option<String>,
}

/// EC2's answer where it refuses or fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// `Code`, such as `InvalidInstanceID.NotFound`.
    pub(super) code: String,
    /// `Message`. It may quote the request: never log it.
    pub(super) message: String,
}

/// An instance while it is read.
#[derive(Default)]
struct Instance {
    id: Option<String>,
    name: Option<String>,
}

/// Reads a `DescribeInstancesResponse`.
///
/// # Errors
/// See [`XmlError`].
pub(super) fn describe_instances(body: &str) -> Result<Page, XmlError> {
    let mut page = Page::default();
    let mut instance = Instance::default();
    let mut reservations = false;
    walk(body, MAX_DEPTH, |path, step| {
        let field = match path {
            RESERVATIONS => {
                reservations = true;
                return Ok(());
            }
            INSTANCE => match step {
                Step::Start => {
                    instance = Instance::default();
                    return Ok(());
                }
                Step::End => {
                    let Instance { id, name } = std::mem::take(&mut instance);
                    let id = id.ok_or(XmlError::Missing)?;
                    // An ID of another form was not asked about; a name that can be no host's names no node.
                    let name = name.as_deref().and_then(PrivateDnsName::parse);
                    page.names.extend(id.parse().ok().zip(name));
                    return Ok(());
                }
                Step::Text(_) => return Ok(()),
            },
            INSTANCE_ID => &mut instance.id,
            NAME => &mut instance.name,
            NEXT_TOKEN => &mut page.next_token,
            _ => return Ok(()),
        };
        match step {
            Step::Start if field.replace(String::new()).is_some() => Err(XmlError::Duplicate),
            Step::Start | Step::End => Ok(()),
            Step::Text(text) => {
                field.get_or_insert_default().push_str(text);
                Ok(())
            }
        }
    })?;
    if !reservations {
        return Err(XmlError::Missing);
    }
    page.next_token = page.next_token.filter(|token| !token.is_empty());
    Ok(page)
}

/// Reads a `Response` with `Errors`, of which the first counts.
///
/// # Errors
/// See [`XmlError`].
pub(super) fn error(body: &str) -> Result<ErrorBody, XmlError> {
    let [code, message] =
        fields(body, MAX_DEPTH, ["Response/Errors/Error/Code", "Response/Errors/Error/Message"])?;
    Ok(ErrorBody { code: code.ok_or(XmlError::Missing)?, message: message.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>01234567-89ab-cdef-0123-456789abcdef</requestId>
  <reservationSet>
    <item>
      <reservationId>r-0123456789abcdef0</reservationId>
      <instancesSet>
        <item>
          <instanceId>i-0000000000000000a</instanceId>
          <privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName>
          <networkInterfaceSet>
            <item>
              <privateDnsName>ip-10-9-9-9.ec2.internal</privateDnsName>
              <attachment><instanceId>i-9999999999999999f</instanceId></attachment>
            </item>
          </networkInterfaceSet>
        </item>
        <item><instanceId>i-0000000b</instanceId><privateDnsName>ip-10-0-0-2.ec2.internal</privateDnsName></item>
      </instancesSet>
    </item>
    <item><instancesSet><item><instanceId>i-0000000c</instanceId><privateDnsName/></item></instancesSet></item>
  </reservationSet>
  <nextToken>a&amp;b==</nextToken>
</DescribeInstancesResponse>"#;

    fn names(page: &Page) -> Vec<(String, &str)> {
        page.names.iter().map(|(id, name)| (id.to_string(), name.as_str())).collect()
    }

    #[test]
    fn reads_each_instance_with_its_own_name() {
        let page = describe_instances(TWO).unwrap();
        assert_eq!(
            names(&page),
            [
                ("i-0000000000000000a".to_owned(), "ip-10-0-0-1.ec2.internal"),
                ("i-0000000b".to_owned(), "ip-10-0-0-2.ec2.internal"),
            ]
        );
        assert_eq!(page.next_token.as_deref(), Some("a&b=="));
    }

    #[test]
    fn nobody_is_an_answer_and_another_answer_is_none() {
        let none = "<DescribeInstancesResponse><reservationSet/><nextToken/></DescribeInstancesResponse>";
        assert_eq!(describe_instances(none), Ok(Page::default()));
        for body in ["<a/>", "<DescribeInstancesResponse/>", "<x><reservationSet/></x>"] {
            assert_eq!(describe_instances(body), Err(XmlError::Missing), "{body}");
        }
    }

    #[test]
    fn an_instance_without_or_with_two_ids_refuses_the_answer() {
        let without = TWO.replace("<instanceId>i-0000000b</instanceId>", "");
        assert_eq!(describe_instances(&without), Err(XmlError::Missing));
        let id = "<instanceId>i-0000000b</instanceId>";
        let twice = TWO.replace(id, &id.repeat(2));
        assert_eq!(describe_instances(&twice), Err(XmlError::Duplicate));
    }

    #[test]
    fn every_cut_is_refused() {
        for end in (0..TWO.len()).filter(|end| TWO.is_char_boundary(*end)) {
            assert!(describe_instances(&TWO[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn reads_an_error() {
        let body = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.\
                    </Message></Error></Errors><RequestID>x</RequestID></Response>";
        let error = error(body).unwrap();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("RequestLimitExceeded", "Request limit exceeded.")
        );
        assert_eq!(super::error("<Response/>"), Err(XmlError::Missing));
    }
}
