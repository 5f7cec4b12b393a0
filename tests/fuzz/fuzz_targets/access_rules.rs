//! See `targets/access_rules.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sampan_fuzz::run("access_rules", data));
