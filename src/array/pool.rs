//! The one process-local pool of threads: the caller works too, and never waits for a helper that has not started.
//!
//! Note [The caller works too]:
//! A parallel call is one closure, run by the caller and by as many detached helpers as happen to wake in time.
//! The caller never blocks on a sleeping thread: when it finds nothing left to do it closes the gathering, and from then on
//! a late helper turns away at the door. Only helpers already inside are waited for, and they are busy with the last pieces.
//! So going parallel can cost a few microseconds, but never the milliseconds that a thread can take to wake, and
//! a pool that cannot make a thread at all is still a correct, serial, pool.
//! A helper that has worked looks out for more during a moment before it sleeps (`threads.rs`), so that in a stream of
//! kernels it is there at once; one that waits longer is asleep, and takes no other program's time.
//! The door is `gate.rs`, small enough to be model-checked (`tests/pool_model.rs`), as is the sharing out of a loop, `claims.rs`.
//!
//! Which thread runs which index is in the end left to chance; a caller that wants the same bits for every number of threads
//! lets each index write its own place, and combines the places in index order.

mod claims;
mod context;
mod gate;
mod size;
mod sync;
mod threads;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

pub use context::{
    Interrupted, check_interrupt, is_interrupted, poll_interrupt, serially, uninterruptible, with_interrupt,
};
pub use size::{num_threads, set_num_threads};

use claims::Claims;
use context::Context;
use gate::Gathering;
use threads::Threads;

/// Runs `work` on the caller and on up to `helpers` threads of the pool at once.
///
/// `work` is called once by each participant and returns when it finds nothing left to do. At most
/// [`num_threads`]` - 1` helpers are invited, none inside [`serially`]. Returns when the caller's call has returned and every
/// helper that started has left; helpers that had not started by then never run.
///
/// # Panics
///
/// Re-throws a participant's panic (the caller's own, if it has one) after all have left.
#[inline]
pub fn join_in(helpers: usize, work: &(dyn Fn() + Sync)) {
    let context = Context::current();
    let helpers = if context.serial { 0 } else { helpers.min(num_threads() - 1) };
    if helpers == 0 { work() } else { gather(helpers, &|_| work(), context) }
}

/// Runs `work` on the caller, which may invite helpers later, as often as it likes; so may they.
///
/// Like [`join_in`] in all else: a helper that finds nothing to do leaves, and can be invited again when there is something.
pub fn open_call(work: &(dyn Fn(&Crew<'_>) + Sync)) {
    let context = Context::current();
    if context.serial || num_threads() == 1 {
        work(&Crew { open: None, place: 0 });
    } else {
        gather(0, work, context);
    }
}

/// One participant's view of a parallel call that is under way.
pub struct Crew<'a> {
    open: Option<(&'static Threads, &'a Arc<Call>)>,
    /// 0 for the caller, and for a thread of the pool its number there, from 1.
    place: usize,
}

impl Crew<'_> {
    /// Whether this participant is the one whose call it is.
    pub fn is_caller(&self) -> bool {
        self.place == 0
    }

    /// Asks so many threads of the pool to come. Those that find the call over, or no work in it, go again.
    pub fn invite(&self, helpers: usize) {
        if let Some((threads, call)) = self.open {
            invite(threads, call, helpers);
        }
    }
}

/// Calls `body(i)` once for each `i` in `0..count`, in pieces taken by the caller and its helpers.
///
/// Each begins with a range of its own, the same in every call, and helps the others when that is done.
/// Serial, in index order, when `count <= 1`, when [`num_threads`] is 1, and inside [`serially`].
///
/// # Panics
///
/// Re-throws a panic of `body` after all have left; indices not yet claimed by then are not called. Unwinds with
/// [`Interrupted`] when the check of an enclosing [`with_interrupt`] says so.
#[inline]
pub fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => body(0),
        _ => for_each_of_many(count, body),
    }
}

/// [`for_each`], but alone unless it is `worth` waking anybody: work of less than some 40 microseconds is not.
#[inline]
pub fn for_each_if(worth: bool, count: usize, body: &(dyn Fn(usize) + Sync)) {
    if worth { for_each(count, body) } else { (0..count).for_each(body) }
}

