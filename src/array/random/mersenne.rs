//! The 32-bit Mersenne Twister mt19937 (Matsumoto and Nishimura, 1998), one state block of 624 words at a time.

/// Words of state.
pub(super) const WORDS: usize = 624;
/// Distance to the word that a new word is mixed with.
const SHIFT: usize = 397;

/// The twister's state, with the two counters that PyTorch keeps of the block.
#[derive(Clone)]
pub(super) struct Mersenne {
    /// The untempered words of the current block.
    pub words: [u32; WORDS],
    /// Draws until the next block is made, that one included: 1 when the block is used up or was never made.
    pub left: u32,
    /// The word that the next draw reads, unless it makes a new block first.
    pub next: u32,
}

impl Mersenne {
    /// The state that the reference `init_genrand` makes of the low 32 bits of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut words = [0; WORDS];
        words[0] = seed as u32;
        for j in 1..WORDS {
            let previous: u32 = words[j - 1];
            words[j] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(j as u32);
        }
        Self { words, left: 1, next: 0 }
    }

    /// Whether the counters can be those of a twister that was seeded and drawn from: a draw that makes no new block must find
    /// its word in this one.
    pub fn counters_agree(left: u32, next: u32) -> bool {
        let words = WORDS as u32;
        (left == 1 && next <= words) || (left > 1 && left <= words && left + next == words + 1)
    }

    /// The next 32 random bits.
    #[inline]
    pub fn draw(&mut self) -> u32 {
        let word = self.untempered(1)[0];
        temper(word)
    }

    /// Writes one value per random word.
    pub fn fill<T>(&mut self, mut out: &mut [T], value: impl Fn(u32) -> T) {
        while !out.is_empty() {
            let words = self.untempered(out.len());
            let (now, later) = out.split_at_mut(words.len());
            for (slot, &word) in now.iter_mut().zip(words) {
                *slot = value(temper(word));
            }
            out = later;
        }
    }

    /// Writes one value per two random words, the first of which is the high one.
    pub fn fill_wide<T>(&mut self, mut out: &mut [T], value: impl Fn(u64) -> T) {
        while !out.is_empty() {
            let in_block = (self.left as usize - 1) / 2;
            if in_block == 0 {
                // The pair straddles two blocks, or starts one.
                let (high, low) = (self.draw(), self.draw());
                out[0] = value(join(high, low));
                out = &mut out[1..];
                continue;
            }
            let count = in_block.min(out.len());
            let (now, later) = out.split_at_mut(count);
            let words = self.untempered(2 * now.len());
            for (slot, pair) in now.iter_mut().zip(words.chunks_exact(2)) {
                *slot = value(join(temper(pair[0]), temper(pair[1])));
            }
            out = later;
        }
    }

    /// Takes up to `count` words (at least one) out of the current block, making a new one if it is used up.
    #[inline]
    fn untempered(&mut self, count: usize) -> &[u32] {
        if self.left == 1 {
            self.next_block();
            // As many draws as words, and one that finds none and makes the next block.
            self.left = WORDS as u32 + 1;
            self.next = 0;
        }
        let start = self.next as usize;
        let count = count.min(self.left as usize - 1);
        self.left -= count as u32;
        self.next += count as u32;
        &self.words[start..start + count]
    }

    #[cold]
    fn next_block(&mut self) {
        let words = &mut self.words;
        let wrap = WORDS - SHIFT;
        let (head, tail) = words.split_at_mut(SHIFT);
        for k in 0..wrap {
            head[k] = tail[k] ^ twist(head[k], head[k + 1]);
        }
        for k in wrap..WORDS - 1 {
            words[k] = words[k - wrap] ^ twist(words[k], words[k + 1]);
        }
        words[WORDS - 1] = words[SHIFT - 1] ^ twist(words[WORDS - 1], words[0]);
    }
}

/// Two words as one, `high` first.
#[inline]
pub(super) fn join(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

#[inline]
fn twist(this: u32, following: u32) -> u32 {
    let mixed = (this & 0x8000_0000) | (following & 0x7fff_ffff);
    (mixed >> 1) ^ ((following & 1).wrapping_neg() & 0x9908_b0df)
}

#[inline]
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}
