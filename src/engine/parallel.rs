//! The pass on several threads: whoever finishes a node goes on with one that it made ready.
//!
//! Note [A chain stays on its thread]: a worker that finishes a node continues with the newest of the nodes it made ready,
//! and leaves the others to whoever looks for work, inviting helpers as there are others. A helper that finds nothing
//! leaves, so that kernels can use its thread; only the caller waits. When one long node is all that is left to do and
//! a helper made it ready, it leaves that node to the waiting caller, for its own thread to help in the node's kernels.
//!
//! Note [A user's code runs on the caller]: hooks, custom functions of the embedding language and unpacking may count on their
//! thread: it holds a lock that they enter again, or has values of its own. So the caller runs these nodes itself, and in
//! the order of the inline pass, which a log that hooks write, or a stream that they draw from, can be told by. A node at its
//! turn waits for nodes before it only; so the turns come to an end.
//!
//! Note [One pass wins]: of several passes that walk one graph at a time without keeping it, one is to come to its end, though
//! each takes what it finds of saved values. So all begin alike: the caller alone runs nodes in the order of the inline pass, up
//! to the first whose saved values it could take. Whoever comes later fails at that node.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::array::pool::{self, Crew};
use crate::engine::current::{self, Current};
use crate::engine::fold::Fold;
use crate::engine::inline::LONG;
use crate::engine::plan::{LEAF, NOWHERE, Plan, RUNS};
use crate::engine::visit::{Outputs, visit, visit_leaf};
use crate::engine::{Options, Seeds, error_of};
use crate::error::{Error, Kind, Result};
use crate::graph::{Tensor, mode, vector_space};

/// Work, in elements of element-wise work, below which waking a helper costs more than it gives: about 100 µs.
const WORTH_WAKING: u64 = 1 << 20;
/// Mean work of a node below which threads would mostly wait for each other's bookkeeping: about 2 µs.
const COARSE: u64 = 1 << 14;
/// Work of one node whose kernels are worth a helper's thread: about 50 µs.
const WIDE_KERNEL: u64 = 1 << 19;

/// Whether several threads would finish the pass sooner than one.
pub(super) fn pays(plan: &Plan<'_>) -> bool {
    let is_worth_it = |work: u64| work >= WORTH_WAKING && work / plan.steps.len() as u64 >= COARSE;
    // Asked of what is known first: to find the heaviest path is a walk through the whole plan.
    if pool::num_threads() == 1 || !is_worth_it(plan.work) {
        return false;
    }
    let (total, path) = plan.work_and_path();
    // Wide: the work is at least 1.3 times its heaviest path.
    is_worth_it(total) && total / 13 > path / 10
}

