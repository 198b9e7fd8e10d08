#![no_main]

use arngate_fuzz::aws_auth_slips::{self, Edit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|edit: Edit| aws_auth_slips::check(&edit));
