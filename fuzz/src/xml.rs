//! XML as `roxmltree` reads it, which makes a tree where arngate walks along.

use roxmltree::{Document, Node};

/// The text of each element at `path`, the local names from the root parted by slashes: its own text alone, without
/// that of elements in it.
#[must_use]
pub fn texts(document: &Document<'_>, path: &str) -> Vec<String> {
    elements(document.root(), path).into_iter().map(text).collect()
}

/// The elements at `path` below `node`.
#[must_use]
pub fn elements<'a, 'input>(node: Node<'a, 'input>, path: &str) -> Vec<Node<'a, 'input>> {
    path.split('/').fold(vec![node], |nodes, name| {
        let children = nodes.into_iter().flat_map(|node| node.children());
        children.filter(|child| child.is_element() && child.tag_name().name() == name).collect()
    })
}

/// An element's own text.
#[must_use]
pub fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}

/// How many elements a path from the root has at most.
#[must_use]
pub fn depth(document: &Document<'_>) -> usize {
    let depth = |node: Node<'_, '_>| node.ancestors().filter(Node::is_element).count();
    document.descendants().map(depth).max().unwrap_or(0)
}
