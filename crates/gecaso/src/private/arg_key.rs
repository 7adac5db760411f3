//! A function's arguments as a key outside of this process: exactly the tuple of them, as other
//! languages write it.
//!
//! Called by whatever looks a call up in a far storage. Must not know what the bytes are used for.

use super::arg::{Arg, Cons, Nil, Stored};
use crate::codec::key::{Key, KeyEncoder};

/// As the argument itself: a `Stored<[u8], _>` is bytes.
impl<A: ?Sized + Arg<M>, M> Key for Stored<A, M>
where
    A::Owned: Key,
{
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        self.owned().encode(to);
    }
}

/// The arguments from some place on.
pub trait KeyParts {
    /// How many.
    const COUNT: usize;
    /// Writes them, one after the other.
    fn encode_parts(&self, to: &mut KeyEncoder);
}

impl KeyParts for Nil {
    const COUNT: usize = 0;
    #[inline]
    fn encode_parts(&self, _: &mut KeyEncoder) {}
}

impl<P: Key, R: KeyParts> KeyParts for Cons<P, R> {
    const COUNT: usize = 1 + R::COUNT;
    #[inline]
    fn encode_parts(&self, to: &mut KeyEncoder) {
        to.child(&self.0);
        self.1.encode_parts(to);
    }
}

impl Key for Nil {
    fn encode(&self, to: &mut KeyEncoder) {
        to.tuple(0);
    }
}

impl<P: Key, R: KeyParts> Key for Cons<P, R> {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        to.tuple(Self::COUNT);
        self.encode_parts(to);
    }
}

#[cfg(test)]
mod tests {
    use super::super::arg::{Cons, Nil, Parts, View, ViewOption, ViewSlice};
    use super::Key;
    use crate::KeyEncoder;
    use crate::key::Query;

    fn is_the_tuple<Q: Parts, T: Key>(query: &Q, tuple: T)
    where
        Q::Key: Key,
    {
        assert_eq!(KeyEncoder::encoded(&query.to_key()), KeyEncoder::encoded(&tuple));
    }

    #[test]
    fn arguments_encode_as_their_tuple() {
        is_the_tuple(&Nil, ());
        is_the_tuple(&Cons(View::new(&7_u64), Nil), (7,));
        is_the_tuple(&Cons(View::new("a"), Cons(View::new(&1.5_f64), Nil)), ("a", 1.5));
        is_the_tuple(&Cons(View::new(&[1_u8, 2][..]), Nil), (vec![1_u8, 2],));
        is_the_tuple(&Cons(ViewSlice::new(&["a", "b"]), Nil), (["a", "b"],));
        is_the_tuple(
            &Cons(ViewOption::new(Some("a")), Cons(ViewOption::new(None::<&str>), Nil)),
            (Some("a"), None::<&str>),
        );
    }

    #[test]
    fn a_tuple_of_arguments_is_not_several_arguments() {
        let two = Cons(View::new(&1_u8), Cons(View::new(&2_u8), Nil)).to_key();
        let one = Cons(View::new(&(1_u8, 2_u8)), Nil).to_key();
        assert_ne!(KeyEncoder::encoded(&two), KeyEncoder::encoded(&one));
    }
}
