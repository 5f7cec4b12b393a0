//! The conformance suite on stores in memory.

use std::sync::Arc;

use sampan_driver_inmemory::InMemoryDriver;

sampan_conformance::main!(Fixture::shared(|| Arc::new(InMemoryDriver::new())));
