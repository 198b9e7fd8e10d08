#![no_main]

use arngate_fuzz::arn;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| arn::check(data));
