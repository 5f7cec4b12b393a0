//! Runs the conformance suite on in-memory stores.

use std::sync::Arc;

use sampan_driver_inmemory::InMemoryDriver;

sampan_conformance::main!(Fixture::shared(|| Arc::new(InMemoryDriver::new())));
