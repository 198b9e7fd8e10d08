use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Node, Position, Text, Value};

/// How much is taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest text, in bytes.
    pub bytes: usize,
    /// How deep values may nest.
    pub depth: usize,
    /// How many values there may be, those that aliases stand for included. All of their text together has at most
    /// twice [`Self::bytes`].
    pub nodes: usize,
}

impl Limits {
    /// The limits that fit a text of at most `bytes`.
    #[must_use]
    pub const fn for_bytes(bytes: usize) -> Self {
        // Two bytes are the least that a value takes, so that no text without aliases meets the last limit.
        Self { bytes, depth: 16, nodes: bytes / 2 + 16 }
    }
}

impl Default for Limits {
    /// For a value of a ConfigMap, which holds at most 1 MiB.
    fn default() -> Self {
        Self::for_bytes(1024 * 1024)
    }
}

/// Why a text is not taken: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct YamlError {
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: &'static str,
}

/// The first document of a text, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// The document; absent where the text holds none.
    pub document: Option<Node>,
    /// What follows, where that is more than the line that would begin it.
    pub rest: Option<Rest>,
}

/// What follows a text's first document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Where it begins.
    pub position: Position,
    /// Its documents, as far as they can be read; then, as one text, what cannot.
    pub documents: Vec<Node>,
}

/// Reads one document; `None` where the text holds none.
///
/// # Errors
/// Where it is no YAML, holds more than one document, or goes beyond `limits`.
pub fn parse(text: &str, limits: Limits) -> Result<Option<Node>, YamlError> {
    let First { document, rest } = parse_first(text, limits)?;
    match rest {
        None => Ok(document),
        Some(Rest { position, .. }) => Err(YamlError {
            position,
            message: "a second document begins".to_owned(),
            advice: "remove the line --- and what follows it",
        }),
    }
}

/// Reads the first document, whatever follows it.
///
/// # Errors
/// Where it is no YAML, or goes beyond `limits`.
pub fn parse_first(text: &str, limits: Limits) -> Result<First, YamlError> {
    match load(text, limits) {
        // A tab between a key's colon and its value is white space to YAML, which the parser does not know; a
        // space in its place moves nothing.
        Err(_) if text.contains(":\t") => load(&text.replace(":\t", ": "), limits),
        result => result,
    }
}

fn load(text: &str, limits: Limits) -> Result<First, YamlError> {
    let start = Position { line: 1, column: 1 };
    if text.len() > limits.bytes {
        let message = format!("longer than {} bytes", limits.bytes);
        return Err(YamlError { position: start, message, advice: "" });
    }
    let mut loader = Loader {
        parser: Parser::new_from_str(text),
        text,
        limits,
        spent: Cost::default(),
        anchors: HashMap::new(),
    };
    loop {
        match loader.next()? {
            (Event::StreamEnd, _) => return Ok(First { document: None, rest: None }),
            (Event::DocumentStart(_), _) => break,
            _ => {}
        }
    }
    let first = loader.next()?;
    let document = Some(loader.value(first, 0)?);
    loop {
        match loader.next()? {
            (Event::StreamEnd, _) => return Ok(First { document, rest: None }),
            (Event::DocumentStart(_), span) => {
                return Ok(First { document, rest: loader.rest(position(span.start)) });
            }
            _ => {}
        }
    }
}

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    limits: Limits,
    spent: Cost,
    /// What each anchor stands for, and what that costs.
    anchors: HashMap<usize, (Node, Cost)>,
}

/// What values take: how many they are, and how long their text is, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

impl<'a> Loader<'a> {
    /// What follows the beginning of a second document at `position`; nothing where that is no more than a line of
    /// hyphens.
    fn rest(&mut self, position: Position) -> Option<Rest> {
        let mut documents = Vec::new();
        let mut begins = position;
        let is_whole = loop {
            match self.next().and_then(|event| self.value(event, 0)) {
                Ok(node) => documents.push(node),
                Err(_) => break false,
            }
            let next = loop {
                match self.next() {
                    Ok((Event::StreamEnd, _)) => break Ok(None),
                    Ok((Event::DocumentStart(_), span)) => break Ok(Some(self::position(span.start))),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            match next {
                Ok(None) => break true,
                Ok(Some(next)) => begins = next,
                Err(_) => break false,
            }
        };
        if !is_whole {
            let lines: Vec<&str> = self.text.lines().skip(begins.line.saturating_sub(1)).collect();
            let value = Value::Scalar(lines.join("\n").into());
            documents.push(Node { value, span: begins, end: begins });
        }
        documents.retain(|node| node.value != Value::Null);
        (!documents.is_empty()).then_some(Rest { position, documents })
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(scan_error)) => Err(self.explain(&scan_error)),
            None => Err(error(Marker::new(0, 1, 0), "the text ends too early", "")),
        }
    }

