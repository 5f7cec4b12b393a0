//! See `targets/image_list.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sampan_fuzz::run("image_list", data));
