//! Element types: their names, sizes and promotion.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
// A word wide, as Scalar's tag: see Note [Odd padding].
#[repr(u64)]
pub enum DType {
    /// Truth values, one byte each, 0 or 1.
    Bool,
    /// Unsigned 8-bit integers.
    U8,
    /// Signed 8-bit integers.
    I8,
    /// Signed 16-bit integers.
    I16,
    /// Signed 32-bit integers.
    I32,
    /// Signed 64-bit integers.
    I64,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

/// Promotion goes by category first: a float operand makes the result a float, whatever the widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Truth values.
    Bool,
    /// Integers.
    Integer,
    /// Floating-point numbers.
    Float,
}

impl DType {
    /// How many dtypes there are: the length of a per-dtype table.
    pub const COUNT: usize = 8;

    /// Every dtype, in declaration order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Bool, Self::U8, Self::I8, Self::I16, Self::I32, Self::I64, Self::F32, Self::F64];

    /// Bytes per element.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// The kind of number.
    #[inline]
    pub const fn category(self) -> Category {
        match self {
            Self::Bool => Category::Bool,
            Self::U8 | Self::I8 | Self::I16 | Self::I32 | Self::I64 => Category::Integer,
            Self::F32 | Self::F64 => Category::Float,
        }
    }

    /// Whether elements are floating-point numbers.
    #[inline]
    pub const fn is_floating(self) -> bool {
        matches!(self.category(), Category::Float)
    }

    /// Whether a tensor of this dtype can require a gradient.
    #[inline]
    pub const fn is_differentiable(self) -> bool {
        self.is_floating()
    }

    /// The smallest dtype of the lattice that holds both.
    #[inline]
    pub fn promote(self, other: Self) -> Self {
        use DType::{I8, I16, U8};
        if self == other {
            return self;
        }
        let (low, high) = if self.category() <= other.category() { (self, other) } else { (other, self) };
        if low.category() != high.category() {
            return high;
        }
        match (low, high) {
            (U8, I8) | (I8, U8) => I16,
            _ => low.max(high),
        }
    }

    /// The name as in `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// The name error messages use for the scalar type, as in `Float`.
    pub const fn scalar_name(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::U8 => "Byte",
            Self::I8 => "Char",
            Self::I16 => "Short",
            Self::I32 => "Int",
            Self::I64 => "Long",
            Self::F32 => "Float",
            Self::F64 => "Double",
        }
    }

    /// The name error messages use in 'not implemented for'.
    pub const fn c_name(self) -> &'static str {
        self.scalar_name()
    }

    /// The name error messages use for a tensor of this dtype.
    pub const fn tensor_name(self) -> &'static str {
        match self {
            Self::Bool => "torch.BoolTensor",
            Self::U8 => "torch.ByteTensor",
            Self::I8 => "torch.CharTensor",
            Self::I16 => "torch.ShortTensor",
            Self::I32 => "torch.IntTensor",
            Self::I64 => "torch.LongTensor",
            Self::F32 => "torch.FloatTensor",
            Self::F64 => "torch.DoubleTensor",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A truth value in memory. A byte and not a `bool`, because foreign buffers may hold any bit pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl Bool {
    /// Whether it is true: any bit set.
    #[inline(always)]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    #[inline(always)]
    fn from(value: bool) -> Self {
        Self(u8::from(value))
    }
}

impl PartialOrd for Bool {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.get().partial_cmp(&other.get())
    }
}

/// A number of unknown width: a Python scalar, a fill value, a single element read out.
///
/// Note [Odd padding]: a tag of one byte leaves seven odd bytes before the next word, which a move copies as two overlapping
/// halves; reading them back at once makes the processor wait for its stores to reach the cache. An element-wise
/// operation on four elements moves its operands, results and errors about a dozen times, and spent a fifth of its time
/// in such waits. So what is moved often has tags as wide as a word.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u64)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
}

impl Scalar {
    /// The kind of number.
    #[inline]
    pub const fn category(self) -> Category {
        match self {
            Self::Bool(_) => Category::Bool,
            Self::Int(_) => Category::Integer,
            Self::Float(_) => Category::Float,
        }
    }

