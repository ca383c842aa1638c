//! Random permutations: Fisher and Yates's shuffle, in the two forms that PyTorch picks from by length.

use super::Generator;

/// From this length on, 32 random bits would make some positions noticeably likelier than others.
const WIDE: usize = u32::MAX as usize / 20;

impl Generator {
    /// A random permutation of `0..n`. See [`Generator::permute`] for a buffer of one's own.
    pub fn randperm(&mut self, n: usize) -> Vec<i64> {
        let mut out = vec![0; n];
        self.permute(&mut out);
        out
    }

    /// Fills `out` with a random permutation of `0..out.len()`, whatever it held.
    pub fn permute(&mut self, out: &mut [i64]) {
        if out.len() < WIDE {
            self.shuffle(out);
        } else {
            self.shuffle_inside_out(out);
        }
    }

    fn shuffle(&mut self, out: &mut [i64]) {
        for (slot, i) in out.iter_mut().zip(0..) {
            *slot = i;
        }
        let n = out.len();
        for i in 0..n.saturating_sub(1) {
            // `n` is below 2³², so the remainder can be taken in 32 bits.
            let chosen = i + (self.random() % (n - i) as u32) as usize;
            out.swap(i, chosen);
        }
    }

    fn shuffle_inside_out(&mut self, out: &mut [i64]) {
        for i in 0..out.len() {
            let chosen = (self.random64() % (i as u64 + 1)) as usize;
            out[i] = out[chosen];
            out[chosen] = i as i64;
        }
    }
}
