//! What a backward pass will do: the nodes it reaches, in order, each with a number and a slot for each of its outputs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use crate::engine::clock::Clock;
use crate::graph::{Derivative, Edge, NodeRef};

/// A node's part in the pass. Nodes are borrowed: the roots keep everything before them alive.
pub(super) struct Step<'g> {
    pub node: &'g NodeRef,
    /// Contributions that have to arrive before it runs.
    pub waiting: u32,
    /// The slot of its first output.
    pub slot: u32,
    /// The place of its first edge in [`Plan::targets`].
    pub edges: u32,
    pub flags: u8,
}

/// Adds into a leaf, as soon as its gradient is whole, instead of waiting for its turn.
pub(super) const LEAF: u8 = 1;
/// Its derivative is wanted; a target's own need not be.
pub(super) const RUNS: u8 = 2;
/// Its gradient is part of the answer.
pub(super) const CAPTURED: u8 = 4;

/// Its gradient is asked for, as part of the answer or to be kept in `.grad`.
pub(super) const ASKED: u8 = 8;

/// A gradient that somebody asked for.
#[derive(Clone, Copy)]
pub(super) struct Capture {
    pub step: u32,
    pub output: u32,
    /// Its place in the answer.
    pub place: u32,
}

/// What the targets of a pass are for.
pub(super) enum Targets<'a> {
    /// All leaves take their gradients.
    Leaves,
    /// These take theirs.
    These(&'a [Edge]),
    /// Nobody takes any: these are handed to the caller.
    Captured(&'a [Edge]),
}

pub(super) struct Plan<'g> {
    pub steps: Vec<Step<'g>>,
    /// For each root, its step and the slot of its gradient.
    pub roots: SmallVec<[(u32, u32); 1]>,
    /// For each edge of each step, the step that it leads to ([`NOWHERE`] if the input needs no gradient).
    pub targets: Vec<u32>,
    pub slots: usize,
    /// All steps but leaves, newest node first: each comes after all that lead to it.
    order: Vec<(u64, u32)>,
    captures: Vec<Capture>,
    pub answers: usize,
    /// Estimated, in elements of element-wise work, nodes that will not run included.
    pub work: u64,
    pub is_restricted: bool,
    pub clock: Clock,
    /// What to do around each derivative, if somebody watches.
    pub watched: Option<Derivative>,
}

/// Where the edge of an input that needs no gradient leads.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What running a node costs besides its kernels, in elements of element-wise work.
const OVERHEAD: u64 = 512;

/// Note [Numbered slots]: while it plans, a pass gives each node that it reaches a number, written into the node together
/// with the pass's own id. A node that another pass is numbering at the same time is numbered in a side table instead.
/// Marks are taken back when the plan is made: what runs afterwards looks nothing up.
struct Walk<'g> {
    steps: Vec<Step<'g>>,
    slots: u32,
    pass: u64,
    side: HashMap<usize, u32>,
}

static PASSES: AtomicU32 = AtomicU32::new(1);

impl<'g> Walk<'g> {
    fn new() -> Self {
        // Relaxed: only uniqueness among the passes that plan at one time matters. Zero means unmarked.
        let mut id = PASSES.fetch_add(1, Ordering::Relaxed);
        while id == 0 {
            id = PASSES.fetch_add(1, Ordering::Relaxed);
        }
        Self { steps: Vec::with_capacity(16), slots: 0, pass: u64::from(id) << 32, side: HashMap::new() }
    }

    #[inline]
    fn number(&self, node: &NodeRef) -> Option<u32> {
        // Relaxed: a mark with this pass's id was written by this thread.
        let mark = node.slot.load(Ordering::Relaxed);
        if mark & !0xffff_ffff == self.pass {
            return Some(mark as u32);
        }
        if self.side.is_empty() { None } else { self.side.get(&node.address()).copied() }
    }

    /// The step of a node, made if it is new.
    #[inline]
    fn reach(&mut self, node: &'g NodeRef) -> u32 {
        if let Some(number) = self.number(node) {
            return number;
        }
        let number = self.steps.len() as u32;
        let mark = self.pass | u64::from(number);
        // Relaxed: a mark says something only to the thread that wrote it.
        if node.slot.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.side.insert(node.address(), number);
        }
        let is_leaf = node.edges().is_empty() && node.rule().is_accumulator();
        let flags = if is_leaf { LEAF | RUNS } else { RUNS };
        self.steps.push(Step { node, waiting: 0, slot: self.slots, edges: 0, flags });
        self.slots += node.outputs().len() as u32;
        number
    }
}

