//! What EC2 answers, in its XML.
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use quick_xml::escape::escape;

use super::Instance;
use crate::sts::failure::Failure;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// An answer, before it is put into HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
}

impl Answer {
    /// Writes what a request came to.
    pub(crate) fn new(result: &Result<Vec<Instance>, Failure>, request_id: &str) -> Self {
        match result {
            Ok(instances) => {
                let reservations: String = instances.iter().map(reservation).collect();
                let body = format!(
                    "{DECLARATION}\n<DescribeInstancesResponse xmlns=\"{NAMESPACE}\">\n    \
                     <requestId>{request_id}</requestId>\n    <reservationSet>\n{reservations}    \
                     </reservationSet>\n</DescribeInstancesResponse>"
                );
                Self { status: StatusCode::OK, body }
            }
            Err(failure) => {
                let (code, message) = (failure.code, escape(&failure.message));
                let body = format!(
                    "{DECLARATION}\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
                     </Error></Errors><RequestID>{request_id}</RequestID></Response>"
                );
                Self { status: failure.status, body }
            }
        }
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml;charset=UTF-8"));
        response
    }
}

/// Each instance comes in a reservation of its own, as those that were started one by one do.
fn reservation(instance: &Instance) -> String {
    let (id, name) = (escape(&instance.id), escape(&instance.private_dns_name));
    format!(
        "        <item>\n            <reservationId>r-0123456789abcdef0</reservationId>\n            \
         <ownerId>111122223333</ownerId>\n            <groupSet/>\n            <instancesSet>\n                \
         <item>\n                    <instanceId>{id}</instanceId>\n                    \
         <instanceState><code>16</code><name>running</name></instanceState>\n                    \
         <privateDnsName>{name}</privateDnsName>\n                    <dnsName/>\n                    \
         <networkInterfaceSet>\n                        <item>\n                            \
         <privateDnsName>eni-{name}</privateDnsName>\n                            \
         <attachment><deviceIndex>0</deviceIndex></attachment>\n                        </item>\n                    \
         </networkInterfaceSet>\n                </item>\n            </instancesSet>\n        </item>\n"
    )
}
