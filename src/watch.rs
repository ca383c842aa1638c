//! What is noted while a program runs, for whoever looks for a mistake in it: off unless asked for, and process-wide.
//!
//! Note [Watching costs who watches]: an operation reads one byte to learn that nobody watches. When somebody does, a node
//! is told where in the program it was recorded. This place comes from the [`Witness`], a door through which the embedding
//! language shows its call stack without the core knowing the language. It is kept raw and written out only when read.

use std::backtrace::Backtrace;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// What is noted.
#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// The place in the program where each operation is recorded.
    pub origins: bool,
    /// The range of each recorded output.
    pub ranges: bool,
    /// Which recorded operations are alive.
    pub lives: bool,
    /// A backward pass tells of the node that failed in it. Places are noted, too.
    pub anomalies: bool,
    /// Together with `anomalies`: a backward pass fails at the first NaN.
    pub nan: bool,
}

const ORIGINS: u8 = 1;
const RANGES: u8 = 2;
const LIVES: u8 = 4;
const ANOMALIES: u8 = 8;
const NAN: u8 = 16;
/// Not a field of [`Watch`]: ranges are timed for as long as somebody profiles, whatever else is noted.
const TIMES: u8 = 32;

static WATCH: AtomicU8 = AtomicU8::new(NAN);

impl Watch {
    /// As bits, for an embedding language: in the order of the fields, the first one the lowest.
    pub fn bits(self) -> u8 {
        let fields = [self.origins, self.ranges, self.lives, self.anomalies, self.nan];
        fields.iter().enumerate().fold(0, |bits, (place, &on)| bits | u8::from(on) << place)
    }

    /// The inverse of [`Watch::bits`].
    pub fn from_bits(bits: u8) -> Self {
        Self {
            origins: bits & ORIGINS != 0,
            ranges: bits & RANGES != 0,
            lives: bits & LIVES != 0,
            anomalies: bits & ANOMALIES != 0,
            nan: bits & NAN != 0,
        }
    }

    /// Whether places in the program are noted.
    pub fn has_origins(self) -> bool {
        self.origins || self.anomalies
    }
}

/// Whether anything is noted: the quick test.
#[inline]
pub fn is_on() -> bool {
    // Relaxed: a plain setting. Who turns it on sees the operations of its own thread noted from there on.
    WATCH.load(Ordering::Relaxed) & (ORIGINS | RANGES | LIVES | ANOMALIES | TIMES) != 0
}

/// What is noted now.
pub fn get() -> Watch {
    Watch::from_bits(WATCH.load(Ordering::Relaxed))
}

/// From now on notes these, on every thread, and returns what was noted before.
pub fn set(watch: Watch) -> Watch {
    let change = |bits| Some(watch.bits() | bits & TIMES);
    let (Ok(before) | Err(before)) = WATCH.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    Watch::from_bits(before)
}

/// Whether somebody profiles: see `graph/profile.rs`.
#[inline]
pub fn is_timed() -> bool {
    WATCH.load(Ordering::Relaxed) & TIMES != 0
}

/// Has ranges timed from now on, or not; whether they were.
pub(crate) fn set_timed(yes: bool) -> bool {
    let before = if yes {
        WATCH.fetch_or(TIMES, Ordering::Relaxed)
    } else {
        WATCH.fetch_and(!TIMES, Ordering::Relaxed)
    };
    before & TIMES != 0
}

/// Restores what was noted before when it goes out of scope.
#[must_use = "it is noted as long as the guard lives"]
pub struct Guard(Watch);

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.0);
    }
}

/// Notes these until the guard goes.
///
/// ```
/// use arcgrad::watch::{self, Watch};
/// use arcgrad::{DType, Tensor};
/// let _guard = watch::enter(Watch { origins: true, ..watch::get() });
/// let y = Tensor::ones(&[2], DType::F32)?.requires_grad_(true)?.exp()?;
/// assert!(y.grad_fn().unwrap().origin().is_some());
/// # Ok::<(), arcgrad::Error>(())
/// ```
pub fn enter(watch: Watch) -> Guard {
    Guard(set(watch))
}