impl<'g> Walk<'g> {
    /// Takes the marks back.
    fn finish(mut self) -> Vec<Step<'g>> {
        self.clear();
        std::mem::take(&mut self.steps)
    }

    fn clear(&self) {
        for step in &self.steps {
            if step.node.slot.load(Ordering::Relaxed) & !0xffff_ffff == self.pass {
                step.node.slot.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'g> Plan<'g> {
    /// The plan of a pass that starts at `roots`.
    pub fn new(roots: &'g [Edge], targets: &Targets<'_>) -> Self {
        let mut walk = Walk::new();
        let mut order = Vec::with_capacity(16);
        let mut leads = Vec::with_capacity(16);
        let (mut newest, mut is_sorted, mut work) = (0, true, 0_u64);
        let mut seeds = SmallVec::with_capacity(roots.len());
        for root in roots {
            let step = walk.reach(&root.node);
            seeds.push((step, walk.steps[step as usize].slot + root.output));
        }
        // Every node before a root, each once; `steps` grows while it is walked.
        let mut at = 0;
        while at < walk.steps.len() {
            let node: &'g NodeRef = walk.steps[at].node;
            walk.steps[at].edges = leads.len() as u32;
            for edge in node.edges() {
                leads.push(edge.as_ref().map_or(NOWHERE, |edge| {
                    let to = walk.reach(&edge.node);
                    walk.steps[to as usize].waiting += 1;
                    to
                }));
            }
            work = work.saturating_add(node.work().saturating_add(OVERHEAD));
            if walk.steps[at].flags & LEAF == 0 {
                // Complemented, so that the newest comes first; nodes of one age, which do not feed each other, keep
                // the order in which the walk met them.
                let age = !node.sequence();
                is_sorted &= newest <= age;
                newest = age;
                order.push((age, at as u32));
            }
            at += 1;
        }
        if !is_sorted {
            sort_by_age(&mut order);
        }
        let (edges, captured) = match targets {
            Targets::Leaves => (None, false),
            Targets::These(edges) => (Some(*edges), false),
            Targets::Captured(edges) => (Some(*edges), true),
        };
        let numbers: Option<Vec<Option<u32>>> =
            edges.map(|edges| edges.iter().map(|e| walk.number(&e.node)).collect());
        let slots = walk.slots as usize;
        let steps = walk.finish();
        let mut plan = Self {
            slots,
            watched: Derivative::watched(),
            clock: Clock::new(
                order.len() + steps.len(),
                roots.iter().map(|e| e.node.sequence()).max().unwrap_or(0),
            ),
            steps,
            roots: seeds,
            targets: leads,
            order,
            captures: Vec::new(),
            answers: if captured { edges.map_or(0, <[Edge]>::len) } else { 0 },
            work,
            is_restricted: false,
        };
        if let (Some(edges), Some(numbers)) = (edges, numbers) {
            plan.restrict(edges, &numbers, captured);
        }
        plan
    }

    /// Only what leads to a target runs.
    fn restrict(&mut self, edges: &[Edge], numbers: &[Option<u32>], captured: bool) {
        self.is_restricted = true;
        for step in &mut self.steps {
            step.flags &= !RUNS;
        }
        let mut needed = vec![false; self.steps.len()];
        for ((place, edge), number) in (0..).zip(edges).zip(numbers) {
            let Some(step) = *number else { continue };
            needed[step as usize] = true;
            let flags = &mut self.steps[step as usize].flags;
            *flags |= ASKED;
            if captured {
                *flags |= CAPTURED;
                self.captures.push(Capture { step, output: edge.output, place });
            } else if *flags & LEAF != 0 {
                *flags |= RUNS;
            }
        }
        self.captures.sort_unstable_by_key(|c| (c.step, c.place));
        // Oldest first: a node is needed if a node before it is.
        for &(_, i) in self.order.iter().rev() {
            if self.leads(i).iter().any(|&to| to != NOWHERE && needed[to as usize]) {
                self.steps[i as usize].flags |= RUNS;
                needed[i as usize] = true;
            }
        }
    }

    /// The steps in the order in which they run when nobody helps.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + '_ {
        self.order.iter().map(|&(_, i)| i)
    }

    /// The steps that get a gradient that somebody wants, leaves included, in the order of the inline pass.
    pub fn visits(&self) -> impl Iterator<Item = u32> + '_ {
        self.turns().filter(|&step| self.steps[step as usize].flags & (RUNS | ASKED) != 0)
    }

    /// All steps, leaves included, in the order of the inline pass.
    pub fn turns(&self) -> impl Iterator<Item = u32> + '_ {
        let mut waiting: Vec<u32> = self.steps.iter().map(|step| step.waiting).collect();
        let is_leaf = |step: u32| self.steps[step as usize].flags & LEAF != 0;
        let roots = self.roots.iter().map(|&(step, _)| step);
        let first = roots.filter(move |&step| is_leaf(step) && self.steps[step as usize].waiting == 0);
        let rest = self.order().flat_map(move |step| {
            let mut now = vec![step];
            for &to in self.leads(step).iter().filter(|&&to| to != NOWHERE) {
                waiting[to as usize] -= 1;
                if waiting[to as usize] == 0 && is_leaf(to) {
                    now.push(to);
                }
            }
            now
        });
        first.chain(rest)
    }

    /// The step at a place in the order.
    #[inline]
    pub fn at(&self, place: usize) -> u32 {
        self.order[place].1
    }

    /// Where the edges of a step lead.
    #[inline]
    pub fn leads(&self, step: u32) -> &[u32] {
        let step = &self.steps[step as usize];
        let first = step.edges as usize;
        &self.targets[first..first + step.node.edges().len()]
    }

    /// The edges of a step that lead somewhere: each one's number and slot.
    pub fn edges(&self, step: u32) -> impl Iterator<Item = (usize, usize)> + '_ {
        let node = self.steps[step as usize].node;
        let edges = node.edges().iter().zip(self.leads(step)).enumerate();
        edges.filter_map(|(k, (edge, &to))| {
            let output = edge.as_ref()?.output;
            Some((k, (self.steps.get(to as usize)?.slot + output) as usize))
        })
    }

    /// What was asked for of a step's gradients.
    pub fn captures(&self, step: u32) -> impl Iterator<Item = &Capture> {
        let first = self.captures.partition_point(|c| c.step < step);
        self.captures[first..].iter().take_while(move |c| c.step == step)
    }

    /// Which of a step's inputs want their gradient, one bit each; inputs past the 63rd always do.
    pub fn wanted(&self, step: u32) -> u64 {
        if !self.is_restricted {
            return u64::MAX;
        }
        let mut wanted = u64::MAX;
        for (k, &to) in self.leads(step).iter().enumerate().take(63) {
            if to != NOWHERE && self.steps[to as usize].flags & (RUNS | ASKED) == 0 {
                wanted &= !(1 << k);
            }
        }
        wanted
    }

    /// The work of what will run, and that of its heaviest path. What stays with the caller is a path too.
    pub fn work_and_path(&self) -> (u64, u64) {
        let (mut total, mut longest, mut callers) = (0_u64, 0, 0_u64);
        let mut before = vec![0_u64; self.steps.len()];
        for i in self.order() {
            let step = &self.steps[i as usize];
            if step.flags & RUNS == 0 {
                continue;
            }
            let work = step.node.work().saturating_add(OVERHEAD);
            total = total.saturating_add(work);
            if step.node.stays_with_caller() {
                callers = callers.saturating_add(work);
            }
            let here = before[i as usize].saturating_add(work);
            longest = here.max(longest);
            for &to in self.leads(i) {
                if to != NOWHERE {
                    let there = &mut before[to as usize];
                    *there = here.max(*there);
                }
            }
        }
        (total, longest.max(callers))
    }
}

