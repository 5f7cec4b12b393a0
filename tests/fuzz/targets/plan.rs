//! The plan of a bundle, which comes on a medium of any origin: what is read is written as it was read, and its layout has a
//! place for each content.
//!
//! The bytes are the plan without its last line, the sum.

use sampan_bundle::{Layout, Plan};
use sampan_engine::oci::Digest;

pub(super) fn run(data: &[u8]) {
    let mut json = data.to_vec();
    json.extend_from_slice(format!("\"sum\":\"{}\"}}\n", Digest::sha256_of(data)).as_bytes());
    let Ok(plan) = Plan::decode(&json) else { return };
    let encoded = plan.encode().unwrap_or_else(|error| panic!("what was read is refused: {error}"));
    match Plan::decode(&encoded) {
        Ok(again) => assert_eq!(again, plan),
        Err(error) => panic!("what was written is refused: {error}"),
    }
    let Ok(layout) = Layout::of(&plan, json.len() as u64, None) else { return };
    let mut end = layout.head_len();
    for (index, content) in plan.contents.iter().enumerate() {
        let (header, data) = (layout.header(index), layout.data(index, content));
        assert!(end <= header && header < data.start, "{header} is before {end}, or not before {data:?}");
        assert_eq!(data.end - data.start, content.size_bytes);
        // The last byte of an empty content is that of its header.
        for offset in [header, data.end - 1] {
            assert_eq!(layout.content_at(offset), Some(index), "{offset}");
        }
        end = data.end;
    }
    assert!(end < layout.len_bytes() && layout.content_at(layout.len_bytes()).is_none());
}
