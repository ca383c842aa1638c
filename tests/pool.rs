//! What the thread pool promises its callers.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use arcgrad::array::pool::{
    Interrupted, for_each, join_in, num_threads, poll_interrupt, serially, set_num_threads, uninterruptible,
    with_interrupt,
};

/// The number of threads belongs to the process, so tests that set it take turns.
fn with_threads(n: usize) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set_num_threads(n);
    // Helpers first turn away from what an earlier test invited them to; until then new invitations may be dropped.
    assert!(n == 1 || a_helper_comes());
    turn
}

/// Whether a thread of the pool joins in a call of this thread, of several if it must be.
fn a_helper_comes() -> bool {
    (0..1000).any(|_| {
        let seen = Mutex::new(HashSet::new());
        let both_are_in = || seen.lock().unwrap().len() == 2;
        for_each(2, &|_| {
            seen.lock().unwrap().insert(thread::current().id());
            let patience = Instant::now() + ms(20);
            while !both_are_in() && Instant::now() < patience {
                thread::yield_now();
            }
        });
        both_are_in()
    })
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn every_index_is_called_exactly_once() {
    let _turn = with_threads(4);
    for count in [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 10_007] {
        let calls: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        for_each(count, &|i| {
            calls[i].fetch_add(1, Relaxed);
        });
        assert!(calls.iter().all(|n| n.load(Relaxed) == 1), "count {count}");
    }
}

#[test]
fn ten_thousand_tiny_jobs_in_a_row_all_finish() {
    let _turn = with_threads(4);
    let sum = AtomicUsize::new(0);
    for _ in 0..10_000 {
        for_each(3, &|i| {
            sum.fetch_add(i, Relaxed);
        });
    }
    assert_eq!(sum.into_inner(), 30_000);
}

#[test]
fn callers_on_many_threads_share_the_pool() {
    let _turn = with_threads(3);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let sum = AtomicUsize::new(0);
                    for_each(20, &|i| {
                        sum.fetch_add(i, Relaxed);
                    });
                    assert_eq!(sum.into_inner(), 190);
                }
            });
        }
    });
}

/// Nanoseconds that the pool's threads have run until now.
#[cfg(target_os = "linux")]
fn helpers_ran() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    // A thread that ends meanwhile has no files any more.
    let ran = |task: &std::path::Path| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let ran = std::fs::read_to_string(task.join("schedstat")).ok()?;
        name.starts_with("arcgrad-").then(|| ran.split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    tasks.filter_map(|task| ran(&task)).sum()
}

#[cfg(target_os = "linux")]
#[test]
fn a_helper_sleeps_soon_after_its_work() {
    let _turn = with_threads(2);
    assert!(a_helper_comes());
    // By then it has looked out long enough, and threads of earlier tests have ended.
    sleep(ms(50));
    let before = helpers_ran();
    assert!(before > 0);
    sleep(ms(200));
    assert!(helpers_ran() - before < 2_000_000, "helpers ran for {} ns", helpers_ran() - before);
}

#[test]
fn a_helper_comes_when_there_is_time() {
    let _turn = with_threads(2);
    let seen = Mutex::new(HashSet::new());
    let both = Barrier::new(2);
    // The barrier can only be passed by two threads inside at once.
    for_each(2, &|_| {
        both.wait();
        seen.lock().unwrap().insert(thread::current().id());
    });
    assert_eq!(seen.into_inner().unwrap().len(), 2);
}

#[test]
fn each_begins_every_loop_at_the_same_place() {
    let _turn = with_threads(2);
    let me = thread::current().id();
    for _ in 0..100 {
        let both = Barrier::new(2);
        let firsts = Mutex::new(Vec::new());
        for_each(64, &|index| {
            let mine = thread::current().id() == me;
            let is_first = {
                let mut firsts = firsts.lock().unwrap();
                let is_first = firsts.iter().all(|&(of_caller, _)| of_caller != mine);
                if is_first {
                    firsts.push((mine, index));
                }
                is_first
            };
            if is_first {
                both.wait();
            }
        });
        let mut firsts = firsts.into_inner().unwrap();
        firsts.sort_unstable();
        assert_eq!(firsts, [(false, 32), (true, 0)]);
    }
}