/// Sorts steps by their age. Ages are given one after the other, so those of a graph that was recorded in one go leave few
/// gaps: then each step has a place of its own, and none is compared with another.
fn sort_by_age(order: &mut Vec<(u64, u32)>) {
    /// What no step is numbered.
    const NOBODY: u32 = u32::MAX;
    /// The most places for a step.
    const ROOM: usize = 4;
    let ages = || order.iter().map(|&(age, _)| age);
    let (Some(first), Some(last)) = (ages().min(), ages().max()) else { return };
    let room = usize::try_from(last - first).unwrap_or(usize::MAX);
    if room >= ROOM * order.len() {
        return order.sort_unstable();
    }
    let mut places = vec![NOBODY; room + 1];
    for &(age, step) in &*order {
        let place = &mut places[(age - first) as usize];
        if *place != NOBODY {
            // Made on different threads.
            return order.sort_unstable();
        }
        *place = step;
    }
    order.clear();
    order.extend((first..=last).zip(places).filter(|&(_, step)| step != NOBODY));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::sort_by_age;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Ages close together and far apart, of one thread (none twice) and of several.
        #[test]
        fn steps_are_sorted_by_age_and_then_by_number(
            ages in prop::collection::vec(0..60_u64, 0..50),
            spread in prop::sample::select(vec![1_u64, 3, 1 << 40]),
            first in prop::sample::select(vec![0_u64, 17, !(60 << 40)]),
            is_of_one_thread in any::<bool>(),
        ) {
            let mut seen = std::collections::HashSet::new();
            let ages = ages.into_iter().filter(|&age| seen.insert(age) || !is_of_one_thread);
            let mut order: Vec<(u64, u32)> = ages.map(|age| first + age * spread).zip(0..).collect();
            let mut expected = order.clone();
            expected.sort_unstable();
            sort_by_age(&mut order);
            prop_assert_eq!(order, expected);
        }
    }
}
