//! One measurement: some clients do one job for some time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::job::{Job, LeftContent};
use crate::process::{Process, own_cpu};

/// The subject of a measurement.
pub(crate) struct Measurement {
    /// The server.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The `Authorization` header of every request.
    pub(crate) authorization: Option<HeaderValue>,
    /// The server's process.
    pub(crate) process: Option<Process>,
    /// The work.
    pub(crate) job: Arc<Job>,
    /// The number of clients.
    pub(crate) clients: usize,
    /// The number of threads.
    pub(crate) threads: usize,
    /// The duration.
    pub(crate) duration: Duration,
    /// The maximum number of bytes to push.
    pub(crate) push_volume: u64,
}

/// The result of a measurement.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Finished operations.
    pub(crate) operations: u64,
    /// The requests of these operations.
    pub(crate) requests: u64,
    /// Bytes of bodies, in both directions.
    pub(crate) bytes: u64,
    /// The time from the start to the end of the last operation.
    pub(crate) elapsed: Duration,
    /// The duration of each operation, in nanoseconds, sorted.
    pub(crate) latencies: Vec<u64>,
    /// The resources that the server used.
    pub(crate) cpu: Option<Duration>,
    /// Its peak memory, and whether that belongs to this measurement alone.
    pub(crate) peak: Option<(u64, bool)>,
    /// The CPU time of this process.
    pub(crate) own_cpu: Duration,
    /// How often the server closed a connection in use.
    pub(crate) reconnects: u64,
    /// Content that stays in the registry.
    pub(crate) left: Vec<LeftContent>,
}

/// State that all clients share.
struct Shared {
    /// Barriers of the clients and the measuring thread: all connected, clock started, all done.
    barrier: Barrier,
    duration: Duration,
    pushes_left: Option<AtomicU64>,
    failed: AtomicBool,
}

impl Measurement {
    /// Measures. Returns the remaining content even if the work failed.
    pub(crate) fn run(self, runtime: &Runtime) -> Result<(Sample, Result<()>)> {
        let threads = self.threads.clamp(1, self.clients);
        let pushes = self.job.pushes().map(|size| (self.push_volume / size.max(1)).max(self.clients as u64));
        let shared = Arc::new(Shared {
            barrier: Barrier::new(self.clients + 1),
            duration: self.duration,
            pushes_left: pushes.map(AtomicU64::new),
            failed: AtomicBool::new(false),
        });
        let this = &self;
        thread::scope(|scope| {
            let mut handles = Vec::new();
            for number in 0..threads {
                let clients: Vec<_> = (number..self.clients).step_by(threads).collect();
                // Created here, so that a thread that fails to start does not leave others at the barrier.
                let own = Builder::new_current_thread().enable_all().build()?;
                let shared = shared.clone();
                let run = move || own.block_on(this.clients(clients, &shared));
                handles
                    .push(thread::Builder::new().name(format!("clients-{number}")).spawn_scoped(scope, run)?);
            }
            let mut sample = runtime.block_on(this.watch(&shared.barrier))?;
            let mut outcome = Ok(());
            for handle in handles {
                match handle.join() {
                    Ok((clients, result)) => {
                        clients.into_iter().for_each(|client| sample.add(client));
                        outcome = outcome.and(result);
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            sample.latencies.sort_unstable();
            Ok((sample, outcome))
        })
    }

    /// Reads the meters when all clients are ready, and again when all are done.
    async fn watch(&self, barrier: &Barrier) -> Result<Sample> {
        barrier.wait().await;
        let alone = self.process.is_some_and(Process::reset_peak);
        let before = self.process.map(Process::cpu);
        let own_before = own_cpu();
        barrier.wait().await;
        barrier.wait().await;
        let own_cpu = own_cpu() - own_before;
        let after = self.process.map(Process::cpu);
        let peak = self.process.and_then(Process::peak).map(|peak| (peak, alone));
        barrier.wait().await;
        let cpu = match (before, after) {
            (Some(before), Some(after)) => Some(after?.saturating_sub(before?)),
            _ => None,
        };
        Ok(Sample { cpu, peak, own_cpu, ..Sample::default() })
    }

    async fn clients(&self, numbers: Vec<usize>, shared: &Arc<Shared>) -> (Vec<Client>, Result<()>) {
        let mut tasks = JoinSet::new();
        for number in numbers {
            let connection = Connection::open(self.endpoint.clone(), self.authorization.clone());
            let (job, shared) = (self.job.clone(), shared.clone());
            tasks.spawn(async move {
                let mut client = Client::default();
                let result = client.run(number as u64, connection.await, &job, &shared).await;
                (client, result)
            });
        }
        let (mut clients, mut outcome) = (Vec::new(), Ok(()));
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok((client, result)) => {
                    clients.push(client);
                    outcome = outcome.and(result);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        (clients, outcome)
    }
}

/// The work of one client.
#[derive(Default)]
struct Client {
    requests: u64,
    bytes: u64,
    elapsed: Duration,
    latencies: Vec<u64>,
    reconnects: u64,
    left: Vec<LeftContent>,
}

impl Client {
    async fn run(
        &mut self,
        number: u64,
        connection: Result<Connection>,
        job: &Job,
        shared: &Shared,
    ) -> Result<()> {
        // Reaches the barriers as often as the other clients even on failure, or they would wait for ever.
        let mut connection = connection;
        // Each client starts at another place of the list.
        let first = number.wrapping_mul(0x9E37_79B9) % (1 << 20);
        if let (true, Ok(open)) = (job.may_be_tried(), &mut connection)
            && let Err(error) = job.once(open, first, &mut self.left).await
        {
            connection = Err(error);
        }
        if connection.is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        shared.barrier.wait().await;
        shared.barrier.wait().await;
        let result = match &mut connection {
            Ok(connection) => self.work(first, connection, job, shared).await,
            Err(_) => Ok(()),
        };
        if result.is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        shared.barrier.wait().await;
        shared.barrier.wait().await;
        self.reconnects = connection?.reconnects;
        result
    }

    async fn work(
        &mut self,
        first: u64,
        connection: &mut Connection,
        job: &Job,
        shared: &Shared,
    ) -> Result<()> {
        let start = Instant::now();
        let mut begin = start;
        let mut index = first;
        while begin - start < shared.duration && !shared.failed.load(Ordering::Relaxed) && shared.may_push() {
            let Some(done) = job.once(connection, index, &mut self.left).await? else { break };
            let end = Instant::now();
            self.latencies.push((end - begin).as_nanos().try_into().unwrap_or(u64::MAX));
            self.requests += done.requests;
            self.bytes += done.bytes;
            self.elapsed = end - start;
            begin = end;
            index += 1;
        }
        Ok(())
    }
}

impl Shared {
    /// Claims one of the remaining pushes.
    fn may_push(&self) -> bool {
        let Some(left) = &self.pushes_left else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Sample {
    fn add(&mut self, client: Client) {
        self.operations += client.latencies.len() as u64;
        self.requests += client.requests;
        self.bytes += client.bytes;
        self.elapsed = self.elapsed.max(client.elapsed);
        self.latencies.extend(client.latencies);
        self.reconnects += client.reconnects;
        self.left.extend(client.left);
    }
}
