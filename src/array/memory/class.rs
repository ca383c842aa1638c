//! Size classes: exact in steps of 64 bytes up to 512, then eight to each doubling, so less than an eighth is wasted.

use super::ALIGNMENT;

/// The largest size there is a class for. No system has a quarter of the address space to give.
const MAX_BYTES: usize = 1 << (usize::BITS - 2);
const SMALL_MAX_BYTES: usize = 64 << 10;
/// Steps to each doubling, and their logarithm.
const STEPS: usize = 1 << STEPS_LOG;
const STEPS_LOG: u32 = 3;

/// A size that blocks come in, by number: 0 is the empty one, larger is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(u16);

impl Class {
    /// How many classes are small, the empty one included.
    pub const SMALL_COUNT: usize = Self::numbered(SMALL_MAX_BYTES).index() + 1;
    /// How many classes there are.
    pub const COUNT: usize = Self::numbered(MAX_BYTES).index() + 1;

    /// The smallest class of at least `bytes` bytes; none for a size that cannot exist.
    #[inline]
    pub fn holding(bytes: usize) -> Option<Self> {
        if bytes <= SMALL_MAX_BYTES {
            Some(Self(u16::from(SMALL_NUMBERS[(bytes + ALIGNMENT - 1) >> ALIGNMENT.ilog2()])))
        } else if bytes <= MAX_BYTES {
            Some(Self::numbered(bytes))
        } else {
            None
        }
    }

    /// `bytes <= MAX_BYTES`.
    const fn numbered(bytes: usize) -> Self {
        let lines = bytes.div_ceil(ALIGNMENT);
        if lines <= STEPS {
            return Self(lines as u16);
        }
        // For lines in 2^k + 1 ..= 2^(k+1): the step is 2^(k-3), and 1..=8 of them are added to 2^k.
        let shift = (lines - 1).ilog2() - STEPS_LOG;
        let steps = (lines - 1) >> shift; // in 8..16
        Self((shift as usize * STEPS + steps + 1) as u16)
    }

    /// The capacity of this class's blocks.
    #[inline]
    pub fn bytes(self) -> usize {
        BYTES[self.index()]
    }

    const fn computed_bytes(self) -> usize {
        let lines = if self.index() <= STEPS {
            self.index()
        } else {
            let (shift, steps) = ((self.index() - 1) / STEPS - 1, (self.index() - 1) % STEPS + STEPS);
            (steps + 1) << shift
        };
        lines * ALIGNMENT
    }

    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn is_small(self) -> bool {
        self.index() < Self::SMALL_COUNT
    }

    /// The class with this number, below [`Class::COUNT`].
    #[inline]
    pub const fn at(index: usize) -> Self {
        debug_assert!(index < Self::COUNT);
        Self(index as u16)
    }
}

/// The small class that holds a number of lines, so that a small allocation computes no logarithm.
static SMALL_NUMBERS: [u8; SMALL_MAX_BYTES / ALIGNMENT + 1] = {
    let mut numbers = [0; SMALL_MAX_BYTES / ALIGNMENT + 1];
    let mut lines = 0;
    while lines < numbers.len() {
        numbers[lines] = Class::numbered(lines * ALIGNMENT).index() as u8;
        lines += 1;
    }
    numbers
};

/// The capacity of each class.
static BYTES: [usize; Class::COUNT] = {
    let mut bytes = [0; Class::COUNT];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = Class::at(index).computed_bytes();
        index += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_it_was_chosen_for_and_wastes_less_than_an_eighth() {
        let near_powers = (0..usize::BITS - 2)
            .flat_map(|k| (0..200).map(move |d| ((1_usize << k) + d).saturating_sub(100)));
        for bytes in (0..=200_000).chain(near_powers).chain([MAX_BYTES - 1, MAX_BYTES]) {
            let class = Class::holding(bytes).unwrap();
            let capacity = class.bytes();
            assert!(capacity >= bytes && capacity.is_multiple_of(ALIGNMENT));
            assert!(capacity - bytes < ALIGNMENT.max(bytes / 8), "{bytes} in {capacity}");
            assert_eq!(Class::holding(capacity), Some(class));
        }
    }

    #[test]
    fn classes_grow_with_their_numbers_without_gaps() {
        for index in 1..Class::COUNT {
            let (below, class) = (Class::at(index - 1), Class::at(index));
            assert_eq!(Class::holding(below.bytes() + 1), Some(class));
        }
        assert_eq!(Class::at(0).bytes(), 0);
        assert_eq!(Class::at(Class::SMALL_COUNT - 1).bytes(), SMALL_MAX_BYTES);
        assert_eq!(Class::at(Class::COUNT - 1).bytes(), MAX_BYTES);
    }

    #[test]
    fn sizes_that_cannot_exist_have_no_class() {
        for bytes in [MAX_BYTES + 1, isize::MAX as usize, usize::MAX - 63, usize::MAX] {
            assert_eq!(Class::holding(bytes), None);
        }
    }
}
