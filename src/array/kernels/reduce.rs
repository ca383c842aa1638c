//! Reductions (a first, plain version).
use crate::array::{Array, DType, Element};
use crate::error::Result;
use crate::with_element;
use smallvec::SmallVec;
/// Sum over axes, which go; in f64 for floats.
pub fn sum(x: &Array, axes: &[usize], dtype: DType) -> Result<Array> {
    let kept: SmallVec<[usize; 6]> = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    let order: SmallVec<[usize; 6]> = kept.iter().chain(axes).copied().collect();
    let shape: SmallVec<[usize; 6]> = kept.iter().map(|&a| x.shape()[a]).collect();
    let flat = x.permute(&order)?.cast(dtype)?.contiguous()?;
    let y = Array::zeros(&shape, dtype)?;
    let n = y.numel();
    if n > 0 && x.numel() > 0 {
        let m = x.numel() / n;
        with_element!(dtype, T => {
            // SAFETY: fresh
            let (a, b) = unsafe { (flat.as_slice::<T>().unwrap_or_default(), y.as_mut_slice::<T>().unwrap_or_default()) };
            for (row, out) in a.chunks(m).zip(b) {
                *out = if dtype.is_floating() { T::from_f64(row.iter().map(|v| v.to_f64()).sum()) }
                       else { T::from_i64(row.iter().fold(0_i64, |s, v| s.wrapping_add(v.to_i64()))) };
            }
        });
    }
    Ok(y)
}
