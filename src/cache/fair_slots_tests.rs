//! `FairSlots` under any order of requests, joins, departures and ends.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;

use futures::FutureExt;
use proptest::prelude::*;

use super::*;

/// A step; the numbers choose a client, or one of the requests or places at hand.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(u8),
    Join(usize, u8),
    /// A request takes its place, if it was given one.
    Poll(usize),
    /// A request leaves, whether it was given a place or not.
    Leave(usize),
    End(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..4).prop_map(Step::Ask),
        1 => (any::<usize>(), 0_u8..4).prop_map(|(request, client)| Step::Join(request, client)),
        2 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Leave),
        3 => any::<usize>().prop_map(Step::End),
    ];
    prop::collection::vec(step, 0..120)
}

fn client(number: u8) -> Client {
    match number {
        0 => Client::Background,
        number => Client::Address([192, 0, 2, number].into()),
    }
}

type Waiter = Pin<Box<dyn Future<Output = Slot>>>;

/// What a test knows of the places from outside, and what it may expect.
struct World {
    places: FairSlots,
    count: usize,
    requests: BTreeMap<Id, (Arc<Ticket>, Waiter)>,
    held: Vec<Slot>,
    /// For whom each request was given its place that has not taken it.
    given: HashMap<Id, Client>,
    /// The requests that wait, as each client would have them served.
    order: HashMap<Client, Vec<Id>>,
    /// The clients that were served while this one waited.
    passed: HashMap<Client, HashSet<Client>>,
}

impl World {
    fn new(count: usize) -> Self {
        Self {
            places: FairSlots::new(count),
            count,
            requests: BTreeMap::new(),
            held: Vec::new(),
            given: HashMap::new(),
            order: HashMap::new(),
            passed: HashMap::new(),
        }
    }

    fn chosen(&self, number: usize) -> Option<Id> {
        let ids: Vec<_> = self.requests.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[number % ids.len()])
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(number) => {
                let ticket = Arc::new(Ticket::new(client(number)));
                let (places, own) = (self.places.clone(), Arc::clone(&ticket));
                let mut waiter: Waiter = Box::pin(async move { places.take(&own).await });
                match (&mut waiter).now_or_never() {
                    Some(place) => self.held.push(place),
                    None => {
                        let id = self.places.0.lock().last_id;
                        self.requests.insert(id, (ticket, waiter));
                        self.order.entry(client(number)).or_default().push(id);
                    }
                }
            }
            Step::Join(number, joining) => {
                let Some(id) = self.chosen(number) else { return };
                self.requests[&id].0.add(client(joining));
                let order = self.order.entry(client(joining)).or_default();
                if !self.given.contains_key(&id) && !order.contains(&id) {
                    order.push(id);
                }
            }
            Step::Poll(number) => {
                let Some(id) = self.chosen(number) else { return };
                let (_, waiter) = self.requests.get_mut(&id).unwrap();
                let place = waiter.now_or_never();
                assert_eq!(
                    place.is_some(),
                    self.given.contains_key(&id),
                    "a place is taken by the request that has it"
                );
                if let Some(place) = place {
                    self.held.push(place);
                    self.requests.remove(&id);
                    self.given.remove(&id);
                }
            }
            Step::Leave(number) => {
                let Some(id) = self.chosen(number) else { return };
                let before = self.waiting();
                let back = self.given.remove(&id);
                self.forget(id);
                // The turn is that client's again, if it has another request.
                let next = back.filter(|back| self.order.get(back).is_some_and(|order| !order.is_empty()));
                let next = next.or_else(|| self.places.0.lock().turns.front().copied());
                if let Some(back) = back {
                    self.passed.values_mut().for_each(|passed| _ = passed.remove(&back));
                }
                drop(self.requests.remove(&id));
                self.check_given(&before, next.filter(|_| back.is_some()));
            }
            Step::End(number) => {
                if self.held.is_empty() {
                    return;
                }
                let (before, next) = (self.waiting(), self.places.0.lock().turns.front().copied());
                drop(self.held.swap_remove(number % self.held.len()));
                self.check_given(&before, next);
            }
        }
    }

    fn waiting(&self) -> HashSet<Id> {
        self.places.0.lock().waiting.keys().copied().collect()
    }

    /// Removes a request from the orders.
    fn forget(&mut self, id: Id) {
        for order in self.order.values_mut() {
            order.retain(|other| *other != id);
        }
        let order = &self.order;
        self.passed.retain(|client, _| order.get(client).is_some_and(|order| !order.is_empty()));
    }

    /// Checks which request was given a place by a step, if `next` was the client whose turn it was.
    fn check_given(&mut self, before: &HashSet<Id>, next: Option<Client>) {
        let after = self.waiting();
        let mut given: Vec<Id> = before.difference(&after).copied().collect();
        given.retain(|id| self.requests.contains_key(id));
        let Some(next) = next else {
            assert!(given.is_empty(), "no place came free");
            return;
        };
        let first = self.order[&next][0];
        assert_eq!(given, [first], "the first request of the client whose turn it is");
        self.given.insert(first, next);
        self.passed.remove(&next);
        self.forget(first);
        for (other, order) in &self.order {
            if *other != next && !order.is_empty() {
                let is_new = self.passed.entry(*other).or_default().insert(next);
                assert!(is_new, "{next:?} was served twice while {other:?} waited");
            }
        }
    }

    fn check(&self) {
        let (free, waiting) = (self.places.free(), self.places.waiting());
        assert_eq!(free + self.held.len() + self.given.len(), self.count, "places are neither lost nor made");
        assert!(free == 0 || waiting == 0, "a free place while {waiting} wait");
        assert_eq!(waiting + self.given.len(), self.requests.len());
        let state = self.places.0.lock();
        let turns: HashSet<_> = state.turns.iter().collect();
        assert_eq!(turns.len(), state.turns.len(), "a client has one turn");
        assert_eq!(turns, state.queues.keys().collect(), "those that wait have a turn");
        assert!(state.queues.values().all(|queue| !queue.is_empty()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn clients_take_turns_and_no_place_is_lost(count in 1_usize..4, steps in steps()) {
        let mut world = World::new(count);
        for step in steps {
            world.step(step);
            world.check();
        }
        // All that stayed are served.
        while !world.requests.is_empty() {
            for number in 0..world.requests.len() {
                world.step(Step::Poll(number));
            }
            world.step(Step::End(0));
            world.check();
        }
        world.held.clear();
        prop_assert_eq!(world.places.free(), count);
    }
}