#[test]
fn no_more_take_part_than_asked_for_or_allowed() {
    let _turn = with_threads(3);
    for (helpers, most) in [(0, 1), (1, 2), (2, 3), (100, 3)] {
        let participants = AtomicUsize::new(0);
        join_in(helpers, &|| {
            participants.fetch_add(1, Relaxed);
            sleep(ms(10));
        });
        let participants = participants.into_inner();
        assert!((1..=most).contains(&participants), "{participants} of {most}");
    }
}

#[test]
fn a_call_does_not_wait_for_helpers_that_never_start() {
    let _turn = with_threads(2);
    let (occupied, release) = (Barrier::new(3), AtomicBool::new(false));
    thread::scope(|scope| {
        // One outside caller fills the pool's only thread, and itself, until it is released.
        scope.spawn(|| {
            for_each(2, &|_| {
                occupied.wait();
                while !release.load(Relaxed) {
                    thread::yield_now();
                }
            });
        });
        occupied.wait();
        let me = thread::current().id();
        let mine = AtomicUsize::new(0);
        for_each(100, &|_| {
            mine.fetch_add(usize::from(thread::current().id() == me), Relaxed);
        });
        // Released only now: had the call waited for its helper, this line would never be reached.
        release.store(true, Relaxed);
        assert_eq!(mine.into_inner(), 100);
    });
}

#[test]
fn a_helper_that_starts_after_the_call_touches_nothing_of_it() {
    let _turn = with_threads(2);
    for _ in 0..2000 {
        let frame = vec![1_usize; 8];
        let inside = AtomicUsize::new(0);
        join_in(1, &|| {
            inside.fetch_add(1, Relaxed);
            assert_eq!(frame.iter().sum::<usize>(), 8);
            inside.fetch_sub(1, Relaxed);
        });
        assert_eq!(inside.into_inner(), 0);
        drop(frame);
    }
}

#[test]
fn loops_nest() {
    let _turn = with_threads(3);
    let sum = AtomicUsize::new(0);
    for_each(10, &|i| {
        for_each(10, &|j| {
            for_each(10, &|k| {
                sum.fetch_add(100 * i + 10 * j + k, Relaxed);
            });
        });
    });
    assert_eq!(sum.into_inner(), 999 * 1000 / 2);
}

#[test]
fn a_loop_inside_a_helper_may_use_an_idle_thread() {
    let _turn = with_threads(3);
    let main = thread::current().id();
    let (outer, inner) = (Barrier::new(2), Barrier::new(2));
    let met = AtomicBool::new(false);
    for_each(2, &|_| {
        outer.wait();
        if thread::current().id() != main {
            for_each(2, &|_| {
                inner.wait();
            });
            met.store(true, Relaxed);
        }
    });
    assert!(met.into_inner());
}

#[test]
fn endless_nested_loops_on_busy_threads_do_not_pile_up_invitations() {
    let _turn = with_threads(2);
    let sum = AtomicUsize::new(0);
    for_each(2, &|_| {
        for _ in 0..20_000 {
            for_each(2, &|i| {
                sum.fetch_add(i, Relaxed);
            });
        }
    });
    assert_eq!(sum.into_inner(), 40_000);
}

#[test]
fn serially_keeps_everything_on_this_thread_and_ends() {
    let _turn = with_threads(4);
    let me = thread::current().id();
    let order = Mutex::new(Vec::new());
    serially(|| {
        for_each(50, &|i| {
            assert_eq!(thread::current().id(), me);
            order.lock().unwrap().push(i);
        });
        join_in(3, &|| assert_eq!(thread::current().id(), me));
    });
    assert_eq!(order.into_inner().unwrap(), (0..50).collect::<Vec<_>>());
    assert!(catch_unwind(|| serially(|| panic!("out"))).is_err());
    let both = Barrier::new(2);
    for_each(2, &|_| {
        both.wait();
    });
}

#[test]
fn one_thread_runs_in_order() {
    let _turn = with_threads(1);
    let order = Mutex::new(Vec::new());
    for_each(50, &|i| order.lock().unwrap().push(i));
    assert_eq!(order.into_inner().unwrap(), (0..50).collect::<Vec<_>>());
    set_num_threads(0);
    assert_eq!(num_threads(), 1);
}

