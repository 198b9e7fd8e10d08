//! EC2's answers read, for `fuzz/`: from outside of this module nobody else reads any.

use super::xml;
use crate::xml::XmlError;

/// Each instance's ID with its name, and the token for the next page.
///
/// # Errors
/// See [`XmlError`].
pub fn describe_instances(body: &str) -> Result<(Vec<(String, String)>, Option<String>), XmlError> {
    let page = xml::describe_instances(body)?;
    let names = page.names.into_iter().map(|(id, name)| (id.to_string(), name.as_str().to_owned()));
    Ok((names.collect(), page.next_token))
}

/// The code of an error.
///
/// # Errors
/// See [`XmlError`].
pub fn error(body: &str) -> Result<String, XmlError> {
    xml::error(body).map(|error| error.code)
}
