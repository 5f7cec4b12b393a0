//! Benchmarks of the in-memory driver.

use std::sync::Arc;

use sampan_driver_inmemory::InMemoryDriver;

sampan_conformance::bench!(Fixture::shared(|| Arc::new(InMemoryDriver::new())));
