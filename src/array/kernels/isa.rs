//! Which vector instructions this machine has, asked once. One formula is compiled for each level.

use std::sync::atomic::{AtomicU8, Ordering};

/// How many levels a kernel is compiled for.
pub const LEVELS: usize = 3;

/// Whether every machine of this target multiplies and adds in one instruction; on x86-64 levels 1 and 2 do.
pub const FUSES: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

const UNKNOWN: u8 = u8::MAX;
static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);

/// 0: what every machine of this architecture has; 1: AVX2, FMA and BMI; 2: AVX-512 (F, BW, DQ, VL).
#[inline]
pub fn level() -> usize {
    // Relaxed: the answer is the same whoever computes it.
    let level = LEVEL.load(Ordering::Relaxed);
    if level == UNKNOWN { detect() } else { level as usize }
}

/// Whether this machine's level multiplies and adds in one instruction.
#[inline]
pub fn fuses() -> bool {
    FUSES || has_avx2()
}

/// Whether AVX2 is there, and used. A debug build is compiled for level 0 alone.
#[inline]
pub fn has_avx2() -> bool {
    cfg!(all(target_arch = "x86_64", not(debug_assertions))) && level() > 0
}

#[cold]
fn detect() -> usize {
    let level = detected();
    LEVEL.store(level, Ordering::Relaxed);
    level as usize
}

#[cfg(target_arch = "x86_64")]
fn detected() -> u8 {
    // Whatever has AVX2 has the bit manipulations too, unless a hypervisor hides them.
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if avx2 && avx512 { 2 } else { u8::from(avx2) }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> u8 {
    0
}
