//! Hyperbolic functions and their inverses.

macro_rules! hyperbolic {
    ($float:ident, saturated: $saturated:expr, far: $far:expr, sinh: $($coefficient:expr),+) => {
        pub mod $float {
            use super::super::exponential::$float::{exp_shifted, expm1_nonpositive};
            use super::super::logarithm::$float::ln_1p;
            use super::super::polynomial::{MulAdd, polynomial};

            /// `e^|x| / 2` and its inverse's quarter, whose sum and difference are `cosh` and `sinh`: halved before it could overflow.
            #[inline(always)]
            fn halves<const FUSED: bool>(magnitude: $float) -> ($float, $float) {
                let half = exp_shifted::<FUSED>(magnitude, -1.0);
                (half, 0.25 / half)
            }

            /// Below one, where the difference would cancel, the Taylor series.
            #[inline(always)]
            pub fn sinh<const FUSED: bool>(x: $float) -> $float {
                let y = x.abs();
                let z = y * y;
                let near = (y * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($coefficient),+), y);
                let (up, down) = halves::<FUSED>(y);
                let value = if y < 1.0 { near } else { up - down };
                value.copysign(x)
            }

            #[inline(always)]
            pub fn cosh<const FUSED: bool>(x: $float) -> $float {
                let (up, down) = halves::<FUSED>(x.abs());
                up + down
            }

            /// `-tanh(y)` of `y` in `[0, 43]`: `(e^(-2y) - 1) / (e^(-2y) + 1)`.
            #[inline(always)]
            fn minus_tanh<const FUSED: bool>(y: $float) -> $float {
                let fall = expm1_nonpositive::<FUSED>(-(y + y));
                fall / (2.0 + fall)
            }

            #[inline(always)]
            pub fn tanh<const FUSED: bool>(x: $float) -> $float {
                let y = x.abs();
                minus_tanh::<FUSED>(if y > $saturated { $saturated } else { y }).copysign(x)
            }

            #[inline(always)]
            pub fn tanh_near<const FUSED: bool>(x: $float) -> $float {
                minus_tanh::<FUSED>(x.abs()).copysign(x)
            }

            /// Where `x` is so large that its square could overflow, both inverses are `ln(2x)`.
            #[inline(always)]
            fn doubled(x: $float) -> $float {
                if x > $far { std::$float::consts::LN_2 } else { 0.0 }
            }

            #[inline(always)]
            pub fn asinh<const FUSED: bool>(x: $float) -> $float {
                let y = x.abs();
                let near = y + y * y / (1.0 + (y * y + 1.0).sqrt());
                (ln_1p::<FUSED>(if y > $far { y } else { near }) + doubled(y)).copysign(x)
            }

            #[inline(always)]
            pub fn acosh<const FUSED: bool>(x: $float) -> $float {
                let above = x - 1.0;
                let near = above + (2.0 * above + above * above).sqrt();
                let value = ln_1p::<FUSED>(if x > $far { x } else { near }) + doubled(x);
                if x < 1.0 { $float::NAN } else { value }
            }

            #[inline(always)]
            pub fn atanh<const FUSED: bool>(x: $float) -> $float {
                let y = x.abs();
                (0.5 * ln_1p::<FUSED>(2.0 * y / (1.0 - y))).copysign(x)
            }
        }
    };
}

hyperbolic!(f32, saturated: 10.0, far: 1.0e8, sinh: 1.666_666_7e-1, 8.333_339e-3, 1.983_810_2e-4, 2.806_280_2e-6);
hyperbolic!(
    f64, saturated: 20.0, far: 1.0e17,
    sinh: 0.166_666_666_666_666_66, 0.008_333_333_333_333_299, 0.000_198_412_698_413_241_98,
    2.755_731_919_138_181_6e-6, 2.505_211_769_590_782_3e-8, 1.605_767_962_380_163_8e-10, 7.746_178_593_018_827e-13
);
