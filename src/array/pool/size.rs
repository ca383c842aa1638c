//! How many threads a parallel call may use, the caller's included.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Zero until somebody asks or tells.
static NUM_THREADS: AtomicUsize = AtomicUsize::new(0);

/// The number of threads that one parallel call may use, the caller's own included.
///
/// Until [`set_num_threads`] says otherwise: `ARCGRAD_NUM_THREADS`, else `OMP_NUM_THREADS`, else what the
/// operating system offers this process.
#[inline]
pub fn num_threads() -> usize {
    // Relaxed: a number by itself, publishing nothing.
    match NUM_THREADS.load(Ordering::Relaxed) {
        0 => first_answer(),
        n => n,
    }
}

/// Sets the number of threads that one parallel call may use; 0 counts as 1.
///
/// Calls in flight keep the threads they have; the next parallel call makes the new pool.
pub fn set_num_threads(n: usize) {
    NUM_THREADS.store(n.max(1), Ordering::Relaxed);
}

#[cold]
fn first_answer() -> usize {
    let default = from_environment("ARCGRAD_NUM_THREADS")
        .or_else(|| from_environment("OMP_NUM_THREADS"))
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    // A number set by another thread in the meantime stands.
    match NUM_THREADS.compare_exchange(0, default, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => default,
        Err(set) => set,
    }
}

fn from_environment(name: &str) -> Option<NonZeroUsize> {
    first_number(&std::env::var(name).ok()?)
}

/// The first of a comma-separated list, which is what `OMP_NUM_THREADS` may be (one number for each level of nesting).
fn first_number(list: &str) -> Option<NonZeroUsize> {
    list.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_numbers_counts_as_its_first_and_nonsense_as_nothing() {
        assert_eq!(first_number("4").map(NonZeroUsize::get), Some(4));
        assert_eq!(first_number(" 3, 2").map(NonZeroUsize::get), Some(3));
        assert_eq!(first_number("0"), None);
        assert_eq!(first_number("-1"), None);
        assert_eq!(first_number("many"), None);
        assert_eq!(first_number(""), None);
    }
}
