//! What arngate reads from others, each with a property that must hold whatever it is given.
//!
//! ```text
//! libFuzzer ── bytes ──▶ fuzz_targets/TARGET.rs ──▶ TARGET::check ── panics where the property does not hold
//!     ▲                                                  │
//!     └── coverage; mutate: pieces of URLs, lines ◀──────┘
//! ```
//!
//! Inputs are texts wherever that can be, so that a seed can be read and a finding be copied into a test: a URL, a
//! body, or several texts with a line of five `=` between them ([`parts`]). Only [`aws_auth_slips`] takes bytes apart
//! with `arbitrary`, since it must know what the text was before the slip.
//!
//! Where another program can say what is right, it is asked: the `url` crate of tokens, `roxmltree` of XML, a second,
//! shorter reading of the rules of tokens, and who is named in a text by nothing but its scalars.
#![forbid(unsafe_code)]

pub mod admission_review;
pub mod arn;
pub mod aws_auth;
pub mod aws_auth_slips;
pub mod config_file;
pub mod ec2_answer;
pub mod editor;
pub mod mutate;
pub mod parts;
pub mod saved;
pub mod snapshot;
pub mod sts_answer;
pub mod token;
pub mod token_review;
pub mod xml;
