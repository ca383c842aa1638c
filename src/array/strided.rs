//! `Array`: a dtype and a layout over a shared buffer. Numbers without a history.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::{copy, fill};
use crate::array::layout::{self, Dims, Layout, Strides};
use crate::array::{DType, Element, Scalar, Storage};
use crate::error::{Error, Kind, Result};
use crate::with_element;

/// A strided view of a shared buffer. Cloning it clones two reference counts.
#[derive(Clone)]
pub struct Array {
    storage: Storage,
    layout: Arc<Layout>,
    /// Elements between the buffer's start and the first element.
    offset: usize,
    dtype: DType,
}

impl Array {
    /// An uninitialised row-major array.
    #[inline]
    pub fn empty(shape: &[usize], dtype: DType) -> Result<Self> {
        Self::with_layout(Layout::contiguous(shape)?, dtype)
    }

    /// An uninitialised array of a contiguous layout, which is shared and not copied.
    #[inline]
    pub fn with_layout(layout: Arc<Layout>, dtype: DType) -> Result<Self> {
        debug_assert!(layout.is_contiguous());
        let storage = Storage::allocate(bytes(&layout, dtype)?)?;
        Ok(Self { storage, layout, offset: 0, dtype })
    }

    /// An uninitialised row-major array of the same shape.
    #[inline]
    pub fn empty_like(&self, dtype: DType) -> Result<Self> {
        if self.layout.is_contiguous() {
            Self::with_layout(self.layout.clone(), dtype)
        } else {
            Self::empty(self.shape(), dtype)
        }
    }

    /// An uninitialised array of any layout without negative strides.
    pub fn empty_strided(layout: Arc<Layout>, dtype: DType) -> Result<Self> {
        let extent = layout.checked_extent().and_then(|n| n.checked_mul(dtype.size()));
        let bytes = extent
            .filter(|&n| isize::try_from(n).is_ok())
            .ok_or_else(|| Kind::SizeOverflow { shape: layout.shape().into() })?;
        Ok(Self { storage: Storage::allocate(bytes)?, layout, offset: 0, dtype })
    }

    /// An uninitialised array of the same shape without gaps, whose axes lie in memory in the same order.
    pub fn empty_dense_like(&self, dtype: DType) -> Result<Self> {
        if self.is_contiguous() {
            return self.empty_like(dtype);
        }
        let layout = Layout::strided(self.shape(), &layout::dense_strides(self.shape(), self.strides()))?;
        Self::empty_strided(layout, dtype)
    }

    /// Zeros.
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Self> {
        let layout = Layout::contiguous(shape)?;
        let storage = Storage::zeroed(bytes(&layout, dtype)?)?;
        Ok(Self { storage, layout, offset: 0, dtype })
    }

    /// One value everywhere.
    pub fn full(shape: &[usize], value: Scalar, dtype: DType) -> Result<Self> {
        let y = Self::empty(shape, dtype)?;
        fill::fill(&y, value);
        Ok(y)
    }

    /// A 0-d array.
    pub fn scalar(value: Scalar, dtype: DType) -> Result<Self> {
        Self::full(&[], value, dtype)
    }

    /// Copies a slice; its length must be the shape's element count.
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self> {
        let y = Self::empty(shape, T::DTYPE)?;
        if values.len() != y.numel() {
            return Err(Kind::ReshapeSize {
                numel: values.len(),
                wanted: shape.iter().map(|&n| n as isize).collect(),
            }
            .into());
        }
        // SAFETY: `y` was just made with this many elements of `T`, and nobody else has seen it.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), y.pointer().cast::<T>(), values.len()) };
        Ok(y)
    }

    /// Any view of a storage.
    ///
    /// Fails when an element would lie outside the storage.
    pub fn from_parts(storage: Storage, layout: Arc<Layout>, offset: usize, dtype: DType) -> Result<Self> {
        let capacity = storage.bytes() / dtype.size();
        let (mut low, mut high) = (offset as i128, offset as i128);
        if layout.numel() > 0 {
            for (&n, &s) in layout.shape().iter().zip(layout.strides()) {
                let reach = (n as i128 - 1) * s as i128;
                if reach < 0 { low += reach } else { high += reach }
            }
            if low < 0 || high >= capacity as i128 {
                return Err(Error::runtime(format!(
                    "setStorage: sizes {:?}, strides {:?}, storage offset {offset}, and itemsize {} requiring a storage \
                     size of {} are out of bounds for storage of size {}",
                    layout.shape(),
                    layout.strides(),
                    dtype.size(),
                    (high + 1) * dtype.size() as i128,
                    storage.bytes()
                )));
            }
        }
        Ok(Self { storage, layout, offset, dtype })
    }

