//! Polynomials, written from the constant term up, and the one step of which they are made.
//!
//! The coefficients in this folder are Chebyshev interpolants of the functions named beside them, made in 200 bits and
//! rounded, unless something else is said beside them; the interval is the one to which the argument has been reduced.

/// A number that can be multiplied and added in one step.
pub trait MulAdd {
    /// `self * factor + addend`, rounded once if `FUSED`, and otherwise twice.
    fn mul_add_if<const FUSED: bool>(self, factor: Self, addend: Self) -> Self;
}

macro_rules! mul_add {
    ($($float:ident),*) => {$(
        impl MulAdd for $float {
            #[inline(always)]
            fn mul_add_if<const FUSED: bool>(self, factor: Self, addend: Self) -> Self {
                if FUSED { self.mul_add(factor, addend) } else { self * factor + addend }
            }
        }
    )*};
}

mul_add!(f32, f64);

/// `c0 + x c1 + x^2 c2 + ...`: `polynomial!(FUSED; x; c0, c1, ...)`, its steps fused if `FUSED`, which may be left out.
///
/// Horner's rule is one long chain of dependent steps, and a processor cannot look far enough ahead to fill the gaps
/// with the next numbers. From four terms up the even and the odd powers are summed apart, from eight every fourth;
/// `polynomial!(FUSED; x, x * x; ...)` sums the even and the odd ones apart, however many there are: the square is at hand.
macro_rules! polynomial {
    // Horner's rule with every second or fourth coefficient.
    (@horner $fused:tt $x:ident; $last:expr) => { $last };
    (@horner $fused:tt $x:ident; $first:expr, $($rest:expr),+) => {
        $x.mul_add_if::<$fused>(polynomial!(@horner $fused $x; $($rest),+), $first)
    };
    (@second $fused:tt $x:ident; $a:expr $(, $b:expr)?) => { $a };
    (@second $fused:tt $x:ident; $a:expr, $b:expr, $($rest:expr),+) => {
        $x.mul_add_if::<$fused>(polynomial!(@second $fused $x; $($rest),+), $a)
    };
    (@fourth $fused:tt $x:ident; $a:expr $(, $b:expr $(, $c:expr $(, $d:expr)?)?)?) => { $a };
    (@fourth $fused:tt $x:ident; $a:expr, $b:expr, $c:expr, $d:expr, $($rest:expr),+) => {
        $x.mul_add_if::<$fused>(polynomial!(@fourth $fused $x; $($rest),+), $a)
    };
    ($fused:tt; $x:expr; $c0:expr, $c1:expr, $c2:expr, $c3:expr, $c4:expr, $c5:expr, $c6:expr, $c7:expr $(, $rest:expr)* $(,)?) => {{
        use $crate::array::kernels::real::polynomial::MulAdd;
        let x = $x;
        let square = x * x;
        let fourth = square * square;
        let low = x.mul_add_if::<$fused>(
            polynomial!(@fourth $fused fourth; $c1, $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*),
            polynomial!(@fourth $fused fourth; $c0, $c1, $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*),
        );
        let high = x.mul_add_if::<$fused>(
            polynomial!(@fourth $fused fourth; $c3, $c4, $c5, $c6, $c7 $(, $rest)*),
            polynomial!(@fourth $fused fourth; $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*),
        );
        square.mul_add_if::<$fused>(high, low)
    }};
    ($fused:tt; $x:expr; $c0:expr, $c1:expr, $c2:expr, $c3:expr $(, $rest:expr)* $(,)?) => {{
        let x = $x;
        polynomial!($fused; x, x * x; $c0, $c1, $c2, $c3 $(, $rest)*)
    }};
    ($fused:tt; $x:expr, $square:expr; $c0:expr, $c1:expr, $c2:expr, $c3:expr $(, $rest:expr)* $(,)?) => {{
        use $crate::array::kernels::real::polynomial::MulAdd;
        let (x, square) = ($x, $square);
        x.mul_add_if::<$fused>(
            polynomial!(@second $fused square; $c1, $c2, $c3 $(, $rest)*),
            polynomial!(@second $fused square; $c0, $c1, $c2, $c3 $(, $rest)*),
        )
    }};
    ($fused:tt; $x:expr; $($coefficient:expr),+ $(,)?) => {{
        use $crate::array::kernels::real::polynomial::MulAdd;
        let x = $x;
        polynomial!(@horner $fused x; $($coefficient),+)
    }};
    ($x:expr; $($coefficient:expr),+ $(,)?) => { polynomial!(false; $x; $($coefficient),+) };
}

pub(super) use polynomial;
