//! Gradient modes: whether this thread records what it computes. Each thread has its own.

use std::cell::Cell;

/// What this thread records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
// Four switches that are independent of each other.
#[allow(clippy::struct_excessive_bools)]
pub struct Mode {
    /// Whether operations on tensors that require a gradient are recorded.
    pub grad: bool,
    /// Whether new tensors are inference tensors, which never take part in a graph.
    pub inference: bool,
    /// Whether tangents of forward-mode differentiation are propagated.
    pub forward: bool,
    /// Whether what is saved is packed by a user's hooks.
    pub packs: bool,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { grad: true, inference: false, forward: true, packs: false }) };
}

/// This thread's mode.
#[inline]
pub fn get() -> Mode {
    MODE.get()
}

/// Sets this thread's mode and returns the one before.
#[inline]
pub fn set(mode: Mode) -> Mode {
    MODE.replace(mode)
}

/// Whether this thread records.
#[inline]
pub fn is_grad_enabled() -> bool {
    MODE.get().grad
}

/// Whether this thread makes inference tensors.
#[inline]
pub fn is_inference_mode_enabled() -> bool {
    MODE.get().inference
}

/// Turns recording on or off for this thread and returns what it was.
pub fn set_grad_enabled(grad: bool) -> bool {
    set(Mode { grad, ..get() }).grad
}

/// Restores the mode of before when it goes out of scope.
#[must_use = "the mode lasts as long as the guard"]
pub struct Guard {
    before: Mode,
    // A mode belongs to its thread, and so does the guard.
    _here: std::marker::PhantomData<*const ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.before);
    }
}

/// Sets a mode until the guard goes.
pub fn enter(mode: Mode) -> Guard {
    Guard { before: set(mode), _here: std::marker::PhantomData }
}

/// Nothing is recorded until the guard goes.
///
/// ```
/// use arcgrad::{Tensor, no_grad};
/// let x = Tensor::from_slice(&[1.0_f32, 2.0], &[2])?.requires_grad_(true)?;
/// let y = { let _guard = no_grad(); &x * &x };
/// assert!(!y.requires_grad());
/// # Ok::<(), arcgrad::Error>(())
/// ```
pub fn no_grad() -> Guard {
    enter(Mode { grad: false, ..get() })
}

/// Operations are recorded until the guard goes, also inside [`no_grad`].
pub fn enable_grad() -> Guard {
    enter(Mode { grad: true, ..get() })
}

/// New tensors never take part in a graph until the guard goes.
pub fn inference_mode() -> Guard {
    enter(Mode { grad: false, inference: true, forward: false, ..get() })
}