    /// Another view of the same storage. Every element must be one of this view's or lie between them.
    pub(crate) fn view_with(&self, layout: Arc<Layout>, offset: usize) -> Self {
        debug_assert!(
            Self::from_parts(self.storage.clone(), layout.clone(), offset, self.dtype).is_ok(),
            "view outside its storage: {layout:?} at {offset}"
        );
        Self { storage: self.storage.clone(), layout, offset, dtype: self.dtype }
    }

    /// Extents.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }
    /// Strides, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.layout.strides()
    }
    /// Number of dimensions.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.layout.ndim()
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }
    /// Element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// Shape and strides.
    #[inline]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
    /// The buffer.
    #[inline]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }
    /// Elements between the buffer's start and the first element.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the two show the same elements of the same storage in the same order.
    pub(crate) fn is_same_view(&self, other: &Self) -> bool {
        self.storage().is(other.storage()) && self.has_same_places(other)
    }

    /// Whether the two show the same memory in the same order, be it of two storages.
    pub(crate) fn has_same_places(&self, other: &Self) -> bool {
        self.pointer() == other.pointer()
            && self.dtype() == other.dtype()
            && self.shape() == other.shape()
            && self.strides() == other.strides()
    }

    /// Whether the memory from the first to the last element of each is in part the same.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.pointer() as usize, other.pointer() as usize);
        let bytes = |x: &Self| x.layout.extent() * x.dtype.size();
        a < b + bytes(other) && b < a + bytes(self)
    }

    /// Whether there may be a byte that both show, be it of two storages: NumPy's arrays share memory too.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        if !self.overlaps(other) {
            return false;
        }
        let size = self.dtype.size();
        let apart = (other.pointer() as usize).wrapping_sub(self.pointer() as usize) as isize;
        let is_whole = size == other.dtype.size() && apart % size as isize == 0;
        !is_whole || layout::have_common_place(&self.layout, &other.layout, apart / size as isize)
    }

    /// What is read of this array while `target` is written to: a copy, if a place is in both.
    ///
    /// Fails when there is no memory for the copy.
    pub(crate) fn as_before(&self, target: &Self) -> Result<Self> {
        if self.meets(target) { self.copied() } else { Ok(self.clone()) }
    }

    /// Whether elements lie in row-major order without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.layout.is_contiguous()
    }

    /// The first element. Valid as long as the array lives.
    #[inline]
    pub fn pointer(&self) -> *mut u8 {
        self.storage.pointer().wrapping_add(self.offset * self.dtype.size())
    }

    /// The elements, when they are contiguous and of type `T`.
    ///
    /// # Safety
    /// Nobody may write to the storage while the slice lives.
    pub unsafe fn as_slice<T: Element>(&self) -> Option<&[T]> {
        if self.dtype != T::DTYPE || !self.is_contiguous() {
            return None;
        }
        if self.numel() == 0 {
            return Some(&[]);
        }
        // SAFETY: contiguous, so `numel` elements of `T` start at `pointer`; no writes by the caller's word.
        Some(unsafe { std::slice::from_raw_parts(self.pointer().cast::<T>(), self.numel()) })
    }

    /// Each element once, in any order, when together they fill a stretch of memory and are of type `T`: those of a
    /// transposed or expanded array do.
    ///
    /// # Safety
    /// Nobody may write to the storage while the slice lives.
    pub(crate) unsafe fn as_unordered_slice<T: Element>(&self) -> Option<&[T]> {
        if self.dtype != T::DTYPE || self.numel() == 0 {
            return (self.dtype == T::DTYPE).then_some(&[]);
        }
        let mut axes: SmallVec<[(isize, usize); 6]> =
            self.strides().iter().copied().zip(self.shape().iter().copied()).collect();
        axes.retain(|&mut (stride, extent)| stride != 0 && extent != 1);
        axes.sort_unstable();
        let mut filled = 1;
        for (stride, extent) in axes {
            if usize::try_from(stride) != Ok(filled) {
                return None;
            }
            filled *= extent;
        }
        // SAFETY: from the narrowest axis on each one continues where those before end, so the elements are `filled` in a
        // row; none is written by the caller's word.
        Some(unsafe { std::slice::from_raw_parts(self.pointer().cast::<T>(), filled) })
    }

    /// The elements for writing, when they are contiguous and of type `T`.
    ///
    /// # Safety
    /// Nobody else may read or write the storage while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn as_mut_slice<T: Element>(&self) -> Option<&mut [T]> {
        if self.dtype != T::DTYPE || !self.is_contiguous() {
            return None;
        }
        if self.numel() == 0 {
            return Some(&mut []);
        }
        // SAFETY: as `as_slice`, and exclusive by the caller's word.
        Some(unsafe { std::slice::from_raw_parts_mut(self.pointer().cast::<T>(), self.numel()) })
    }

    /// This array if it is row-major, else a row-major copy.
    pub fn contiguous(&self) -> Result<Self> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.copied() }
    }

    /// A row-major copy.
    pub fn copied(&self) -> Result<Self> {
        self.cast_copy(self.dtype)
    }

    /// This array if it has the dtype, else a converted copy.
    pub fn cast(&self, dtype: DType) -> Result<Self> {
        if self.dtype == dtype { Ok(self.clone()) } else { self.cast_copy(dtype) }
    }

    /// A row-major copy with another dtype.
    pub fn cast_copy(&self, dtype: DType) -> Result<Self> {
        let y = self.empty_like(dtype)?;
        copy::copy(self, &y);
        Ok(y)
    }

    /// The elements in row-major order, converted to `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let x = self.cast(T::DTYPE)?.contiguous()?;
        // SAFETY: the slice lives for this call only; concurrent writers get what Note [Writes to shared storage] says.
        Ok(unsafe { x.as_slice::<T>() }.unwrap_or_default().to_vec())
    }

    /// The value of the only element.
    pub fn item(&self) -> Result<Scalar> {
        if self.numel() != 1 {
            return Err(Error::runtime(format!(
                "a Tensor with {} elements cannot be converted to Scalar (its shape is {:?}; .tolist() gives all elements)",
                self.numel(),
                self.shape()
            )));
        }
        // SAFETY: there is one element, at `pointer`.
        Ok(with_element!(self.dtype, T => unsafe { self.pointer().cast::<T>().read() }.to_scalar()))
    }

    /// The same elements in the same order under another shape, if strides can say it.
    pub fn view(&self, shape: &[usize]) -> Result<Self> {
        if self.is_contiguous() {
            return Ok(self.view_with(Layout::contiguous(shape)?, self.offset));
        }
        let strides = view_strides(self.shape(), self.strides(), shape)
            .ok_or_else(|| Kind::ViewIncompatible { shape: self.shape().into(), wanted: shape.into() })?;
        Ok(self.view_with(Layout::strided(shape, &strides)?, self.offset))
    }

    /// The same bytes as numbers of another dtype; of other sizes, the last axis has more of them or fewer.
    ///
    /// Fails where such numbers are not the elements of any strides, or lie askew in memory.
    pub fn reinterpret(&self, dtype: DType) -> Result<Self> {
        let (old, new) = (self.dtype.size(), dtype.size());
        let names = (self.dtype.scalar_name(), dtype.scalar_name());
        if old == new {
            return Ok(Self { dtype, ..self.clone() });
        }
        let Some(last) = self.ndim().checked_sub(1) else {
            return Err(Error::runtime(format!(
                "self.dim() cannot be 0 to view {} as {} (different element sizes)",
                names.0, names.1
            )));
        };
        let require = |holds: bool, what: &str, must: &str, got: isize| {
            let (from, to) = names;
            let message = || {
                format!(
                    "self.{what} must be {must} to view {from} as {to} (different element sizes), but got {got}"
                )
            };
            if holds { Ok(()) } else { Err(Error::runtime(message())) }
        };
        let (mut shape, mut strides) = (Dims::from(self.shape()), Strides::from(self.strides()));
        let one = |strides: &Strides| require(strides[last] == 1, "stride(-1)", "1", strides[last]);
        let offset = if new < old {
            let ratio = old / new;
            one(&strides)?;
            shape[last] =
                shape[last].checked_mul(ratio).ok_or_else(|| Kind::SizeOverflow { shape: shape.clone() })?;
            // Beside an axis without elements, or with one, a stride may be of any size.
            strides[..last].iter_mut().for_each(|s| *s = s.saturating_mul(ratio as isize));
            self.offset * ratio
        } else {
            let ratio = new / old;
            let divisible = format!("divisible by {ratio}");
            let whole = |what: &str, n: isize| require(n % ratio as isize == 0, what, &divisible, n);
            whole("size(-1)", shape[last] as isize)?;
            whole("storage_offset()", self.offset as isize)?;
            one(&strides)?;
            shape[last] /= ratio;
            for (axis, stride) in strides[..last].iter_mut().enumerate() {
                whole(&format!("stride({axis})"), *stride)?;
                *stride /= ratio as isize;
            }
            self.offset / ratio
        };
        let y = Self::from_parts(self.storage.clone(), Layout::strided(&shape, &strides)?, offset, dtype)?;
        if !(y.pointer() as usize).is_multiple_of(new) {
            return Err(Error::runtime(format!(
                "the tensor's memory is not aligned as {} must be; clone() it first",
                dtype.name()
            )));
        }
        Ok(y)
    }

    /// The same places, without the axes that repeat them, if there are any.
    pub(crate) fn places(&self) -> Result<Option<Self>> {
        let axes = || (0..self.ndim()).filter(|&a| self.strides()[a] != 0 || self.shape()[a] == 0);
        if self.is_contiguous() || axes().count() == self.ndim() {
            return Ok(None);
        }
        let shape: Dims = axes().map(|a| self.shape()[a]).collect();
        let strides: Strides = axes().map(|a| self.strides()[a]).collect();
        Ok(Some(self.view_with(Layout::strided(&shape, &strides)?, self.offset)))
    }

    /// Repeats axes of extent 1 without copying.
    pub fn expand(&self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let skip = shape.len().checked_sub(self.ndim()).ok_or_else(|| self.expand_error(shape))?;
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        for (i, (&n, &s)) in self.shape().iter().zip(self.strides()).enumerate() {
            if n == shape[skip + i] {
                strides[skip + i] = s;
            } else if n != 1 {
                return Err(self.expand_error(shape));
            }
        }
        Ok(self.view_with(Layout::strided(shape, &strides)?, self.offset))
    }

    #[cold]
    fn expand_error(&self, shape: &[usize]) -> Error {
        Error::runtime(format!(
            "The expanded size of the tensor must match the existing size at every non-singleton dimension. \
             Target sizes: {shape:?}. Tensor sizes: {:?}",
            self.shape()
        ))
    }

    /// The axes in another order.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let shape: Dims = axes.iter().map(|&a| self.shape()[a]).collect();
        let strides: Strides = axes.iter().map(|&a| self.strides()[a]).collect();
        Ok(self.view_with(Layout::strided(&shape, &strides)?, self.offset))
    }

    /// One position along an axis; the axis goes.
    pub fn select(&self, axis: usize, index: usize) -> Result<Self> {
        let offset = self.offset.wrapping_add_signed(index as isize * self.strides()[axis]);
        if self.ndim() == 1 {
            return Ok(self.view_with(Layout::scalar(), offset));
        }
        let mut shape: Dims = self.shape().into();
        let mut strides: Strides = self.strides().into();
        shape.remove(axis);
        strides.remove(axis);
        Ok(self.view_with(Layout::strided(&shape, &strides)?, offset))
    }

    /// Positions `start, start + step, ...` along an axis, `count` of them.
    pub fn slice(&self, axis: usize, start: usize, count: usize, step: usize) -> Result<Self> {
        let mut shape: Dims = self.shape().into();
        let mut strides: Strides = self.strides().into();
        shape[axis] = count;
        let offset = if count == 0 {
            self.offset
        } else {
            self.offset.wrapping_add_signed(start as isize * strides[axis])
        };
        strides[axis] = strides[axis].saturating_mul(isize::try_from(step).unwrap_or(isize::MAX));
        Ok(self.view_with(Layout::strided(&shape, &strides)?, offset))
    }
}

