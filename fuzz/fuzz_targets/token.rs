#![no_main]

use arngate_fuzz::{mutate, token};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| token::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::url(data, size, max_size, seed, fuzzer_mutate)
});
