//! Makes a survey: from the inventory of a collection and its plan, or by a walk of its own.

use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::caution::{Gone, missing_data};
use super::context::Context;
use super::dates;
use super::interner::{DigestInterner, Id, IdHashSet};
use super::inventory::{Contents, Data, Inventory};
use super::options::Options;
use super::plan::Plan;
use super::{Error, Result, Unreadable};
use crate::clock::millis;
use crate::turn::{PeriodicTask, TurnState};
use crate::{Registry, RepositoryFigures, RepositorySurvey, Survey};

/// Walks over the store and surveys it. Nothing is written, and no manifest is read.
///
/// `rest` are the seconds of rest for every second of work; `stop` ends the walk with [`Stopped`](Error::Stopped).
///
/// # Errors
///
/// Any error of the store; `Unseen` where a part of it cannot be seen.
pub async fn survey(registry: &Registry, rest: f32, stop: &CancellationToken) -> Result<Survey> {
    let options = Options { rest, stop: stop.clone(), ..Options::default() };
    let as_of = registry.clock().now();
    let mut cx = Context::looking(registry, &options);
    let mut inventory = cx.walk_everything().await?;
    if let Some(Unreadable { path, reason }) = missing_data(&inventory, &inventory.data) {
        return Err(Error::Unseen { path, reason });
    }
    dates::apply(&mut cx, &mut inventory).await?;
    let nothing = Plan::default();
    Ok(Surveyor::new(&inventory, &inventory.data, &cx.ids, &nothing).survey(as_of))
}

/// The result of a survey that is made once per interval.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SurveyTurn {
    /// This registry made the survey.
    Made(Survey),
    /// There is one that is younger, or another registry makes one; the next is due after this time.
    NotDue(Duration),
}

/// Surveys the store and writes the survey, unless a collection or a registry over this store began one within the last
/// `interval`.
///
/// # Errors
///
/// As [`survey`]; then the survey is still due. The registry is read-only.
pub async fn survey_in_turn(
    registry: &Registry,
    interval: Duration,
    rest: f32,
    stop: &CancellationToken,
) -> Result<SurveyTurn> {
    registry.check_writable()?;
    if let Some(last) = Survey::stored_as_of(registry).await? {
        let age = registry.clock().now().duration_since(last);
        // A time in the future comes from a clock that was wrong.
        let age = age.unwrap_or_else(|error| error.duration());
        if age < interval {
            return Ok(SurveyTurn::NotDue(interval - age));
        }
    }
    let turn = match registry.take_turn(PeriodicTask::Survey, interval).await? {
        TurnState::NotDue(wait) => return Ok(SurveyTurn::NotDue(wait)),
        TurnState::Taken(turn) => turn,
    };
    let made = async {
        let made = survey(registry, rest, stop).await?;
        let _write = registry.begin_write()?;
        made.write(registry).await?;
        Ok(SurveyTurn::Made(made))
    };
    let made = made.await;
    registry.end_turn(turn, made).await
}

/// The figures of a store after a collection has carried out its plan.
pub(super) struct Surveyor<'a> {
    inventory: &'a Inventory,
    data: &'a Data,
    gone: Gone<'a>,
    /// By the index of the digest: the repository that links it, if it is only one.
    owners: Vec<Owner>,
    stored_bytes: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Owner {
    Nothing,
    One(u32),
    Many,
}

impl<'a> Surveyor<'a> {
    pub(super) fn new(
        inventory: &'a Inventory,
        data: &'a Data,
        ids: &DigestInterner,
        plan: &'a Plan,
    ) -> Self {
        let all: u64 = ids.canonical().filter_map(|id| data.size_bytes(id)).sum();
        let deleted: u64 = plan.blobs.iter().map(|(_, size_bytes)| size_bytes).sum();
        let owners = vec![Owner::Nothing; ids.canonical().count()];
        let stored_bytes = all.saturating_sub(deleted);
        let mut surveyor = Self { inventory, data, gone: Gone::of(plan), owners, stored_bytes };
        surveyor.find_owners();
        surveyor
    }

    fn find_owners(&mut self) {
        let inventory = self.inventory;
        for (place, contents) in (0..).zip(&inventory.repositories) {
            for id in self.linked(contents) {
                let Some(owner) = self.owners.get_mut(id.index()) else { continue };
                *owner = match *owner {
                    Owner::Nothing => Owner::One(place),
                    Owner::One(other) if other == place => Owner::One(place),
                    Owner::One(_) | Owner::Many => Owner::Many,
                };
            }
        }
    }

    pub(super) fn survey(self, as_of: SystemTime) -> Survey {
        let repositories = self.inventory.repositories.iter().filter_map(|contents| {
            let figures = self.figures(contents);
            let is_empty = figures == RepositoryFigures::default();
            (!is_empty).then(|| RepositorySurvey { name: contents.name.clone(), figures })
        });
        let repositories = repositories.collect();
        let linked = self.owners.iter().zip(0..).filter(|(owner, _)| **owner != Owner::Nothing);
        let linked_bytes = linked.filter_map(|(_, index)| self.data.size_bytes(Id::of_index(index))).sum();
        Survey::new(as_of, repositories, linked_bytes, self.stored_bytes)
    }

    fn figures(&self, contents: &Contents) -> RepositoryFigures {
        let mut figures = RepositoryFigures {
            tags: contents.tags.iter().filter(|history| history.is_current).count() as u64,
            manifests: self.manifests(contents).count() as u64,
            pushed_ms: contents.last_push.map(millis),
            bytes: 0,
            own_bytes: 0,
        };
        for id in self.linked(contents) {
            let size_bytes = self.data.size_bytes(id).unwrap_or_default();
            figures.bytes += size_bytes;
            if matches!(self.owners.get(id.index()), Some(Owner::One(_))) {
                figures.own_bytes += size_bytes;
            }
        }
        figures
    }

    fn manifests(&self, contents: &Contents) -> impl Iterator<Item = Id> {
        let links = contents.revisions.iter().map(|link| link.id);
        links.filter(|id| self.data.is_there(*id) && !self.gone.has_revision(&contents.name, *id))
    }

    /// Everything that the repository will link, each digest once.
    fn linked(&self, contents: &Contents) -> Vec<Id> {
        let mut linked: Vec<Id> = self.manifests(contents).collect();
        // Very old registries linked manifests like layers.
        let manifests: IdHashSet = linked.iter().copied().collect();
        let layers = contents.layers.iter().map(|link| link.id);
        linked.extend(layers.filter(|id| {
            self.data.is_there(*id) && !manifests.contains(id) && !self.gone.has_layer(&contents.name, *id)
        }));
        linked
    }
}