#[test]
fn a_panic_of_any_participant_reaches_the_caller_after_all_have_left() {
    let _turn = with_threads(2);
    let me = thread::current().id();
    for on_caller in [true, false] {
        // A helper comes when it wakes in time, and an invitation may be lost: asked again until both have met.
        let both_met = || {
            let (inside, arrived) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let caught = catch_unwind(AssertUnwindSafe(|| {
                join_in(1, &|| {
                    inside.fetch_add(1, Relaxed);
                    arrived.fetch_add(1, Relaxed);
                    let start = Instant::now();
                    while arrived.load(Relaxed) < 2 && start.elapsed() < ms(500) {
                        thread::yield_now();
                    }
                    let have_met = arrived.load(Relaxed) == 2;
                    if have_met && (thread::current().id() == me) == on_caller {
                        inside.fetch_sub(1, Relaxed);
                        std::panic::resume_unwind(Box::new("a fault"));
                    }
                    sleep(ms(20));
                    inside.fetch_sub(1, Relaxed);
                });
            }));
            assert_eq!(inside.into_inner(), 0);
            let Err(fault) = caught else { return false };
            assert_eq!(fault.downcast_ref(), Some(&"a fault"));
            true
        };
        assert!((0..50).any(|_| both_met()), "no helper ever came");
    }
    let sum = AtomicUsize::new(0);
    for_each(100, &|i| {
        sum.fetch_add(i, Relaxed);
    });
    assert_eq!(sum.into_inner(), 4950);
}

#[test]
fn a_panic_stops_the_loop_early() {
    let _turn = with_threads(2);
    let calls = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        for_each(100_000, &|_| {
            calls.fetch_add(1, Relaxed);
            std::panic::resume_unwind(Box::new(()));
        });
    }));
    assert!(caught.is_err());
    assert!(calls.into_inner() <= 2);
}

#[test]
fn the_number_of_threads_may_change_while_loops_run() {
    let _turn = with_threads(2);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let sum = AtomicUsize::new(0);
                    for_each(16, &|i| {
                        for_each(2, &|_| {
                            sum.fetch_add(i, Relaxed);
                        });
                    });
                    assert_eq!(sum.into_inner(), 240);
                }
            });
        }
        for n in (1..=5).cycle().take(200) {
            set_num_threads(n);
            assert_eq!(num_threads(), n);
            for_each(4, &|_| {});
        }
        for_each(8, &|i| set_num_threads(2 + i % 3));
        done.store(true, Relaxed);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn replaced_threads_end() {
    let _turn = with_threads(2);
    for n in (2..=6).cycle().take(100) {
        set_num_threads(n);
        for_each(4, &|_| {});
    }
    set_num_threads(2);
    for_each(4, &|_| {});
    let ours = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter(|task| {
                let name = task.as_ref().unwrap().path().join("comm");
                std::fs::read_to_string(name).is_ok_and(|name| name.starts_with("arcgrad-"))
            })
            .count()
    };
    let end = Instant::now() + ms(5000);
    while ours() > 1 {
        assert!(Instant::now() < end, "{} threads left", ours());
        sleep(ms(5));
    }
}

/// Runs `f`, and says whether it was interrupted; any other panic goes on.
fn is_interrupted(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => false,
        Err(panic) => {
            assert_eq!(panic.downcast_ref(), Some(&Interrupted));
            true
        }
    }
}

#[test]
fn an_interrupt_stops_loops_at_all_levels_and_on_all_threads() {
    for threads in [1, 2, 3] {
        let _turn = with_threads(threads);
        let (inside, calls) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Instant::now();
        let check = || start.elapsed() > ms(50);
        assert!(is_interrupted(|| with_interrupt(&check, || {
            for_each(1000, &|_| {
                for_each(1000, &|_| {
                    inside.fetch_add(1, Relaxed);
                    calls.fetch_add(1, Relaxed);
                    sleep(ms(1));
                    inside.fetch_sub(1, Relaxed);
                });
            });
        })));
        assert!(start.elapsed() < ms(2000));
        assert_eq!(inside.into_inner(), 0);
        assert!(calls.into_inner() < 10_000);
        assert!(!is_interrupted(|| for_each(100, &|_| poll_interrupt())), "the next call works");
    }
}

