//! A piece of work compiled once for each instruction set, and the choice between them. A debug build compiles it once.

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
use crate::array::kernels::isa;

/// A piece of work that is compiled for several instruction sets.
pub trait Task {
    /// What a piece answers with.
    type Answer;
    /// Whether wider registers help.
    const VECTOR: bool = true;
    /// Does the piece of this number. `#[inline(always)]`.
    fn run(&self, index: usize) -> Self::Answer;
}

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
#[target_feature(enable = "avx2,fma,bmi1,bmi2")]
#[inline(never)]
fn avx2<T: Task>(task: &T, index: usize) -> T::Answer {
    task.run(index)
}

#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
#[inline(never)]
fn avx512<T: Task>(task: &T, index: usize) -> T::Answer {
    task.run(index)
}

/// Does a piece with the widest registers this machine has.
#[inline]
pub fn leveled<T: Task>(task: &T, index: usize) -> T::Answer {
    #[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
    if T::VECTOR {
        // SAFETY: `level` has asked the processor.
        match isa::level() {
            2 => return unsafe { avx512(task, index) },
            // SAFETY: as above.
            1 => return unsafe { avx2(task, index) },
            _ => {}
        }
    }
    task.run(index)
}