    fn value(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Node, YamlError> {
        if depth > self.limits.depth {
            return Err(error(
                span.start,
                "nested too deep",
                "lists of entries with fields are all that is read here",
            ));
        }
        let text = if let Event::Scalar(text, ..) = &event { text.len() } else { 0 };
        self.spend(Cost { nodes: 1, bytes: text }, span)?;
        let before = self.spent;
        let position = position(span.start);
        let mut end = self::position(span.end);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _tag) => {
                let null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = match style {
                    _ if null => Value::Null,
                    ScalarStyle::Plain => Value::Scalar(Text::plain(text)),
                    _ => Value::Scalar(text.into()),
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _tag) => {
                let mut items: Vec<Node> = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => {
                            end = end_of_collection(span, items.last()).unwrap_or(end);
                            break;
                        }
                        item => items.push(self.value(item, depth + 1)?),
                    }
                }
                (Value::Sequence(items), anchor)
            }
            Event::MappingStart(anchor, _tag) => {
                let mut fields: Vec<(Node, Node)> = Vec::new();
                let mut merges = Vec::new();
                loop {
                    match self.next()? {
                        (Event::MappingEnd, span) => {
                            let last = fields.last().map(|(_, value)| value);
                            end = end_of_collection(span, last).unwrap_or(end);
                            break;
                        }
                        key => {
                            let is_merge = is_merge_key(&key.0);
                            let key = self.value(key, depth + 1)?;
                            let (event, span) = self.next()?;
                            let mut value = self.value((event, span), depth + 1)?;
                            // The parser places what is not there at what comes next.
                            if value.value == Value::Null && span.is_empty() {
                                value.end = key.end;
                            }
                            if is_merge {
                                merges.push(value.clone());
                            }
                            fields.push((key, value));
                        }
                    }
                }
                (Value::Mapping(merge(fields, merges)), anchor)
            }
            Event::Alias(anchor) => {
                let incomplete = || error(span.start, "an alias for what is not yet complete", "");
                let cost = self.anchors.get(&anchor).map(|(_, cost)| *cost).ok_or_else(incomplete)?;
                // Paid for before it is copied.
                self.spend(cost, span)?;
                let value = self.anchors.get(&anchor).map(|(node, _)| node.value.clone());
                return Ok(Node { value: value.ok_or_else(incomplete)?, span: position, end });
            }
            _ => return Err(error(span.start, "a value is missing", "")),
        };
        let node = Node { value, span: position, end };
        if anchor != 0 {
            let cost = Cost {
                nodes: self.spent.nodes - before.nodes + 1,
                bytes: self.spent.bytes - before.bytes + text,
            };
            // The copy that is kept is paid for as well.
            self.spend(cost, span)?;
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        Ok(node)
    }

    fn spend(&mut self, cost: Cost, span: Span) -> Result<(), YamlError> {
        self.spent.nodes = self.spent.nodes.saturating_add(cost.nodes);
        self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
        if self.spent.nodes > self.limits.nodes || self.spent.bytes > self.limits.bytes.saturating_mul(2) {
            return Err(error(
                span.start,
                "more values than are taken",
                "write entries out instead of using aliases (*name)",
            ));
        }
        Ok(())
    }

    /// Adds to the parser's words what people run into most.
    fn explain(&self, scan_error: &ScanError) -> YamlError {
        let marker = scan_error.marker();
        // The parser's mark is a line off the tab now and then.
        let near = marker.line().saturating_sub(2)..=marker.line() + 1;
        let indent =
            |line: &str| line.strip_suffix(line.trim_start()).is_some_and(|indent| indent.contains('\t'));
        let tab = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .find(|(number, line)| near.contains(number) && indent(line))
            .map(|(number, _)| number);
        match tab {
            Some(line) => YamlError {
                position: Position { line, column: 1 },
                message: "a tab in the indentation".to_owned(),
                advice: "indent with spaces: YAML does not take tabs there",
            },
            None => error(
                *marker,
                scan_error.info(),
                "check indentation, brackets, quotes and colons around here",
            ),
        }
    }
}

