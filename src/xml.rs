//! The XML of AWS's query APIs, read strictly and within bounds: a document type, an unknown entity, more than one
//! root or too deep a nesting refuses the whole text. What is not asked for is skipped.

use quick_xml::{Reader, events::Event};

/// Why an answer's body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or cut off.
    #[error("the body is not well-formed XML")]
    Malformed,
    /// A document type or an entity that XML does not predefine. AWS sends neither.
    #[error("the body declares or uses entities, which AWS never does")]
    Entity,
    /// Nested too deep.
    #[error("the body nests deeper than answers of its kind do")]
    Depth,
    /// The same field twice.
    #[error("the body gives one field twice")]
    Duplicate,
    /// A field that every answer has is missing.
    #[error("the body lacks a field that is always given")]
    Missing,
}

/// What is met on the way through a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// An element begins.
    Start,
    /// Text of the innermost element; an element's may come in pieces.
    Text(&'a str),
    /// The innermost element ends.
    End,
}

/// Goes through `body`, which nests at most `max_depth` deep, and hands `meet` each step with the path that it is
/// at: the local names of the elements from the root, parted by slashes.
///
/// # Errors
/// See [`XmlError`]; an error of `meet`'s ends the walk.
pub(crate) fn walk(
    body: &str,
    max_depth: usize,
    mut meet: impl FnMut(&str, Step<'_>) -> Result<(), XmlError>,
) -> Result<(), XmlError> {
    let mut reader = Reader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let mut path = String::new();
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    loop {
        match reader.read_event().map_err(|_| XmlError::Malformed)? {
            Event::Start(start) => {
                if depth == max_depth {
                    return Err(XmlError::Depth);
                }
                roots += usize::from(depth == 0);
                depth += 1;
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(start.local_name().as_ref());
                meet(&path, Step::Start)?;
            }
            Event::End(_) => {
                meet(&path, Step::End)?;
                depth = depth.saturating_sub(1);
                path.truncate(path.rfind('/').unwrap_or(0));
            }
            Event::Text(text) => meet(&path, Step::Text(&text.xml10_content()))?,
            Event::CData(text) => meet(&path, Step::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => meet(&path, Step::Text(&resolve(&reference)?))?,
            Event::DocType(_) => return Err(XmlError::Entity),
            // `expand_empty_elements` turns Empty into Start and End.
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if depth == 0 && roots == 1 => return Ok(()),
            Event::Eof => return Err(XmlError::Malformed),
        }
    }
}

/// The texts at `paths`, each of which a body has once at most.
///
/// # Errors
/// See [`XmlError`].
pub(crate) fn fields<const N: usize>(
    body: &str,
    max_depth: usize,
    paths: [&str; N],
) -> Result<[Option<String>; N], XmlError> {
    let mut found: [Option<String>; N] = [const { None }; N];
    walk(body, max_depth, |path, step| {
        let wanted = found.iter_mut().zip(paths).find(|(_, wanted)| *wanted == path);
        let Some((field, _)) = wanted else { return Ok(()) };
        match step {
            Step::Start if field.replace(String::new()).is_some() => Err(XmlError::Duplicate),
            Step::Start | Step::End => Ok(()),
            Step::Text(text) => {
                field.get_or_insert_default().push_str(text);
                Ok(())
            }
        }
    })?;
    Ok(found)
}

/// A character reference or one of XML's five predefined entities.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
        return Ok(character.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
        .map(str::to_owned)
        .ok_or(XmlError::Entity)
}