fn bytes(layout: &Layout, dtype: DType) -> Result<usize> {
    layout
        .numel()
        .checked_mul(dtype.size())
        .filter(|&n| isize::try_from(n).is_ok())
        .ok_or_else(|| Kind::SizeOverflow { shape: layout.shape().into() }.into())
}

/// The strides under which a strided block shows the same elements in the same order with another shape.
fn view_strides(shape: &[usize], strides: &[isize], wanted: &[usize]) -> Option<Strides> {
    let mut result: Strides = SmallVec::from_elem(0, wanted.len());
    if shape.contains(&0) {
        return Some(layout::contiguous_strides(wanted));
    }
    // Walk both shapes from the right, in runs of axes that are contiguous with one another.
    let mut w = wanted.len();
    let mut i = shape.len();
    while i > 0 {
        let step = strides[i - 1];
        let mut run = shape[i - 1];
        i -= 1;
        while i > 0 && (shape[i - 1] == 1 || strides[i - 1] == run as isize * step) {
            run *= shape[i - 1];
            i -= 1;
        }
        let mut filled = 1;
        while w > 0 && (filled < run || wanted[w - 1] == 1) {
            result[w - 1] = step * filled as isize;
            filled *= wanted[w - 1];
            w -= 1;
        }
        if filled != run {
            return None;
        }
    }
    while w > 0 {
        w -= 1;
        if wanted[w] != 1 {
            return None;
        }
        result[w] = 1;
    }
    Some(result)
}