/// A place in a program: what was being called when something happened.
pub trait Origin: Send + Sync {
    /// The user's innermost line, as in `train.py:12, in step`.
    fn line(&self) -> String;
    /// The whole call stack.
    fn trace(&self) -> String;
}

impl fmt::Debug for dyn Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

/// A node, by its name, and where it was recorded.
pub type Named = (String, Option<Arc<dyn Origin>>);

/// Who knows where the program is, and whom a failing pass is reported to.
pub trait Witness: Send + Sync {
    /// Where this thread is now, if that can be told.
    fn here(&self) -> Option<Arc<dyn Origin>>;
    /// Hears of the node that failed, of the node in whose derivative that one was recorded, and so on.
    fn failed(&self, nodes: &[Named]);
    /// What to do to have places noted.
    fn advice(&self) -> &'static str;
}

static WITNESS: OnceLock<Box<dyn Witness>> = OnceLock::new();

/// Makes the embedding language the witness, once. Returns whether it was the first.
pub fn set_witness(witness: Box<dyn Witness>) -> bool {
    WITNESS.set(witness).is_ok()
}

/// The witness: the embedding language, or in a Rust program the stack itself.
pub fn witness() -> &'static dyn Witness {
    WITNESS.get().map_or(&Stack, |witness| &**witness)
}

/// Where this thread is now, if places are noted.
pub fn here() -> Option<Arc<dyn Origin>> {
    get().has_origins().then(|| witness().here()).flatten()
}

/// The witness of a Rust program.
struct Stack;

impl Witness for Stack {
    fn here(&self) -> Option<Arc<dyn Origin>> {
        Some(Arc::new(Backtrace::force_capture()))
    }

    fn failed(&self, nodes: &[Named]) {
        for (name, origin) in nodes {
            match origin {
                Some(origin) => eprintln!("Error detected in {name}, recorded at\n{}", origin.trace()),
                None => eprintln!("Error detected in {name}; {}", self.advice()),
            }
        }
    }

    fn advice(&self) -> &'static str {
        "with arcgrad::watch::enter(Watch { origins: true, ..get() }) the message names the lines"
    }
}

impl Origin for Backtrace {
    fn line(&self) -> String {
        innermost(&self.to_string())
    }

    fn trace(&self) -> String {
        self.to_string()
    }
}

/// The innermost frame of a written stack that is neither this crate's nor the standard library's.
///
/// A frame is written as its function and, if the program was compiled with line numbers, its place on a line of its own;
/// the standard library tells them in no other way.
fn innermost(stack: &str) -> String {
    let ours = ["arcgrad::", "<arcgrad::", "std::", "<std::", "core::", "<core::", "alloc::", "<alloc::"];
    let mut lines = stack.lines().map(str::trim_start).peekable();
    while let Some(line) = lines.next() {
        let function = line.split_once(": ").map_or(line, |(_, function)| function);
        let place = lines.next_if(|next| next.starts_with("at "));
        if !ours.iter().any(|ours| function.starts_with(ours)) {
            return match place {
                Some(place) => format!("{}, in {function}", &place["at ".len()..]),
                None => format!("in {function}"),
            };
        }
    }
    "an unknown place".to_owned()
}

#[cfg(test)]
mod tests {
    use super::innermost;

    #[test]
    fn the_innermost_frame_that_is_the_users_is_told() {
        let stack = "   0: arcgrad::watch::here\n             at ./src/watch.rs:1:2\n   1: core::ops::call\n   2: mine::step\n             \
                     at ./main.rs:7:9\n   3: mine::main\n";
        assert_eq!(innermost(stack), "./main.rs:7:9, in mine::step");
    }

    #[test]
    fn without_line_numbers_the_function_is_told() {
        assert_eq!(
            innermost("   0: arcgrad::graph::row\n   1: mine::step\n   2: mine::main\n"),
            "in mine::step"
        );
        assert_eq!(innermost(""), "an unknown place");
    }
}
