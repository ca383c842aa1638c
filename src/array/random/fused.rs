//! Loops in which a fused multiply-add is an instruction, where the machine has one.

/// Runs `work`, and compiles what is inlined into it for a machine that has AVX2 and a fused multiply-add if this one does.
///
/// The result is the same either way: without the instruction, `mul_add` is a call of the C library that rounds once too.
#[inline]
pub(super) fn with_fused_multiply_add<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<R>(work: impl FnOnce() -> R) -> R {
            work()
        }

        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the two features that `compiled` is compiled for were detected in the line above.
            return unsafe { compiled(work) };
        }
    }
    work()
}
