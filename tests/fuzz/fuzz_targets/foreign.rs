//! See `targets/foreign.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sampan_fuzz::run("foreign", data));
