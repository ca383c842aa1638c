//! The door of the thread pool under every interleaving that the memory model allows: the shipped file, with `loom`'s atomics.

#[path = "../src/array/pool/gate.rs"]
mod gate;

/// What `gate.rs` needs of the platform, in the model.
mod sync {
    use std::time::Duration;

    pub use loom::sync::atomic::{AtomicUsize, Ordering};
    pub use loom::thread::{Thread, current};

    /// A single look before parking: the states that more looks could see are all covered.
    pub const SPINS: usize = 1;

    pub fn pause() {}

    pub fn park(_patience: Option<Duration>) {
        loom::thread::park();
    }
}

use gate::Gathering;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

/// A caller's frame: one place per piece of work, and the counter that deals the pieces out.
struct Frame {
    claimed: AtomicUsize,
    places: Vec<UnsafeCell<usize>>,
}

// SAFETY: `loom` itself reports any two accesses to a place that are not ordered.
unsafe impl Sync for Frame {}

impl Frame {
    fn new(pieces: usize) -> Self {
        Self { claimed: AtomicUsize::new(0), places: (0..pieces).map(|_| UnsafeCell::new(0)).collect() }
    }

    fn work(&self) {
        loop {
            let piece = self.claimed.fetch_add(1, Relaxed);
            let Some(place) = self.places.get(piece) else { return };
            // SAFETY: see `Sync`.
            place.with_mut(|place| unsafe { *place += 1 });
        }
    }
}

fn call(helpers: usize, pieces: usize) {
    let gathering = Arc::new(Gathering::new());
    let frame = Arc::new(Frame::new(pieces));
    let helpers: Vec<_> = (0..helpers)
        .map(|_| {
            let (gathering, frame) = (Arc::clone(&gathering), Arc::clone(&frame));
            thread::spawn(move || {
                let Some(_inside) = gathering.enter() else { return };
                frame.work();
            })
        })
        .collect();
    frame.work();
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
    loom::model(|| call(1, 2));
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
