//! What the cache of buffers promises: blocks that are aligned, apart, counted, used again, and given back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use arcgrad::array::memory::{
    ALIGNMENT, AllocError, Block, LOCAL_LIMIT, allocate, allocate_zeroed, cached_bytes, empty_cache,
    live_bytes, peak_bytes, reset_peak, set_cache_limit,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The counts belong to the process, so tests take turns.
struct Turn {
    _lock: MutexGuard<'static, ()>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Or this thread's lists would go to the shared ones at its end, in the middle of the next test.
        empty_cache();
    }
}

/// A turn that begins with an empty cache of this limit.
fn with_limit(bytes: usize) -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = Turn { _lock: TURN.lock().unwrap_or_else(PoisonError::into_inner) };
    empty_cache();
    set_cache_limit(bytes);
    turn
}

/// Runs `f` on `count` threads, to their very end: a scope alone would not wait for their lists to be handed over.
fn on_threads(count: u64, f: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        let f = &f;
        let threads: Vec<_> = (1..=count).map(|seed| scope.spawn(move || f(seed))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

fn block(bytes: usize) -> Block {
    allocate(bytes).unwrap()
}

fn address(block: &Block) -> usize {
    block.start().addr().get()
}

/// A sequence of numbers that looks random (Marsaglia's xorshift).
fn numbers(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize
    }
}

#[test]
fn every_block_is_aligned_and_large_enough() {
    let _turn = with_limit(64 * MIB);
    for bytes in
        (0..2000).chain([64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 2 * MIB - 1, 2 * MIB, 5 * MIB + 1])
    {
        let block = block(bytes);
        assert!(address(&block).is_multiple_of(ALIGNMENT));
        assert!(block.capacity() >= bytes);
        // SAFETY: within the capacity.
        unsafe { block.start().write_bytes(0xff, block.capacity()) };
    }
}

#[test]
fn impossible_sizes_are_errors() {
    let _turn = with_limit(MIB);
    let live = live_bytes();
    for bytes in [
        usize::MAX,
        usize::MAX - 63,
        isize::MAX as usize,
        isize::MAX as usize - 4095,
        1 << 62,
        1 << 60,
        1 << 48,
    ] {
        assert_eq!(allocate(bytes).unwrap_err(), AllocError { bytes });
        assert_eq!(allocate_zeroed(bytes).unwrap_err(), AllocError { bytes });
    }
    assert_eq!(live_bytes(), live);
}

#[test]
fn a_dropped_block_is_the_next_of_its_size() {
    let _turn = with_limit(64 * MIB);
    for bytes in [1, 100, 4 * KIB, 64 * KIB, 65 * KIB, 3 * MIB] {
        let first = address(&block(bytes));
        assert_eq!(address(&block(bytes)), first, "{bytes}");
    }
}

#[test]
fn zeroed_blocks_are_zero_though_used_before() {
    let _turn = with_limit(64 * MIB);
    for bytes in [0, 1, 64, 1000, 64 * KIB, 100 * KIB, 3 * MIB] {
        for _ in 0..2 {
            let block = allocate_zeroed(bytes).unwrap();
            // SAFETY: initialised up to `bytes`, and nobody else's.
            let contents = unsafe { std::slice::from_raw_parts_mut(block.start().as_ptr(), bytes) };
            assert!(contents.iter().all(|&byte| byte == 0));
            contents.fill(0xff);
        }
    }
}

#[test]
fn empty_blocks_cost_nothing() {
    let _turn = with_limit(MIB);
    let (live, cached) = (live_bytes(), cached_bytes());
    let blocks: Vec<_> = (0..10).map(|_| block(0)).collect();
    assert!(blocks.iter().all(|block| block.capacity() == 0));
    assert_eq!(live_bytes(), live);
    drop(blocks);
    assert_eq!(cached_bytes(), cached);
}

#[test]
fn the_counts_follow_each_block() {
    let _turn = with_limit(64 * MIB);
    for bytes in [64, 4 * KIB, 64 * KIB, 128 * KIB, 8 * MIB] {
        empty_cache();
        let live = live_bytes();
        reset_peak();
        let (a, b) = (block(bytes), block(bytes));
        assert_eq!((live_bytes(), cached_bytes()), (live + 2 * bytes, 0));
        drop(a);
        assert_eq!((live_bytes(), cached_bytes()), (live + bytes, bytes));
        drop(b);
        assert_eq!((live_bytes(), cached_bytes()), (live, 2 * bytes));
        if bytes > 64 * KIB {
            assert_eq!(peak_bytes(), live + 2 * bytes);
        }
        empty_cache();
        assert_eq!(cached_bytes(), 0);
    }
}

#[test]
fn the_shared_lists_stay_within_the_limit_and_newer_sizes_displace_older() {
    let limit = 10 * MIB;
    let _turn = with_limit(limit);
    drop((0..20).map(|_| block(MIB)).collect::<Vec<_>>());
    assert_eq!(cached_bytes(), limit);
    // A block of another size makes room for itself.
    let other = block(3 * MIB);
    let place = address(&other);
    drop(other);
    assert!(cached_bytes() <= limit);
    assert_eq!(address(&block(3 * MIB)), place);
    // One that could never fit displaces nothing.
    let cached = cached_bytes();
    drop(block(11 * MIB));
    assert_eq!(cached_bytes(), cached);
    set_cache_limit(2 * MIB);
    assert!(cached_bytes() <= 2 * MIB);
    set_cache_limit(0);
    drop((block(100), block(MIB)));
    assert_eq!(cached_bytes(), 0);
}

#[test]
fn a_thread_keeps_no_more_small_blocks_than_its_limit_and_newer_sizes_displace_older() {
    let _turn = with_limit(64 * MIB);
    thread::spawn(|| {
        drop((0..10_000).map(|_| block(KIB)).collect::<Vec<_>>());
        // What the thread does not keep, the shared lists do.
        assert_eq!(cached_bytes(), 10_000 * KIB);
        set_cache_limit(0);
        assert_eq!(cached_bytes(), 0);
        set_cache_limit(usize::MAX);
        let blocks: Vec<_> = (0..LOCAL_LIMIT / KIB).map(|_| block(KIB)).collect();
        drop(blocks);
        assert_eq!(cached_bytes(), LOCAL_LIMIT);
        drop((0..100).map(|_| block(2 * KIB)).collect::<Vec<_>>());
        assert_eq!(cached_bytes(), LOCAL_LIMIT + 200 * KIB);
    })
    .join()
    .unwrap();
}

#[test]
fn a_thread_that_ends_leaves_its_lists_to_the_others() {
    let _turn = with_limit(64 * MIB);
    let (live, cached) = (live_bytes(), cached_bytes());
    let places = thread::spawn(|| {
        let blocks: Vec<_> = (0..10).map(|_| block(8 * KIB)).collect();
        blocks.iter().map(address).collect::<Vec<_>>()
    })
    .join()
    .unwrap();
    assert_eq!((live_bytes(), cached_bytes()), (live, cached + 10 * 8 * KIB));
    let blocks: Vec<_> = (0..10).map(|_| block(8 * KIB)).collect();
    assert!(blocks.iter().all(|block| places.contains(&address(block))));
}

#[test]
fn blocks_allocated_here_and_dropped_there_are_counted_and_used_again() {
    let _turn = with_limit(64 * MIB);
    let live = live_bytes();
    let (send, receive) = mpsc::sync_channel::<Block>(16);
    let consumer = thread::spawn(move || receive.into_iter().for_each(drop));
    for i in 0..50_000_usize {
        send.send(block([KIB, 16 * KIB, 100 * KIB][i % 3])).unwrap();
    }
    drop(send);
    consumer.join().unwrap();
    assert_eq!(live_bytes(), live);
    // Without reuse 1.9 GiB would have been fresh; the pipeline held at most 16 blocks and the consumer's own lists.
    assert!(cached_bytes() <= 2 * LOCAL_LIMIT + 20 * 100 * KIB, "{}", cached_bytes());
}

#[test]
fn a_block_kept_for_the_end_of_a_thread_is_given_back_too() {
    struct Last(#[expect(dead_code, reason = "held for its drop")] Block);
    thread_local!(static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) });
    let _turn = with_limit(64 * MIB);
    let live = live_bytes();
    for first in [true, false] {
        thread::spawn(move || {
            // Whichever of the two is set up first is taken down first, or last.
            if first {
                drop(block(64));
            }
            LAST.with(|last| *last.borrow_mut() = Some(Last(block(4 * KIB))));
        })
        .join()
        .unwrap();
    }
    assert_eq!(live_bytes(), live);
}

