//! `arngate-lab load`, `scenario` and `compare`: the real programs, short runs, and what they count. No test looks at
//! how long something took.

mod apiserver;
mod capacity;
mod compare;
mod guard;
mod runs;
mod scenario;
mod startup;
mod support;
