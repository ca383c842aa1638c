//! What `gate.rs` and `claims.rs` need of the platform; the model checker puts its own in this module's place.

use std::time::Duration;

pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub use std::thread::{Thread, current};

/// How often a waiting caller looks before it parks: about ten microseconds, more than a park and an unpark cost.
pub const SPINS: usize = 400;

/// Rests for an instant.
pub fn pause() {
    std::hint::spin_loop();
}

/// Sleeps until the thread is unparked, or for `patience`.
pub fn park(patience: Option<Duration>) {
    match patience {
        None => std::thread::park(),
        Some(patience) => std::thread::park_timeout(patience),
    }
}