#[test]
fn a_caller_that_only_waits_still_asks() {
    let _turn = with_threads(2);
    let me = thread::current().id();
    let both = Barrier::new(2);
    let start = Instant::now();
    let check = || {
        assert_eq!(thread::current().id(), me);
        start.elapsed() > ms(50)
    };
    assert!(is_interrupted(|| with_interrupt(&check, || {
        join_in(1, &|| {
            both.wait();
            while thread::current().id() != me {
                poll_interrupt();
                thread::yield_now();
            }
        });
    })));
}

#[test]
fn the_check_is_asked_at_most_every_twenty_milliseconds_and_may_compute() {
    let _turn = with_threads(2);
    let asked = AtomicUsize::new(0);
    let check = || {
        // What the check runs is not interrupted by itself.
        for_each(100, &|_| poll_interrupt());
        asked.fetch_add(1, Relaxed);
        false
    };
    let start = Instant::now();
    with_interrupt(&check, || {
        while start.elapsed() < ms(200) {
            poll_interrupt();
        }
    });
    let asked = asked.into_inner() as u128;
    assert!(asked >= 1 && asked <= start.elapsed().as_millis() / 20, "{asked}");
}

#[test]
fn uninterruptible_work_is_finished_first() {
    let _turn = with_threads(2);
    let calls = AtomicUsize::new(0);
    assert!(is_interrupted(|| with_interrupt(&|| true, || {
        sleep(ms(25));
        uninterruptible(|| {
            for_each(1000, &|_| {
                calls.fetch_add(1, Relaxed);
            });
        });
        for_each(1000, &|_| {
            calls.fetch_add(1000, Relaxed);
        });
    })));
    assert_eq!(calls.into_inner(), 1000);
}

#[test]
fn a_panicking_check_is_a_panic_of_the_caller() {
    for threads in [1, 2] {
        let _turn = with_threads(threads);
        let caught = catch_unwind(|| {
            with_interrupt(&|| std::panic::resume_unwind(Box::new("check")), || {
                for_each(1000, &|_| sleep(ms(1)));
            });
        });
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"check"));
    }
}

/// Runs `f` in a forked child, and says whether it returned true within ten seconds.
#[cfg(unix)]
fn forked(f: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child has this thread only, and ends in `_exit` without returning into the test harness.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(10);
                let right = catch_unwind(AssertUnwindSafe(f)).unwrap_or(false);
                libc::_exit(i32::from(!right))
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}

/// Passed only if a helper comes.
#[cfg(unix)]
fn sums_are_right() -> bool {
    let sum = AtomicUsize::new(0);
    for_each(20, &|_| {
        for_each(100, &|i| {
            sum.fetch_add(i, Relaxed);
        });
    });
    sum.into_inner() == 99_000
}

#[cfg(unix)]
#[test]
fn a_forked_child_has_threads_of_its_own() {
    let _turn = with_threads(3);
    assert!(a_helper_comes());
    // Threads of earlier tests may be ending still, and hold what a child's threads need (Note [After a fork]).
    sleep(ms(50));
    assert!(forked(|| a_helper_comes() && sums_are_right()));
    assert!(a_helper_comes());
}

#[cfg(unix)]
#[test]
fn a_child_forked_while_the_pool_is_busy_or_being_replaced_does_not_hang() {
    let _turn = with_threads(3);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for_each(4, &|_| for_each(4, &|_| {}));
            }
        });
        scope.spawn(|| {
            for n in (2..=4).cycle() {
                if done.load(Relaxed) {
                    return;
                }
                set_num_threads(n);
                for_each(4, &|_| {});
            }
        });
        let right = (0..40).all(|_| {
            let early = Instant::now() + ms(2);
            while Instant::now() < early {
                for_each(2, &|_| {});
            }
            forked(|| sums_are_right() && forked(sums_are_right))
        });
        done.store(true, Relaxed);
        assert!(right);
    });
}

#[cfg(unix)]
#[test]
fn a_child_forked_inside_a_loop_can_start_loops_of_its_own() {
    let _turn = with_threads(2);
    let right = AtomicUsize::new(0);
    for_each(8, &|_| {
        right.fetch_add(usize::from(forked(sums_are_right)), Relaxed);
    });
    assert_eq!(right.into_inner(), 8);
}
