//! Which operation fails, how, and for how long.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use fuser::Errno;

/// Operations of a file system that may fail.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Operation {
    Create,
    Write,
    /// Syncs a file.
    Sync,
    /// Syncs a directory.
    SyncDirectory,
    Rename,
    Unlink,
    Mkdir,
    Rmdir,
    /// Changes the date of a file, or its size.
    Change,
    Readdir,
    Open,
    Read,
    Lookup,
}

use Operation::{
    Change, Create, Lookup, Mkdir, Open, Read, Readdir, Rename, Rmdir, Sync, SyncDirectory, Unlink, Write,
};

const OPERATIONS: [(&str, Operation, &[Fault]); 13] = [
    ("create", Create, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly, Fault::Quota]),
    ("write", Write, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly, Fault::Quota]),
    ("sync", Sync, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly, Fault::Quota]),
    ("sync-directory", SyncDirectory, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly]),
    ("rename", Rename, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly]),
    ("unlink", Unlink, &[Fault::Io, Fault::ReadOnly]),
    ("mkdir", Mkdir, &[Fault::Io, Fault::NoSpace, Fault::ReadOnly, Fault::Quota]),
    ("rmdir", Rmdir, &[Fault::Io, Fault::ReadOnly]),
    ("change", Change, &[Fault::Io, Fault::ReadOnly]),
    ("readdir", Readdir, &[Fault::Io]),
    ("open", Open, &[Fault::Io]),
    ("read", Read, &[Fault::Io]),
    ("lookup", Lookup, &[Fault::Io]),
];

/// The answer of the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    Io,
    NoSpace,
    Quota,
    ReadOnly,
    /// Success without any effect, like a sync that is left out.
    Lie,
}

const FAULTS: [(&str, Fault); 5] = [
    ("EIO", Fault::Io),
    ("ENOSPC", Fault::NoSpace),
    ("EDQUOT", Fault::Quota),
    ("EROFS", Fault::ReadOnly),
    ("lie", Fault::Lie),
];

impl Fault {
    pub(crate) fn errno(self) -> Errno {
        match self {
            // Only a sync lies, and that needs no error code.
            Self::Io | Self::Lie => Errno::EIO,
            Self::NoSpace => Errno::ENOSPC,
            Self::Quota => Errno::EDQUOT,
            Self::ReadOnly => Errno::EROFS,
        }
    }

    /// Other operations that fail while the fault lasts.
    fn spreads_to(self, operation: Operation) -> bool {
        match self {
            Self::Io | Self::Lie => false,
            Self::NoSpace | Self::Quota => {
                matches!(operation, Create | Write | Sync | SyncDirectory | Mkdir)
            }
            Self::ReadOnly => !matches!(operation, Readdir | Open | Read | Lookup),
        }
    }
}

/// A fault and its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) operation: Operation,
    /// Counts from 1.
    pub(crate) number: usize,
    pub(crate) fault: Fault,
    /// Whether the fault lasts until lifted, instead of striking once.
    pub(crate) lasts: bool,
}

impl Plan {
    /// Every fault of the counted operations.
    pub(crate) fn all(counts: &Counts) -> Vec<Self> {
        let mut plans = Vec::new();
        for (_, operation, faults) in OPERATIONS {
            for number in 1..=counts.0.get(&operation).copied().unwrap_or(0) {
                for &fault in faults {
                    for lasts in [false, true] {
                        plans.push(Self { operation, number, fault, lasts });
                    }
                }
            }
        }
        plans
    }
}

impl Plan {
    /// Every sync, left out.
    pub(crate) fn lies(counts: &Counts) -> Vec<Self> {
        let numbers = |operation| 1..=counts.0.get(&operation).copied().unwrap_or(0);
        [Sync, SyncDirectory]
            .into_iter()
            .flat_map(|operation| numbers(operation).map(move |number| (operation, number)))
            .map(|(operation, number)| Self { operation, number, fault: Fault::Lie, lasts: false })
            .collect()
    }

    pub(crate) fn is_failed_sync(&self) -> bool {
        self.operation == Sync && self.fault == Fault::Io && !self.lasts
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operation = OPERATIONS.iter().find(|(_, operation, _)| *operation == self.operation);
        let fault = FAULTS.iter().find(|(_, fault)| *fault == self.fault);
        let lasts = if self.lasts { "lasting" } else { "once" };
        let (operation, fault) =
            (operation.map_or("", |(name, ..)| name), fault.map_or("", |(name, _)| name));
        write!(f, "{operation}:{}:{fault}:{lasts}", self.number)
    }
}

impl std::str::FromStr for Plan {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [operation, number, fault, lasts] = parts[..] else {
            bail!("a fault is OPERATION:NUMBER:ERROR:once|lasting, not {text}");
        };
        let operation =
            OPERATIONS.iter().find(|(name, ..)| *name == operation).context("no such operation")?.1;
        let fault = FAULTS.iter().find(|(name, _)| *name == fault).context("no such error")?.1;
        Ok(Self { operation, number: number.parse()?, fault, lasts: lasts == "lasting" })
    }
}

/// How often each operation happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<Operation, usize>);

/// Counts operations, and decides which fail.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    plan: Option<Plan>,
    counts: Counts,
    has_begun: bool,
}

impl Faults {
    /// Counts from zero, and fails according to `plan`.
    pub(crate) fn arm(&mut self, plan: Option<Plan>) {
        *self = Self { plan, ..Self::default() };
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Ends the fault, and restores the earlier counts.
    pub(crate) fn lift(&mut self, counts: Counts) {
        self.plan = None;
        self.counts = counts;
    }

    pub(crate) fn has_struck(&self) -> bool {
        self.has_begun
    }

    /// Counts an operation. Returns the error with which it fails, if it fails.
    pub(crate) fn check(&mut self, operation: Operation) -> Result<(), Fault> {
        let count = self.counts.0.entry(operation).or_default();
        *count += 1;
        let Some(plan) = self.plan else { return Ok(()) };
        let is_it = operation == plan.operation && *count == plan.number;
        self.has_begun |= is_it;
        let fails = if plan.lasts {
            self.has_begun && (operation == plan.operation || plan.fault.spreads_to(operation))
        } else {
            is_it
        };
        if fails { Err(plan.fault) } else { Ok(()) }
    }
}
