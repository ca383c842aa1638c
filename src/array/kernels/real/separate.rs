//! The functions of one `f64` of which slow ones are made: products and sums rounded apart, on every machine.

macro_rules! separate {
    ($($module:ident: $($name:ident($($x:ident),+)),+;)*) => {$($(
        #[inline(always)]
        pub fn $name($($x: f64),+) -> f64 {
            super::$module::f64::$name::<false>($($x),+)
        }
    )+)*};
}

separate! {
    exponential: exp(x), exp_shifted(x, shift), expm1(x);
    logarithm: ln(x), ln_1p(x);
    error_function: erfc(x), ndtr(x);
    power: pow(x, y);
}
