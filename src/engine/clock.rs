//! Ages of the nodes that a recorded pass makes, so that the graph of a gradient does not depend on the schedule.

use crate::graph::{clock, mode, set_clock};

/// Note [Ages in a recorded pass]: under create_graph a pass makes nodes of its own, on several threads perhaps. A later
/// pass sums their gradients in the order of their ages, so an age must say where in the plan its node belongs, not when
/// some thread came to it. Each step is given a range of ages by its place in the order; within it, first come the
/// derivative's operations, then those of each edge in turn. The ranges of leaves lie above all others.
pub(super) struct Clock {
    /// Above the ages of all nodes of the pass; `None` if nothing is recorded.
    base: Option<u64>,
    places: u64,
}

const STEP: u32 = 24;
const EDGES: u64 = 1 << 23;
const EDGE: u32 = 4;
const SUM: u64 = 8;

impl Clock {
    /// For a pass of so many steps and leaves over nodes none of which is newer than `newest`.
    pub fn new(places: usize, newest: u64) -> Self {
        let base = mode::is_grad_enabled().then(|| clock().max(newest));
        Self { base, places: places as u64 + 1 }
    }

    #[inline]
    fn set(&self, place: u64) {
        if let Some(base) = self.base {
            set_clock(base + place);
        }
    }

    /// What is recorded next belongs to the derivative of the step at this place in the order.
    #[inline]
    pub fn derivative(&self, place: usize) {
        self.set((place as u64 + 1) << STEP);
    }

    /// What is recorded next brings the gradient of an edge to its input's shape.
    #[inline]
    pub fn edge(&self, place: usize, edge: usize) {
        self.set(((place as u64 + 1) << STEP) + EDGES + ((edge as u64) << EDGE));
    }

    /// What is recorded next adds the gradient of an edge to those before it.
    #[inline]
    pub fn sum(&self, place: usize, edge: usize) {
        self.set(((place as u64 + 1) << STEP) + EDGES + ((edge as u64) << EDGE) + SUM);
    }

    /// What is recorded next adds into a leaf; `place` counts leaves on from the steps.
    #[inline]
    pub fn leaf(&self, place: usize) {
        self.set((place as u64 + 1) << STEP);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // What is recorded after the pass is newer than all of it.
        self.set(self.places << STEP);
    }
}
