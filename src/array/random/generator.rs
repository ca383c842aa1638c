//! The generator: a Mersenne Twister, its seed, and the second half of a pair of normal samples.

use super::error::StateError;
use super::mersenne::{Mersenne, WORDS, join};
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// The seed of a generator that nobody seeded (`torch.Generator()`).
pub const DEFAULT_SEED: u64 = 67_280_421_310_721;

/// The length of [`Generator::get_state`].
pub const STATE_BYTES: usize = 5056;

/// Where the fields of a state stand in its bytes; all are little-endian.
mod offset {
    pub const SEED: usize = 0;
    pub const LEFT: usize = 8;
    pub const SEEDED: usize = 12;
    pub const NEXT: usize = 16;
    pub const WORDS: usize = 24;
    pub const NORMAL: usize = 5024;
    pub const HAS_NORMAL: usize = 5040;
    pub const FLOAT_NORMAL: usize = 5048;
    pub const HAS_FLOAT_NORMAL: usize = 5052;
}

/// A stream of random bits, and PyTorch's distributions over it.
///
/// A clone continues the same stream on its own.
#[derive(Clone)]
pub struct Generator {
    pub(super) engine: Mersenne,
    seed: u64,
    /// Box and Muller's transform makes two samples at a time; this is the one not handed out yet.
    pub(super) next_normal: Option<f64>,
    /// Kept only so that a state goes out as it came in: no fill on the CPU makes or takes it.
    next_float_normal: Option<f32>,
}

impl Generator {
    /// A generator seeded with `seed`, of which the twister uses the low 32 bits. PyTorch reads a negative seed as its two's
    /// complement: `-1` is `u64::MAX`.
    pub fn new(seed: u64) -> Self {
        Self { engine: Mersenne::new(seed), seed, next_normal: None, next_float_normal: None }
    }

    /// A generator with a seed that the operating system made.
    pub fn from_entropy() -> Self {
        Self::new(entropy())
    }

    /// Starts the stream anew from `seed` and forgets a cached normal sample.
    pub fn manual_seed(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    /// Starts the stream anew from a seed that the operating system made, and returns that seed.
    pub fn seed(&mut self) -> u64 {
        *self = Self::from_entropy();
        self.seed
    }

    /// The seed that this stream started from.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// The next 32 bits of the stream.
    #[inline]
    pub fn random(&mut self) -> u32 {
        self.engine.draw()
    }

    /// The next 64 bits of the stream, the first 32 of them high.
    #[inline]
    pub fn random64(&mut self) -> u64 {
        let high = self.engine.draw();
        join(high, self.engine.draw())
    }

    /// The whole state, in the [`STATE_BYTES`] bytes of PyTorch's `Generator.get_state()`.
    pub fn get_state(&self) -> Vec<u8> {
        let mut bytes = vec![0; STATE_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(offset::SEED, &self.seed.to_le_bytes());
        put(offset::LEFT, &self.engine.left.to_le_bytes());
        put(offset::SEEDED, &1_u32.to_le_bytes());
        put(offset::NEXT, &u64::from(self.engine.next).to_le_bytes());
        for (j, &word) in self.engine.words.iter().enumerate() {
            put(offset::WORDS + 8 * j, &u64::from(word).to_le_bytes());
        }
        if let Some(sample) = self.next_normal {
            put(offset::NORMAL, &sample.to_le_bytes());
            put(offset::HAS_NORMAL, &1_u32.to_le_bytes());
        }
        if let Some(sample) = self.next_float_normal {
            put(offset::FLOAT_NORMAL, &sample.to_le_bytes());
            put(offset::HAS_FLOAT_NORMAL, &[1]);
        }
        bytes
    }

    /// Continues from a state that [`Generator::get_state`], or PyTorch's, returned.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the length is not [`STATE_BYTES`] or the counters are those of no twister; nothing has changed then.
    pub fn set_state(&mut self, state: &[u8]) -> Result<(), StateError> {
        if state.len() != STATE_BYTES {
            return Err(StateError::Length { found: state.len() });
        }
        let narrow = |at: usize| u32::from_le_bytes(bytes_at(state, at));
        let wide = |at: usize| u64::from_le_bytes(bytes_at(state, at));
        let (left, next) = (narrow(offset::LEFT), wide(offset::NEXT) as u32);
        if narrow(offset::SEEDED) == 0 || !Mersenne::counters_agree(left, next) {
            return Err(StateError::Invalid);
        }
        let mut words = [0; WORDS];
        for (j, word) in words.iter_mut().enumerate() {
            *word = wide(offset::WORDS + 8 * j) as u32;
        }
        *self = Self {
            engine: Mersenne { words, left, next },
            seed: wide(offset::SEED),
            next_normal: (narrow(offset::HAS_NORMAL) != 0)
                .then(|| f64::from_le_bytes(bytes_at(state, offset::NORMAL))),
            next_float_normal: (state[offset::HAS_FLOAT_NORMAL] != 0)
                .then(|| f32::from_le_bytes(bytes_at(state, offset::FLOAT_NORMAL))),
        };
        Ok(())
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self::new(DEFAULT_SEED)
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("initial_seed", &self.seed).finish_non_exhaustive()
    }
}

fn bytes_at<const N: usize>(state: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&state[at..at + N]);
    field
}

/// A seed that differs from call to call: the standard library keys each hasher from the operating system's random bits. It
/// has 53 bits, as PyTorch's do, so that it survives a trip through a double.
fn entropy() -> u64 {
    RandomState::new().hash_one(std::process::id()) & ((1 << 53) - 1)
}
