//! Floats as parts of a key: equal if their bits are, so that a NaN is found again and `-0.0` is
//! not `0.0`.
//!
//! Called by `arg`. Implemented for nothing that is `Eq`: the choice between the two must stay
//! unambiguous.

use std::hash::{Hash, Hasher};

/// A float, or a std container of floats.
pub trait Bits {
    /// Feeds the bits to `state`.
    fn hash_bits<H: Hasher>(&self, state: &mut H);
    /// Whether the bits are the same.
    fn same_bits(&self, other: &Self) -> bool;
}

macro_rules! float {
    ($($float:ty)*) => { $(
        impl Bits for $float {
            #[inline]
            fn hash_bits<H: Hasher>(&self, state: &mut H) {
                self.to_bits().hash(state);
            }
            #[inline]
            fn same_bits(&self, other: &Self) -> bool {
                self.to_bits() == other.to_bits()
            }
        }
    )* };
}
float!(f32 f64);

impl<B: Bits> Bits for [B] {
    #[inline]
    fn hash_bits<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for one in self {
            one.hash_bits(state);
        }
    }
    #[inline]
    fn same_bits(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(a, b)| a.same_bits(b))
    }
}

impl<B: Bits> Bits for Option<B> {
    #[inline]
    fn hash_bits<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Some(one) = self {
            one.hash_bits(state);
        }
    }
    #[inline]
    fn same_bits(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(a), Some(b)) => a.same_bits(b),
            (None, None) => true,
            _ => false,
        }
    }
}

macro_rules! through {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => { $(
        impl<$($generics)*> Bits for $type {
            #[inline]
            fn hash_bits<H: Hasher>(&self, state: &mut H) {
                (**self).hash_bits(state);
            }
            #[inline]
            fn same_bits(&self, other: &Self) -> bool {
                (**self).same_bits(&**other)
            }
        }
    )* };
}
through!([B: Bits] Vec<B>, [B: Bits + ?Sized] Box<B>, [B: Bits + ?Sized] std::sync::Arc<B>);

impl<B: Bits, const N: usize> Bits for [B; N] {
    #[inline]
    fn hash_bits<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash_bits(state);
    }
    #[inline]
    fn same_bits(&self, other: &Self) -> bool {
        self.as_slice().same_bits(other.as_slice())
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Bits),*> Bits for ($($name,)*) {
            #[inline]
            fn hash_bits<H: Hasher>(&self, state: &mut H) {
                $(self.$index.hash_bits(state);)*
            }
            #[inline]
            fn same_bits(&self, other: &Self) -> bool {
                $(self.$index.same_bits(&other.$index))&&*
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn bits_decide() {
        assert!(f64::NAN.same_bits(&f64::NAN));
        assert!(!0.0_f64.same_bits(&-0.0));
        assert!(!vec![Some(1.0_f32)].same_bits(&vec![None]));
        assert!((1.0_f32, [2.0_f64]).same_bits(&(1.0, [2.0])));
    }
}
