//! GF(256) with the polynomial of AES, and the interpolation of Shamir's scheme over it.
//!
//! No table and no branch depends on a secret: values are only shifted, masked and added.

use zeroize::Zeroizing;

/// A point of as many polynomials as the value has bytes; `x` is public.
pub(super) struct Point {
    pub(super) x: u8,
    pub(super) value: Zeroizing<Vec<u8>>,
}

/// The values at `x` of the polynomials through the points, which have different `x` and equal lengths.
pub(super) fn interpolate(points: &[Point], x: u8) -> Zeroizing<Vec<u8>> {
    let length = points.first().map_or(0, |point| point.value.len());
    let mut result = Zeroizing::new(vec![0; length]);
    for point in points {
        let weight = lagrange_weight(points, point.x, x);
        for (sum, byte) in result.iter_mut().zip(point.value.iter()) {
            *sum ^= multiply(*byte, weight);
        }
    }
    result
}

/// The product of (x - xj) / (xi - xj) over all other points j; minus is exclusive or.
fn lagrange_weight(points: &[Point], xi: u8, x: u8) -> u8 {
    let others = points.iter().map(|point| point.x).filter(|&xj| xj != xi);
    others.fold(1, |weight, xj| multiply(weight, multiply(x ^ xj, invert(xi ^ xj))))
}

fn multiply(a: u8, b: u8) -> u8 {
    let mut shifted = a;
    let mut product = 0;
    for bit in 0..8 {
        product ^= shifted & mask(b >> bit);
        shifted = shifted << 1 ^ REDUCTION & mask(shifted >> 7);
    }
    product
}

/// a to the power of 254, which is its inverse; that of 0 is 0.
fn invert(a: u8) -> u8 {
    let mut power = a;
    let mut inverse = 1;
    for _ in 1..8 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

/// All ones if the low bit is set, else zero; opaque, so that no compiler makes a branch of it.
fn mask(bit: u8) -> u8 {
    std::hint::black_box(bit & 1).wrapping_neg()
}

/// x^8 + x^4 + x^3 + x + 1, without its first term.
const REDUCTION: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_of_fips_197_come_out() {
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
    }

    #[test]
    fn every_element_but_zero_has_its_inverse() {
        assert!((1..=255).all(|a| multiply(a, invert(a)) == 1));
        assert_eq!(invert(0), 0);
    }

    #[test]
    fn a_line_through_two_points_is_found_again_at_every_x() {
        // value(x) = 0x1f + 0x35 x
        let line = |x| Point { x, value: Zeroizing::new(vec![0x1f ^ multiply(0x35, x)]) };
        let points = [line(3), line(200)];

        assert!((0..=255).all(|x| interpolate(&points, x) == line(x).value));
    }
}
