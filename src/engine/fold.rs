//! A sum that does not depend on the order in which its terms arrive.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::graph::Tensor;

/// One slot's gradient, while its contributions arrive in any order from any thread.
///
/// Note [Summing in edge order]: the contributions to an output are numbered as the pass on one thread would add them:
/// roots first, then consumers from the newest to the oldest, and each one's edges in order. A contribution is added when
/// all before it have been, so the sum has the same bits on any number of threads, and what waits is little, because
/// nodes run in nearly that order.
#[derive(Default)]
pub(super) struct Fold(Mutex<Sum>);

#[derive(Default)]
struct Sum {
    total: Option<Tensor>,
    /// The number of the next contribution to be added.
    next: u32,
    /// Whether a thread is adding at this moment; it will add what arrives meanwhile.
    is_adding: bool,
    early: BTreeMap<u32, Option<Tensor>>,
}

impl Fold {
    fn lock(&self) -> MutexGuard<'_, Sum> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the contribution of this number; `None` counts as zero. `add` adds the contribution of a number to a sum; it is
    /// called without the lock.
    ///
    /// When the calls that bring all contributions have returned, all have been added.
    pub fn bring(
        &self,
        number: u32,
        grad: Option<Tensor>,
        add: impl Fn(u32, Tensor, Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let mut here = self.lock();
        if here.is_adding || number != here.next {
            here.early.insert(number, grad);
            return Ok(());
        }
        let mut arrived = Some(grad);
        while let Some(grad) = arrived {
            let number = here.next;
            here.next += 1;
            match (here.total.take(), grad) {
                (None, grad) => here.total = grad,
                (sum, None) => here.total = sum,
                (Some(sum), Some(grad)) => {
                    here.is_adding = true;
                    drop(here);
                    let sum = add(number, sum, grad);
                    here = self.lock();
                    here.is_adding = false;
                    here.total = Some(sum?);
                }
            }
            let next = here.next;
            arrived = if here.early.is_empty() { None } else { here.early.remove(&next) };
        }
        Ok(())
    }

    /// The sum, once all contributions have been brought.
    pub fn take(&self) -> Option<Tensor> {
        self.lock().total.take()
    }
}
