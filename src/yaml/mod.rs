//! YAML within bounds, with positions: what aws-auth's values and the configuration file are read by.
//!
//! A document becomes a tree of [`Node`]s, each with its line and column, and scalars keep the text that was
//! written: `000000000012` is not twelve, and `yes` is no truth value. Bytes, depth and nodes are bounded, and
//! an alias costs what it stands for, so that no text of a few bytes becomes a tree of gigabytes.

mod load;
mod node;
mod text;

pub use load::{First, Limits, Rest, YamlError, parse, parse_first};
pub use node::{Node, Position, Value};
pub use text::Text;