/// Allocates and drops at random, each block filled with a mark of its own that must still be there at its end.
fn churn(steps: usize, seed: u64) {
    let mut number = numbers(seed);
    let mut live: Vec<(Block, u8)> = Vec::new();
    let check = |(block, mark): &(Block, u8)| {
        // SAFETY: filled below.
        let contents = unsafe { std::slice::from_raw_parts(block.start().as_ptr(), block.capacity()) };
        assert!(contents.iter().all(|byte| byte == mark));
    };
    for _ in 0..steps {
        if live.len() < 40 && !number().is_multiple_of(3) {
            let bits = 4 + number() % 15;
            let (block, mark) = (block(number() % (1 << bits)), number() as u8);
            // SAFETY: within the capacity.
            unsafe { block.start().write_bytes(mark, block.capacity()) };
            live.push((block, mark));
        } else if !live.is_empty() {
            let which = number() % live.len();
            check(&live.swap_remove(which));
        }
        if number().is_multiple_of(500) {
            empty_cache();
        }
    }
    live.iter().for_each(check);
    let mut ranges: Vec<_> = live.iter().map(|(b, _)| (address(b), address(b) + b.capacity())).collect();
    ranges.retain(|(start, end)| start < end);
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

#[test]
fn live_blocks_never_overlap() {
    // So little that blocks keep going back to the system.
    let _turn = with_limit(512 * KIB);
    let live = live_bytes();
    on_threads(4, |seed| churn(5000, seed));
    assert_eq!(live_bytes(), live);
}

#[cfg(unix)]
#[test]
fn a_child_forked_while_others_allocate_can_allocate() {
    let _turn = with_limit(4 * MIB);
    let done = AtomicBool::new(false);
    on_threads(3, |seed| {
        if seed < 3 {
            while !done.load(Relaxed) {
                churn(50, seed);
            }
            return;
        }
        let right = (0..40).all(|_| forked(|| churn(500, 7)));
        done.store(true, Relaxed);
        assert!(right);
    });
}

/// Runs `f` in a forked child, and says whether it returned within ten seconds.
#[cfg(unix)]
fn forked(f: impl FnOnce()) -> bool {
    // SAFETY: the child has this thread only, and ends in `_exit` without returning into the test harness.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(10);
                let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
                libc::_exit(i32::from(!right))
            }
            child => {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0) == child && status == 0
            }
        }
    }
}