/// Whether a key is YAML 1.1's merge key. In quotes it is a key like any other.
fn is_merge_key(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<")
}

/// Carries out YAML 1.1's merge key (`<<: *base`): what the mapping does not say itself, the merged one says.
fn merge(mut own: Vec<(Node, Node)>, merges: Vec<Node>) -> Vec<(Node, Node)> {
    if merges.is_empty() {
        return own;
    }
    own.retain(|(key, value)| {
        key.as_str() != Some("<<") || !merges.iter().any(|merged| merged.span == value.span)
    });
    let mut known: HashSet<Box<str>> =
        own.iter().filter_map(|(key, _)| key.as_str().map(Into::into)).collect();
    for merged in merges {
        let sources = match merged.value {
            Value::Sequence(items) => items,
            _ => vec![merged],
        };
        for source in sources {
            let Value::Mapping(fields) = source.value else {
                continue;
            };
            for (key, value) in fields {
                if key.as_str().is_some_and(|name| known.insert(name.into())) {
                    own.push((key, value));
                }
            }
        }
    }
    own
}

/// Where a list or mapping ends: behind its bracket, or with the last thing in it, where the parser places an empty
/// end at what comes next. What the parser calls the end of a bracket is behind the comment that follows it.
fn end_of_collection(span: Span, last: Option<&Node>) -> Option<Position> {
    if span.is_empty() {
        return last.map(|last| last.end);
    }
    let bracket = position(span.start);
    Some(Position { column: bracket.column + 1, ..bracket })
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn error(marker: Marker, message: &str, advice: &'static str) -> YamlError {
    YamlError { position: position(marker), message: message.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Node>, YamlError> {
        parse(text, Limits::default())
    }

    #[test]
    fn scalars_keep_their_text_and_their_place() {
        let node = read("a: 000000000012\nb:\n  - yes\n  - 0x1f\n  - 'null'\n  - null\n").unwrap().unwrap();
        assert_eq!(node.get("a").and_then(Node::as_str), Some("000000000012"));
        assert_eq!(node.get("a").unwrap().span, Position { line: 1, column: 4 });
        let Value::Sequence(items) = &node.get("b").unwrap().value else { panic!("no list") };
        let texts: Vec<Option<&str>> = items.iter().map(Node::as_str).collect();
        assert_eq!(texts, [Some("yes"), Some("0x1f"), Some("null"), None]);
        assert_eq!(items[1].span, Position { line: 4, column: 5 });
    }

    #[test]
    fn every_value_has_an_end() {
        let text = "- a: b  # c\n  d:\n  - 'é'\n  - \"f\"\n# g\n- [h, {i: j}] # k\n- k:\n# l\n- *m\n- |\n  n\n\n- o\n";
        let text = text.replace("- a", "- &m a");
        let Value::Sequence(items) = read(&text).unwrap().unwrap().value else { panic!("no list") };
        let ends: Vec<_> = items.iter().map(|item| (item.end.line, item.end.column)).collect();
        assert_eq!(ends, [(4, 8), (6, 14), (7, 4), (9, 5), (13, 1), (13, 4)]);
        assert_eq!(items[0].get("d").unwrap().end, Position { line: 4, column: 8 });
        assert_eq!(items[2].get("k").unwrap().value, Value::Null);
    }

    #[test]
    fn nothing_is_no_document_or_null() {
        for text in ["", "   ", "# comment\n"] {
            assert!(read(text).unwrap().is_none_or(|node| node.value == Value::Null), "{text:?}");
        }
    }

    #[test]
    fn aliases_and_merge_keys_work_and_bombs_do_not() {
        let text = "- &base {username: a, groups: [x]}\n- {<<: *base, username: b}\n- *base\n";
        let Value::Sequence(items) = read(text).unwrap().unwrap().value else { panic!("no list") };
        assert_eq!(items[1].get("username").and_then(Node::as_str), Some("b"));
        assert_eq!(items[1].get("groups"), items[0].get("groups"));
        assert_eq!(items[2].value, items[0].value);
        let quoted = read("{'<<': {a: b}, c: d}").unwrap().unwrap();
        assert!(quoted.get("<<").is_some() && quoted.get("a").is_none());

        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 9].join(", ");
            bomb = format!("{bomb}a{level}: &a{level} [{aliases}]\n");
        }
        assert_eq!(read(&bomb).unwrap_err().message, "more values than are taken");
        assert!(read("&a [*a]").is_err(), "a value inside itself");
    }

    #[test]
    fn an_alias_costs_the_text_that_it_stands_for() {
        let long = "x".repeat(500_000);
        let bomb = format!("[&a {long}{}]", ",*a".repeat(100_000));
        assert_eq!(read(&bomb).unwrap_err().message, "more values than are taken");
        let merges = format!("- &a {{{long}: b}}\n{}", "- {<<: *a}\n".repeat(40_000));
        assert_eq!(read(&merges).unwrap_err().message, "more values than are taken");
        let fair = format!("- &a {{username: {}}}\n{}", "x".repeat(100), "- *a\n".repeat(100));
        assert!(read(&fair).is_ok(), "aliases of entries are no bomb");
    }

    #[test]
    fn bounds_hold() {
        assert!(read(&"[".repeat(10_000)).is_err());
        assert!(read(&format!("{}x", "- ".repeat(10_000))).is_err());
        assert!(read(&"x".repeat(1024 * 1024 + 1)).is_err());
        assert!(read("a: 1\n---\nb: 2\n").is_err());
    }

    #[test]
    fn a_tab_behind_a_colon_and_hyphens_at_the_end_do_not_matter() {
        let plain = read("- a: b\n  c: d\n").unwrap();
        assert_eq!(read("- a:\tb\n  c:\td\n").unwrap(), plain);
        assert_eq!(read("- a: b\n  c: d\n---\n").unwrap(), plain);
    }

    #[test]
    fn the_first_of_several_documents_can_be_read_whatever_follows() {
        let first = |text: &str| parse_first(text, Limits::default());
        let plain = read("a: 1\n").unwrap();
        for (rest, documents) in [
            ("---\nb: 2\n", 1),
            ("---\nb: 2\n---\n- c\n", 2),
            ("...\n---\nb: [\n", 1),
            ("---\nb: 2\n---\n: [\n", 2),
        ] {
            let text = format!("a: 1\n{rest}");
            let First { document, rest } = first(&text).unwrap();
            let rest = rest.unwrap();
            assert_eq!(
                (document, rest.documents.len(), rest.position.column),
                (plain.clone(), documents, 1),
                "{text}"
            );
            assert!(read(&text).unwrap_err().message.contains("second document"), "{text}");
        }
        for text in ["a: 1\n", "a: 1\n---\n", "a: 1\n---\n# b\n---\n", "a: 1\n..."] {
            assert_eq!(first(text).unwrap(), First { document: plain.clone(), rest: None }, "{text}");
        }
        assert!(first("a: [\n---\nb: 2\n").is_err() && first("a: 1\n b: 2\n---\n").is_err());
    }

    #[test]
    fn a_tab_is_called_a_tab() {
        let error = read("- rolearn: a\n\tusername: b\n").unwrap_err();
        assert_eq!(error.position.line, 2);
        assert!(error.message.contains("tab"), "{error}");
    }

    #[test]
    fn an_unclosed_bracket_has_a_place() {
        let error = read("- groups: [a, b\n- c: d\n").unwrap_err();
        assert!(error.position.line >= 1 && !error.message.is_empty(), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-:a \\n\\t\\[\\]{}&*<>'\"|~#!%]{0,200}") {
            let _ = (read(&text), parse_first(&text, Limits::default()));
        }

        #[test]
        fn any_string_is_read_or_refused(text in any::<String>()) {
            let _ = read(&text);
        }
    }
}
