//! Lists of unused blocks of one class, linked through the blocks themselves.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

/// What the first bytes of an unused block hold.
struct Link {
    next: *mut Link,
}

/// A list that one thread owns, with the blocks in it.
#[derive(Default)]
pub struct Chain(Option<NonNull<Link>>);

impl Chain {
    pub const EMPTY: Self = Self(None);

    /// Adds a block.
    ///
    /// # Safety
    ///
    /// `block` has room and alignment for a pointer, and is the chain's from now on.
    #[inline]
    pub unsafe fn push(&mut self, block: NonNull<u8>) {
        let link = block.cast::<Link>();
        let next = self.0.map_or(null_mut(), NonNull::as_ptr);
        // SAFETY: the caller's word.
        unsafe { link.write(Link { next }) };
        self.0 = Some(link);
    }

    /// Takes out the block that was added last.
    #[inline]
    pub fn pop(&mut self) -> Option<NonNull<u8>> {
        let link = self.0?;
        // SAFETY: a block in a chain starts with a link, and nobody else has it.
        self.0 = NonNull::new(unsafe { link.as_ref() }.next);
        Some(link.cast())
    }

    /// The last link of a chain that begins with `first`.
    fn last(first: NonNull<Link>) -> NonNull<Link> {
        let mut last = first;
        // SAFETY: as in `pop`.
        while let Some(next) = NonNull::new(unsafe { last.as_ref() }.next) {
            last = next;
        }
        last
    }
}

/// A list that all threads share, without a lock.
///
/// It is only ever taken whole, so nobody looks at a link that another thread may have taken: there is no ABA problem. Who takes
/// it for one block puts the rest back; who comes in between finds it empty, which is allowed of a cache.
pub struct SharedChain(AtomicPtr<Link>);

impl SharedChain {
    pub const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Takes everything.
    #[inline]
    pub fn take(&self) -> Chain {
        // Relaxed, as a guess that spares an empty list the exchange.
        if self.0.load(Ordering::Relaxed).is_null() {
            return Chain::EMPTY;
        }
        // Acquire: pairs with the Release in `put`, so the links are seen.
        Chain(NonNull::new(self.0.swap(null_mut(), Ordering::Acquire)))
    }

    /// Puts a chain in front.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "the blocks are handed over")]
    pub fn put(&self, chain: Chain) {
        let Some(first) = chain.0 else { return };
        // The rest of what was just taken usually meets an empty list, and need not be walked.
        // Release: the links in the chain come before its being found.
        let exchange = |head, first: NonNull<Link>| {
            self.0.compare_exchange(head, first.as_ptr(), Ordering::Release, Ordering::Relaxed)
        };
        let Err(mut head) = exchange(null_mut(), first) else { return };
        let last = Chain::last(first);
        loop {
            // SAFETY: the chain is still this thread's, its last link included.
            unsafe { last.write(Link { next: head }) };
            match exchange(head, first) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_take_and_put_at_once_lose_and_double_nothing() {
        const BLOCKS: usize = 64;
        let mut memory = vec![[0_usize; 8]; BLOCKS];
        let shared = SharedChain::new();
        for block in &mut memory {
            let mut chain = Chain::EMPTY;
            // SAFETY: each block is used once, and outlives the chains.
            unsafe { chain.push(NonNull::from(block).cast()) };
            shared.put(chain);
        }
        std::thread::scope(|scope| {
            for seed in 1..=3_usize {
                let shared = &shared;
                scope.spawn(move || {
                    let mut own = Vec::new();
                    for step in 0..20_000_usize {
                        let mut chain = shared.take();
                        own.extend(chain.pop());
                        if !step.is_multiple_of(seed + 1) {
                            // SAFETY: popped above.
                            own.pop().into_iter().for_each(|block| unsafe { chain.push(block) });
                        }
                        shared.put(chain);
                    }
                    let mut chain = Chain::EMPTY;
                    // SAFETY: popped above.
                    own.into_iter().for_each(|block| unsafe { chain.push(block) });
                    shared.put(chain);
                });
            }
        });
        let mut chain = shared.take();
        let mut found: Vec<_> = std::iter::from_fn(|| chain.pop()).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), BLOCKS);
    }
}