    /// The nearest double.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Bool(b) => f64::from(u8::from(b)),
            Self::Int(i) => i as f64,
            Self::Float(x) => x,
        }
    }

    /// The integer part, saturating.
    #[inline]
    pub fn to_i64(self) -> i64 {
        match self {
            Self::Bool(b) => i64::from(b),
            Self::Int(i) => i,
            Self::Float(x) => x as i64,
        }
    }

    /// Whether it differs from zero.
    #[inline]
    pub fn is_true(self) -> bool {
        match self {
            Self::Bool(b) => b,
            Self::Int(i) => i != 0,
            Self::Float(x) => x != 0.0,
        }
    }
}

impl From<f64> for Scalar {
    fn from(x: f64) -> Self {
        Self::Float(x)
    }
}
impl From<i64> for Scalar {
    fn from(x: i64) -> Self {
        Self::Int(x)
    }
}
impl From<bool> for Scalar {
    fn from(x: bool) -> Self {
        Self::Bool(x)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is the element type of some dtype.
pub trait Element:
    Copy + Send + Sync + PartialEq + PartialOrd + fmt::Debug + Default + sealed::Sealed + 'static
{
    /// The dtype.
    const DTYPE: DType;
    /// Converts as a C cast does: floats to integers by truncation, integers wrapping, anything to `Bool` by `!= 0`.
    fn from_scalar(x: Scalar) -> Self;
    /// Reads it out.
    fn to_scalar(self) -> Scalar;
    /// As a double.
    fn to_f64(self) -> f64;
    /// As an integer, truncated.
    fn to_i64(self) -> i64;
    /// From a double, as a C cast does.
    fn from_f64(x: f64) -> Self;
    /// From an integer, wrapping.
    fn from_i64(x: i64) -> Self;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
}

macro_rules! element {
    ($($t:ty, $dtype:ident, $variant:ident, $wide:ty;)*) => { $(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            #[inline(always)]
            fn from_scalar(x: Scalar) -> Self {
                match x {
                    Scalar::Bool(b) => Self::from_i64(i64::from(b)),
                    Scalar::Int(i) => i as $t,
                    Scalar::Float(f) => Self::from_f64(f),
                }
            }
            #[inline(always)]
            fn to_scalar(self) -> Scalar { Scalar::$variant(<$wide>::from(self)) }
            #[inline(always)]
            #[allow(clippy::cast_lossless)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            #[allow(clippy::cast_lossless)]
            fn to_i64(self) -> i64 { self as i64 }
            #[inline(always)]
            fn from_f64(x: f64) -> Self { element!(@from_f64 $variant, x, $t) }
            #[inline(always)]
            #[allow(clippy::cast_lossless)]
            fn from_i64(x: i64) -> Self { x as $t }
            const ZERO: Self = 0 as $t;
            const ONE: Self = 1 as $t;
        }
    )* };
    // A float that no narrow integer holds wraps through i64, as x86's conversions do for PyTorch.
    (@from_f64 Int, $x:ident, $t:ty) => { $x as i64 as $t };
    (@from_f64 Float, $x:ident, $t:ty) => { $x as $t };
}

element! {
    u8, U8, Int, i64;
    i8, I8, Int, i64;
    i16, I16, Int, i64;
    i32, I32, Int, i64;
    i64, I64, Int, i64;
    f32, F32, Float, f64;
    f64, F64, Float, f64;
}

impl sealed::Sealed for Bool {}
impl Element for Bool {
    const DTYPE: DType = DType::Bool;
    #[inline(always)]
    fn from_scalar(x: Scalar) -> Self {
        x.is_true().into()
    }
    #[inline(always)]
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self.get())
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.get()))
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self.get())
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        (x != 0.0).into()
    }
    #[inline(always)]
    fn from_i64(x: i64) -> Self {
        (x != 0).into()
    }
    const ZERO: Self = Self(0);
    const ONE: Self = Self(1);
}

/// Runs an expression with a type parameter bound to the element type of a dtype.
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use $crate::array::{Bool, DType};
        match $dtype {
            DType::Bool => {
                type $T = Bool;
                $body
            }
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::I8 => {
                type $T = i8;
                $body
            }
            DType::I16 => {
                type $T = i16;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
        }
    }};
}
