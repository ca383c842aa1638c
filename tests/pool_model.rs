//! The door of the thread pool, and the sharing out of a loop, under every interleaving that the memory model allows: the
//! shipped files, with `loom`'s atomics.

#[path = "../src/array/pool/claims.rs"]
mod claims;
#[path = "../src/array/pool/gate.rs"]
mod gate;

/// What they need of the platform, in the model.
mod sync {
    use std::time::Duration;

    pub use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub use loom::thread::{Thread, current};

    /// A single look before parking: the states that more looks could see are all covered.
    pub const SPINS: usize = 1;

    pub fn pause() {}

    pub fn park(_patience: Option<Duration>) {
        loom::thread::park();
    }
}

use claims::Claims;
use gate::Gathering;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A caller's frame: one place per piece of work, and who may still take which.
struct Frame {
    claims: Claims,
    places: Vec<UnsafeCell<usize>>,
}

// SAFETY: `loom` itself reports any two accesses to a place that are not ordered.
unsafe impl Sync for Frame {}

impl Frame {
    fn new(participants: usize, pieces: u32) -> Self {
        let places = (0..pieces).map(|_| UnsafeCell::new(0)).collect();
        Self { claims: Claims::new(pieces, participants), places }
    }

    fn work(&self, participant: usize) {
        while let Some(piece) = self.claims.next(participant) {
            // SAFETY: see `Sync`.
            self.places[piece as usize].with_mut(|place| unsafe { *place += 1 });
        }
    }
}

fn call(helpers: usize, pieces: u32) {
    let gathering = Arc::new(Gathering::new());
    let frame = Arc::new(Frame::new(helpers + 1, pieces));
    let helpers: Vec<_> = (1..=helpers)
        .map(|helper| {
            let (gathering, frame) = (Arc::clone(&gathering), Arc::clone(&frame));
            thread::spawn(move || {
                let Some(_inside) = gathering.enter() else { return };
                frame.work(helper);
            })
        })
        .collect();
    frame.work(0);
    gathering.close();
    while !gathering.wait(None) {}
    for place in &frame.places {
        // The frame ends here: writing takes the place of freeing it, so a helper still at work would be a reported race.
        // SAFETY: see `Frame`.
        let times = place.with_mut(|place| unsafe { std::mem::replace(&mut *place, usize::MAX) });
        assert_eq!(times, 1);
    }
    // Only the model needs its threads joined; the pool's are detached.
    for helper in helpers {
        helper.join().unwrap();
    }
}

#[test]
fn one_helper_is_outwaited_and_its_writes_are_seen() {
    // Of three pieces the second is the front of one share and the back of it.
    loom::model(|| call(1, 3));
}

#[test]
fn two_helpers_are_outwaited_and_their_writes_are_seen() {
    let mut model = loom::model::Builder::new();
    // Three threads: schedules with up to three preemptions, beyond which the number of them is out of reach.
    model.preemption_bound = Some(3);
    model.check(|| call(2, 2));
}

#[test]
fn nobody_enters_after_the_close() {
    loom::model(|| {
        let gathering = Arc::new(Gathering::new());
        gathering.close();
        let late = Arc::clone(&gathering);
        let helper = thread::spawn(move || late.enter().is_none());
        assert!(gathering.wait(None));
        assert!(helper.join().unwrap());
    });
}

#[test]
fn nothing_is_taken_twice_or_after_all_is_abandoned() {
    loom::model(|| {
        let claims = Arc::new(Claims::new(4, 2));
        let others = Arc::clone(&claims);
        let helper = thread::spawn(move || {
            let first = others.next(1);
            others.abandon();
            assert_eq!(others.next(1), None);
            first
        });
        let mine = [claims.next(0), claims.next(0)];
        let theirs = helper.join().unwrap();
        assert_eq!(claims.next(0), None);
        let mut taken: Vec<u32> = mine.into_iter().chain([theirs]).flatten().collect();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), mine.iter().flatten().count() + theirs.iter().count());
    });
}
