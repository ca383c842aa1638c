//! Lists whose length a caller chose: an error, not the end of the process, where there is no memory for them.

use crate::error::{Kind, Result};

/// An empty list with room for `length` elements.
pub(crate) fn reserved<T>(length: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(length)
        .map_err(|_| Kind::OutOfMemory { bytes: length.saturating_mul(size_of::<T>()) })?;
    Ok(list)
}

/// A list of `length` zeros, or what else is the default.
pub(crate) fn defaults<T: Clone + Default>(length: usize) -> Result<Vec<T>> {
    let mut list = reserved(length)?;
    list.resize(length, T::default());
    Ok(list)
}