fn for_each_of_many(count: usize, body: &(dyn Fn(usize) + Sync)) {
    let context = Context::current();
    let helpers = if context.serial { 0 } else { (count - 1).min(num_threads() - 1) };
    if helpers == 0 {
        for index in 0..count {
            poll_interrupt();
            body(index);
        }
        return;
    }
    let shares = (helpers + 1).min(SHARES_MAX);
    let piece = (count / (shares * PIECES)).max(1);
    // A piece has at least half its part of the whole, so there are at most `2 * PIECES` in a share.
    let claims = Claims::new(count.div_ceil(piece) as u32, shares);
    gather(
        helpers,
        &|crew| {
            // Dropped by a panic of `body` too: the others need not finish what is lost anyway.
            let _rest = Abandon(&claims);
            while let Some(number) = claims.next(crew.place) {
                let start = number as usize * piece;
                for index in start..count.min(start.saturating_add(piece)) {
                    if context::is_interrupted() {
                        return;
                    }
                    body(index);
                }
            }
        },
        context,
    );
    poll_interrupt();
}

/// Shares of a loop at most, however many threads somebody asks for; what more there are begin where others do.
const SHARES_MAX: usize = 1024;

/// Pieces for each participant: enough to even out unequal speeds, few enough that taking one costs nothing beside it.
const PIECES: usize = 16;

/// Leaves nothing to take, when the participant that holds it goes, for whatever reason it goes.
struct Abandon<'a>(&'a Claims);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

type Panic = Box<dyn Any + Send>;

/// What each participant of a parallel call runs.
type Work = dyn Fn(&Crew<'_>) + Sync;

/// One parallel call, shared by its caller and the helpers it invited; outlives the call for those that come late.
struct Call {
    gathering: Gathering,
    /// Borrowed from the caller's frame: alive only while the gathering is open or somebody is inside.
    work: &'static Work,
    context: Context,
    panic: Mutex<Option<Panic>>,
}

/// The parallel part of [`join_in`] and [`open_call`].
fn gather(helpers: usize, work: &(dyn Fn(&Crew<'_>) + Sync), context: Context) {
    let Some(threads) = Threads::current() else { return work(&Crew { open: None, place: 0 }) };
    // SAFETY: only the lifetime is changed. Besides this frame, `work` is called only by `help`, and there only between
    // entering and leaving `call.gathering`; this function does not return or unwind before the gathering is closed, when
    // nobody enters any more, and everyone who entered has left. Nothing between here and `wait` can unwind: `invite` does
    // not, and the calls of foreign code are caught.
    let work = unsafe { std::mem::transmute::<&(dyn Fn(&Crew<'_>) + Sync), &'static Work>(work) };
    let call = Arc::new(Call {
        gathering: Gathering::new(),
        work,
        context: context.of_helpers(),
        panic: Mutex::new(None),
    });
    invite(threads, &call, helpers);
    let crew = Crew { open: Some((threads, &call)), place: 0 };
    let mut outcome = catch_unwind(AssertUnwindSafe(|| work(&crew)));
    call.gathering.close();
    // The caller keeps an ear open while helpers finish, so that a long piece of theirs can be interrupted too.
    while !call.gathering.wait(context.patience()) {
        if let Err(panic) = catch_unwind(context::check_interrupt) {
            outcome = outcome.and(Err(panic));
        }
    }
    let panic = call.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(panic) = outcome.err().or(panic) {
        resume_unwind(panic);
    }
}

/// Asks `helpers` threads to come: two at once, each of which, once it is awake, asks half of the rest.
///
/// Waking a thread costs its waker a system call, so a caller that woke all of them itself would be late for its own work.
fn invite(threads: &'static Threads, call: &Arc<Call>, helpers: usize) {
    let first = helpers.div_ceil(2);
    for branch in [first, helpers - first] {
        if branch > 0 {
            let call = Arc::clone(call);
            threads.spawn(move || help(threads, &call, branch - 1));
        }
    }
}

/// What a helper does when it wakes: joins in if it is not too late, and brings `others` along.
fn help(threads: &'static Threads, call: &Arc<Call>, others: usize) {
    let Some(_inside) = call.gathering.enter() else { return };
    invite(threads, call, others);
    let place = 1 + rayon::current_thread_index().unwrap_or(0);
    let crew = Crew { open: Some((threads, call)), place };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call.context.enter(|| (call.work)(&crew)))) {
        // A second panic is dropped: the caller can throw only one.
        call.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
    }
}
