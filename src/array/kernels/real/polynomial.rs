//! Polynomials, written from the constant term up.
//!
//! The coefficients in this folder are Chebyshev interpolants of the functions named beside them, made in 200 bits and
//! rounded; the interval is the one to which the argument has been reduced.

/// `c0 + x c1 + x^2 c2 + ...`.
///
/// Horner's rule is one long chain of dependent steps, and a processor cannot look far enough ahead to fill the gaps
/// with the next numbers. From four terms up the even and the odd powers are summed apart, from eight every fourth.
macro_rules! polynomial {
    // Horner's rule with every second or fourth coefficient.
    (@horner $x:ident; $last:expr) => { $last };
    (@horner $x:ident; $first:expr, $($rest:expr),+) => { $first + $x * polynomial!(@horner $x; $($rest),+) };
    (@second $x:ident; $a:expr $(, $b:expr)?) => { $a };
    (@second $x:ident; $a:expr, $b:expr, $($rest:expr),+) => { $a + $x * polynomial!(@second $x; $($rest),+) };
    (@fourth $x:ident; $a:expr $(, $b:expr $(, $c:expr $(, $d:expr)?)?)?) => { $a };
    (@fourth $x:ident; $a:expr, $b:expr, $c:expr, $d:expr, $($rest:expr),+) => {
        $a + $x * polynomial!(@fourth $x; $($rest),+)
    };
    ($x:expr; $c0:expr, $c1:expr, $c2:expr, $c3:expr, $c4:expr, $c5:expr, $c6:expr, $c7:expr $(, $rest:expr)* $(,)?) => {{
        let x = $x;
        let square = x * x;
        let fourth = square * square;
        let low = polynomial!(@fourth fourth; $c0, $c1, $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*)
            + x * polynomial!(@fourth fourth; $c1, $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*);
        let high = polynomial!(@fourth fourth; $c2, $c3, $c4, $c5, $c6, $c7 $(, $rest)*)
            + x * polynomial!(@fourth fourth; $c3, $c4, $c5, $c6, $c7 $(, $rest)*);
        low + square * high
    }};
    ($x:expr; $c0:expr, $c1:expr, $c2:expr, $c3:expr $(, $rest:expr)* $(,)?) => {{
        let x = $x;
        let square = x * x;
        polynomial!(@second square; $c0, $c1, $c2, $c3 $(, $rest)*)
            + x * polynomial!(@second square; $c1, $c2, $c3 $(, $rest)*)
    }};
    ($x:expr; $($coefficient:expr),+ $(,)?) => {{
        let x = $x;
        polynomial!(@horner x; $($coefficient),+)
    }};
}

pub(super) use polynomial;
