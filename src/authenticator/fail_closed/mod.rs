//! That nobody is let in whom STS or a mapping does not vouch for, over any sequence of what can happen.
//!
//! ```text
//! steps (any sequence) ─┬─▶ World: the real authenticator, verifier, STS client, chain and aws-auth source
//!                       │      │ STS and the API server are scripts; time stands still until a step moves it
//!                       │      ▼
//!                       │   Outcome ──┐
//!                       │             ├─▶ compared
//!                       └─▶ Model ────┘
//! ```
//!
//! The model knows who has mappings, what STS said last of each token and when, and nothing of how the program comes
//! to its answers: no cache, no single flight, no watch. `PROPTEST_CASES` asks for more sequences than 256.

mod api_server;
mod model;
mod principals;
mod steps;
mod sts;
mod world;

use std::cell::RefCell;

use proptest::test_runner::{Config, TestRunner};

use self::{
    steps::steps,
    world::{Tally, World},
};

#[test]
fn nobody_is_let_in_whom_sts_or_a_mapping_in_force_does_not_vouch_for() {
    let tally = RefCell::new(Tally::default());
    let config = Config { failure_persistence: None, ..Config::default() };
    let cases = config.cases;
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let seen = runtime?.block_on(World::play(&steps))?;
        tally.borrow_mut().add(&seen);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let tally = tally.into_inner();
    println!("{cases} sequences: {tally:?}");
    // What never happens proves nothing; of a few sequences nothing can be said.
    for (what, count) in tally.kinds().filter(|_| cases >= 100) {
        assert!(count > u64::from(cases) / 16, "{what} happened {count} times in {cases} sequences");
    }
}