/// Runs the plan; answers with what was captured.
pub(super) fn run(
    plan: &Plan<'_>,
    seeds: Seeds,
    options: Options,
    mode: mode::Mode,
    current: Option<Arc<Current>>,
) -> Result<Vec<Option<Tensor>>> {
    let pass = Pass::new(plan, options, mode, current);
    for ((&(_, slot), grad), number) in plan.roots.iter().zip(seeds).zip(&pass.roots) {
        pass.slots[slot as usize].bring(*number, Some(grad), |_, a, b| vector_space::add_grads(a, b))?;
    }
    for &(step, _) in &plan.roots {
        let here = &plan.steps[step as usize];
        if here.waiting == 0 && here.flags & LEAF != 0 {
            pass.leaf(step)?;
        }
    }
    pool::open_call(&|crew| pass.work(crew));
    let state = pass.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failure {
        Some((_, error)) => Err(error),
        None => Ok(pass.answers.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// What all workers share.
struct Pass<'p, 'g> {
    plan: &'p Plan<'g>,
    options: Options,
    mode: mode::Mode,
    current: Option<Arc<Current>>,
    threads: usize,
    slots: Vec<Fold>,
    /// For each step, its place in the order.
    places: Vec<u32>,
    /// For each edge, the number of its contribution; for each slot, the edges by number, for their ages.
    numbers: Vec<u32>,
    roots: Vec<u32>,
    /// The steps that the caller runs itself, in their order; for each step, whether it is one.
    callers: Vec<u32>,
    is_callers: Vec<bool>,
    sources: Vec<SmallVec<[(u32, u32); 1]>>,
    answers: Mutex<Vec<Option<Tensor>>>,
    state: Mutex<State>,
    /// Tells the caller, the only one who waits, that there is work or none is left.
    news: Condvar,
}

struct State {
    /// Contributions still to come, per step.
    waiting: Vec<u32>,
    /// Places of nodes that could run, the newest node on top; without those that the caller runs itself.
    ready: BinaryHeap<Reverse<u32>>,
    /// How many of its own steps the caller has begun.
    turn: usize,
    /// Whether saved values were taken, or need not be. Until then the caller is alone.
    claimed: bool,
    /// Workers that run a node.
    active: usize,
    /// Helpers that are here or on their way.
    helpers: usize,
    caller_waits: bool,
    /// What went wrong, at the earliest place among those where something did.
    failure: Option<(u32, Error)>,
}

/// What there is to run.
#[derive(Clone, Copy)]
enum Job {
    /// The node at this place.
    Node(u32),
    /// A leaf, by its step.
    Leaf(u32),
}

/// What a worker does next.
enum Next {
    /// Runs this.
    Run(Job, Surroundings),
    /// Looks for work.
    Look,
    /// Goes: its thread is of more use to a kernel.
    Leave,
}

/// Whether a node's kernels would find idle threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    Crowded,
    Idle,
}

impl<'p, 'g> Pass<'p, 'g> {
    fn new(plan: &'p Plan<'g>, options: Options, mode: mode::Mode, current: Option<Arc<Current>>) -> Self {
        let mut counts = vec![0_u32; plan.slots];
        let mut number = |slot: usize| {
            counts[slot] += 1;
            counts[slot] - 1
        };
        let mut sources = vec![SmallVec::new(); plan.slots];
        let mut places = vec![0; plan.steps.len()];
        let mut numbers = vec![0; plan.targets.len()];
        let roots: Vec<u32> = plan.roots.iter().map(|&(_, slot)| number(slot as usize)).collect();
        for &(_, slot) in &plan.roots {
            sources[slot as usize].push((0, 0));
        }
        for (place, step) in (0..).zip(plan.order()) {
            places[step as usize] = place;
            let first = plan.steps[step as usize].edges as usize;
            for (k, slot) in plan.edges(step) {
                numbers[first + k] = number(slot);
                sources[slot].push((place, k as u32));
            }
        }
        let is_callers: Vec<bool> = plan.steps.iter().map(|step| step.node.stays_with_caller()).collect();
        let callers = if is_callers.contains(&true) {
            // A leaf that is a root has had its turn before.
            let is_due = |step: usize| plan.steps[step].flags & LEAF == 0 || plan.steps[step].waiting > 0;
            plan.turns().filter(|&step| is_callers[step as usize] && is_due(step as usize)).collect()
        } else {
            Vec::new()
        };
        let is_ready = |step: usize| plan.steps[step].waiting == 0 && !is_callers[step];
        let ready = plan.order().enumerate().filter(|&(_, step)| is_ready(step as usize));
        let state = State {
            waiting: plan.steps.iter().map(|s| s.waiting).collect(),
            ready: ready.map(|(place, _)| Reverse(place as u32)).collect(),
            turn: 0,
            claimed: options.retain_graph
                || !plan.steps.iter().any(|step| step.flags & RUNS != 0 && step.node.is_for_one()),
            active: 0,
            helpers: 0,
            caller_waits: false,
            failure: None,
        };
        Self {
            plan,
            options,
            mode,
            current,
            threads: pool::num_threads(),
            slots: (0..plan.slots).map(|_| Fold::default()).collect(),
            places,
            numbers,
            roots,
            callers,
            is_callers,
            sources,
            answers: Mutex::new(vec![None; plan.answers]),
            state: Mutex::new(state),
            news: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, place: u32, grad: Tensor) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers[place as usize] = Some(grad);
    }

    /// What each participant does.
    fn work(&self, crew: &Crew<'_>) {
        let _mode = mode::enter(self.mode);
        let _current = current::join(self.current.clone());
        let mut next = Next::Look;
        loop {
            let (job, surroundings) = match next {
                Next::Run(job, surroundings) => (job, surroundings),
                Next::Look => match self.look(crew) {
                    Some(found) => found,
                    None => return,
                },
                Next::Leave => return,
            };
            // An interrupt reaches the caller as a panic, and as a failure of the node it interrupts.
            let ran = catch_unwind(AssertUnwindSafe(|| match surroundings {
                Surroundings::Crowded => pool::serially(|| self.run(job)),
                Surroundings::Idle => self.run(job),
            }));
            next = match (ran.unwrap_or_else(|panic| Err(error_of(panic))), job) {
                (Ok(()), Job::Node(place)) => self.finish(crew, self.plan.at(place as usize)),
                (Ok(()), Job::Leaf(_)) => self.rest(crew, self.lock()),
                (Err(error), Job::Node(place)) => self.fail(crew, place, error),
                (Err(error), Job::Leaf(_)) => self.fail(crew, u32::MAX, error),
            };
        }
    }

    fn run(&self, job: Job) -> Result<()> {
        match job {
            Job::Node(place) => self.node(place),
            Job::Leaf(step) => self.leaf(step),
        }
    }

    /// Runs a node and brings its gradients to where they belong.
    fn node(&self, place: u32) -> Result<()> {
        let plan = self.plan;
        let step = plan.at(place as usize);
        let here = &plan.steps[step as usize];
        if here.node.work() > LONG {
            pool::check_interrupt();
        }
        pool::poll_interrupt();
        let slot = here.slot as usize;
        let grads: Outputs = match here.node.outputs().len() {
            1 => smallvec![self.slots[slot].take()],
            n => self.slots[slot..slot + n].iter().map(Fold::take).collect(),
        };
        plan.clock.derivative(place as usize);
        let results = visit(plan, step, grads, self.options, &mut |place, grad| self.answer(place, grad))?;
        let mut results = results.unwrap_or_default();
        for (k, slot) in plan.edges(step) {
            let mut grad = results.get_mut(k).and_then(Option::take);
            if let (Some(found), Some(edge)) = (grad.take(), &here.node.edges()[k]) {
                plan.clock.edge(place as usize, k);
                grad = Some(vector_space::fit_edge(found, here.node, k, edge, self.options.batch)?);
            }
            let number = self.numbers[here.edges as usize + k];
            self.slots[slot].bring(number, grad, |number, sum, grad| {
                let (place, k) = self.sources[slot][number as usize];
                plan.clock.sum(place as usize, k as usize);
                vector_space::add_grads(sum, grad)
            })?;
        }
        Ok(())
    }

    /// Counts a node's contributions as arrived and says what to do next.
    fn finish(&self, crew: &Crew<'_>, step: u32) -> Next {
        let mut leaves: SmallVec<[u32; 4]> = SmallVec::new();
        let mut made: SmallVec<[u32; 4]> = SmallVec::new();
        let mut state = self.lock();
        for &to in self.plan.leads(step) {
            if to == NOWHERE {
                continue;
            }
            let waiting = &mut state.waiting[to as usize];
            *waiting -= 1;
            if *waiting == 0 && !self.is_callers[to as usize] {
                if self.plan.steps[to as usize].flags & LEAF == 0 {
                    made.push(self.places[to as usize]);
                } else {
                    leaves.push(to);
                }
            }
        }
        if state.failure.is_some() {
            return self.rest(crew, state);
        }
        made.sort_unstable();
        if !state.claimed {
            let node = self.plan.steps[step as usize].node;
            state.claimed = node.is_for_one() && node.is_freed();
        }
        let is_due = self.callers_turn(&state).is_some();
        let goes_on = state.claimed && !(is_due && crew.is_caller());
        let own = made.first().copied().filter(|_| goes_on);
        for &place in made.iter().skip(usize::from(own.is_some())) {
            state.ready.push(Reverse(place));
        }
        let wanted = self.wanted(&mut state);
        let caller_waits = state.caller_waits && (is_due || !state.ready.is_empty());
        if !leaves.is_empty() {
            // Others need not wait for the leaves, but the pass must: this worker counts as active meanwhile.
            drop(state);
            self.call_for_help(crew, wanted, caller_waits);
            for leaf in leaves {
                let added = catch_unwind(AssertUnwindSafe(|| self.leaf(leaf)));
                if let Err(error) = added.unwrap_or_else(|panic| Err(error_of(panic))) {
                    return self.fail(crew, u32::MAX, error);
                }
            }
            state = self.lock();
        } else if wanted > 0 || caller_waits {
            drop(state);
            self.call_for_help(crew, wanted, caller_waits);
            state = self.lock();
        }
        if state.failure.is_some() {
            return self.rest(crew, state);
        }
        let Some(place) = own else { return self.rest(crew, state) };
        let is_last = state.caller_waits && state.active == 1 && state.ready.is_empty();
        if is_last && self.plan.steps[self.plan.at(place as usize) as usize].node.work() >= WIDE_KERNEL {
            state.ready.push(Reverse(place));
            state.active -= 1;
            state.helpers = state.helpers.saturating_sub(1);
            drop(state);
            self.news.notify_one();
            return Next::Leave;
        }
        Next::Run(Job::Node(place), self.surroundings(&state))
    }

    /// With nothing to go on with: no longer active.
    fn rest(&self, crew: &Crew<'_>, mut state: MutexGuard<'_, State>) -> Next {
        state.active -= 1;
        let is_over = state.active == 0 && (state.ready.is_empty() || state.failure.is_some());
        drop(state);
        if is_over && !crew.is_caller() {
            self.news.notify_one();
        }
        Next::Look
    }

    fn call_for_help(&self, crew: &Crew<'_>, helpers: usize, caller_waits: bool) {
        if caller_waits {
            self.news.notify_one();
        }
        crew.invite(helpers);
    }

    fn fail(&self, crew: &Crew<'_>, place: u32, error: Error) -> Next {
        let mut state = self.lock();
        if state.failure.as_ref().is_none_or(|(first, _)| place < *first) {
            state.failure = Some((place, error));
        }
        self.rest(crew, state)
    }

    /// How many helpers to invite, who from now on count as being here.
    fn wanted(&self, state: &mut State) -> usize {
        if !state.claimed {
            return 0;
        }
        let wanted = state.ready.len().min((self.threads - 1).saturating_sub(state.helpers));
        state.helpers += wanted;
        wanted
    }

    fn surroundings(&self, state: &State) -> Surroundings {
        if state.claimed && state.active + state.ready.len() >= self.threads {
            Surroundings::Crowded
        } else {
            Surroundings::Idle
        }
    }

    /// The next of the steps that the caller runs itself, if it can run now.
    fn callers_turn(&self, state: &State) -> Option<u32> {
        self.callers.get(state.turn).copied().filter(|&step| state.waiting[step as usize] == 0)
    }

    /// Takes what there is for this worker.
    fn take(&self, crew: &Crew<'_>, state: &mut State) -> Option<Job> {
        if crew.is_caller()
            && let Some(step) = self.callers_turn(state)
        {
            let is_leaf = self.plan.steps[step as usize].flags & LEAF != 0;
            let newest = state.ready.peek().filter(|_| !state.claimed && !is_leaf);
            if newest.is_some_and(|&Reverse(place)| place < self.places[step as usize]) {
                return state.ready.pop().map(|Reverse(place)| Job::Node(place));
            }
            state.turn += 1;
            return Some(if is_leaf { Job::Leaf(step) } else { Job::Node(self.places[step as usize]) });
        }
        state.ready.pop().map(|Reverse(place)| Job::Node(place))
    }

    /// Something to run; `None` when there will be nothing, or, for a helper, when there is nothing.
    fn look(&self, crew: &Crew<'_>) -> Option<(Job, Surroundings)> {
        /// How long the caller sleeps before it asks whether to go on.
        const PATIENCE: Duration = Duration::from_millis(20);
        let mut state = self.lock();
        loop {
            if state.failure.is_none()
                && let Some(job) = self.take(crew, &mut state)
            {
                state.active += 1;
                let surroundings = self.surroundings(&state);
                let wanted = self.wanted(&mut state);
                drop(state);
                crew.invite(wanted);
                return Some((job, surroundings));
            }
            if !crew.is_caller() {
                state.helpers = state.helpers.saturating_sub(1);
                return None;
            }
            if state.active == 0 || state.failure.is_some() {
                return None;
            }
            state.caller_waits = true;
            state = self.news.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
            state.caller_waits = false;
            drop(state);
            // Asked without the lock: the check may run anything.
            let asked = catch_unwind(pool::check_interrupt);
            let is_interrupted = pool::is_interrupted();
            state = self.lock();
            if state.failure.is_none() && (is_interrupted || asked.is_err()) {
                let error = asked.map_or_else(error_of, |()| Kind::Interrupted.into());
                state.failure = Some((0, error));
            }
        }
    }

    fn leaf(&self, step: u32) -> Result<()> {
        let grad = self.slots[self.plan.steps[step as usize].slot as usize].take();
        self.plan.clock.leaf(self.places.len() + step as usize);
        visit_leaf(self.plan, step, grad, self.options, &mut |place, grad| self.answer(place, grad))
    }
}
