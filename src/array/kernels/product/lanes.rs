//! Loops of other kernels over the registers that products are computed in.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

use super::register::{Baseline, Element, Kernel, Lanes, Register};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// A dtype with registers, two of which have the same number of lanes on every machine.
pub trait Laned: Copy {
    /// A register of AVX2; on another architecture `Plain`.
    type Best: Register<Element = Self>;
    /// A register of AVX-512; on another architecture `Plain`.
    type Widest: Register<Element = Self>;
    /// A register that every machine has.
    type Plain: Register<Element = Self>;
    /// Lanes of `Best` and `Plain`.
    const LANES: usize = Self::Plain::LANES;

    /// The element with which `and` leaves another as it is, or makes zero of it.
    fn mask(kept: bool) -> Self;
}

macro_rules! laned {
    ($($t:ty: $lanes:literal, $best:ty, $widest:ty;)*) => {$(
        impl Laned for $t {
            #[cfg(target_arch = "x86_64")]
            type Best = $best;
            #[cfg(not(target_arch = "x86_64"))]
            type Best = Self::Plain;
            #[cfg(target_arch = "x86_64")]
            type Widest = $widest;
            #[cfg(not(target_arch = "x86_64"))]
            type Widest = Self::Plain;
            type Plain = Lanes<$t, $lanes, Baseline>;

            fn mask(kept: bool) -> Self {
                if kept { <$t as Element>::ONES } else { <$t as Element>::ZERO }
            }
        }
    )*};
}

laned! {
    f32: 8, arch::__m256, arch::__m512;
    f64: 4, arch::__m256d, arch::__m512d;
    i64: 4, Lanes<i64, 4, x86::Avx2>, Lanes<i64, 8, x86::Avx512>;
}

/// Runs a loop in the best registers of this machine.
///
/// # Safety
/// What the loop points to is valid.
#[inline]
pub unsafe fn enter<T: Laned, K: Kernel<T::Best> + Kernel<T::Plain>>(kernel: K) {
    // SAFETY: the caller's promise, and registers of AVX2 only where its instructions are.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if matches!(x86::level(), x86::Level::Avx2 | x86::Level::Avx512) {
            return T::Best::enter(kernel);
        }
        T::Plain::enter(kernel);
    }
}

/// [`enter`] for a loop that gives the same bits in registers of any number of lanes: in those of AVX-512 too.
///
/// # Safety
/// As for [`enter`].
#[inline]
pub unsafe fn enter_widest<T: Laned, K>(kernel: K)
where
    K: Kernel<T::Best> + Kernel<T::Widest> + Kernel<T::Plain>,
{
    // SAFETY: the caller's promise, and registers of AVX-512 only where its instructions are.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if x86::level() == x86::Level::Avx512 {
            return T::Widest::enter(kernel);
        }
        enter::<T, K>(kernel);
    }
}
