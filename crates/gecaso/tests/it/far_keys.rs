//! Keys outside of this process: what is derived, what is written by hand, and what must agree with
//! it. The bytes themselves are held by `fixtures/keys.json`.

use gecaso::{Key, KeyEncoder};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

fn bytes<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    KeyEncoder::encoded(key)
}

/// All of them different from each other.
fn all_differ(keys: &[&dyn Key]) {
    for (at, one) in keys.iter().enumerate() {
        for (before, other) in keys[..at].iter().enumerate() {
            assert_ne!(bytes(*one), bytes(*other), "{before} and {at}");
        }
    }
}

/// What somebody would write by hand.
struct ByHand<F>(F);

impl<F: Fn(&mut KeyEncoder)> Key for ByHand<F> {
    fn encode(&self, to: &mut KeyEncoder) {
        self.0(to);
    }
}

#[test]
fn the_type_of_a_number_does_not_matter_and_neither_does_a_pointer() {
    assert_eq!(bytes(&7_u8), bytes(&7_i128));
    assert_eq!(bytes(&-1_i8), bytes(&-1_isize));
    assert_eq!(bytes(&std::num::NonZero::new(7_u16)), bytes(&7_u64));
    let text = bytes("ab");
    assert_eq!(bytes(&String::from("ab")), text);
    assert_eq!(bytes(&Cow::Borrowed("ab")), text);
    assert_eq!(bytes(&Arc::<str>::from("ab")), text);
    assert_eq!(bytes(&Rc::new(Box::<str>::from("ab"))), text);
    assert_eq!(bytes(&'a'), bytes("a"));
    let list = bytes(&[1_u16, 2][..]);
    assert_eq!(bytes(&vec![1_i64, 2]), list);
    assert_eq!(bytes(&std::collections::VecDeque::from([1, 2])), list);
    assert_eq!(bytes(&Box::<[u32]>::from([1, 2])), list);
    assert_eq!(bytes(&[&1, &2]), list);
    assert_eq!(bytes(&Some("ab")), text);
}

#[test]
fn what_python_tells_apart_is_apart() {
    all_differ(&[&1, &1.0, &true, &"1", &b"1", &(1,), &[1], &None::<u8>, &1.0_f32]);
    all_differ(&[&0, &0.0, &-0.0, &false, &"", &b"", &(), &[0_u16; 0], &None::<u8>]);
    all_differ(&[&(1, 2), &[1, 2], &((1, 2),), &[[1, 2]], &[1_u8, 2], &"12", &12]);
    all_differ(&[&f64::NAN, &f64::INFINITY, &f64::NEG_INFINITY, &f64::MAX, &f64::MIN_POSITIVE]);
    all_differ(&[&HashSet::from([1]), &HashMap::from([(1, ())]), &[1], &[(1, ())]]);
    all_differ(&[&Path::new("a"), &std::ffi::OsStr::new("a"), &"a", &b"a"]);
    assert_eq!(bytes(&f64::NAN), bytes(&f64::NAN), "found again");
}

#[test]
fn no_boundary_can_be_moved() {
    all_differ(&[&("ab", "c"), &("a", "bc"), &("abc", ""), &("", "abc"), &("abc",)]);
    all_differ(&[&(vec![1], vec![2, 3]), &(vec![1, 2], vec![3]), &vec![vec![1], vec![2, 3]]]);
    all_differ(&[&["ab", ""], &["a", "b"], &["", "ab"], &["ab"].as_slice(), &["ab", "", ""]]);
    all_differ(&[&("a", 1), &(("a", 1),), &["a\u{5}\u{1}\u{1}"], &("a", "1"), &("a", 1, ())]);
    all_differ(&[&(Some(1), None::<u8>), &(None::<u8>, Some(1)), &(1,), &(1, 1)]);
}

#[test]
fn options_and_results_in_each_other_stay_apart() {
    type Deep = Option<Option<Option<u8>>>;
    let deep: [Deep; 5] =
        [None, Some(None), Some(Some(None)), Some(Some(Some(0))), Some(Some(Some(1)))];
    all_differ(&deep.each_ref().map(|one| one as &dyn Key));
    type Mixed = Option<Result<Option<()>, Option<()>>>;
    let mixed: [Mixed; 5] =
        [None, Some(Ok(None)), Some(Ok(Some(()))), Some(Err(None)), Some(Err(Some(())))];
    all_differ(&mixed.each_ref().map(|one| one as &dyn Key));
}

#[test]
fn equal_paths_are_the_same_key() {
    for (one, other) in [("a/b", "a//b/."), ("/", "//"), ("/a/", "/a"), ("./a", "./a/./")] {
        assert_eq!(Path::new(one), Path::new(other), "as the standard library says");
        assert_eq!(bytes(Path::new(one)), bytes(Path::new(other)), "{one}");
    }
    let different = ["", ".", "/", "a", "/a", "./a", "a/..", "..", "a/b", "ab", "/a/b", "a\\b"];
    all_differ(&different.each_ref().map(Path::new).each_ref().map(|path| path as &dyn Key));
    let long = "a/".repeat(300);
    assert_eq!(bytes(Path::new(&long)), bytes(Path::new(&long[..long.len() - 1])));
}

#[test]
fn lists_sets_and_maps_by_hand_are_those_of_the_standard_library() {
    let list = ByHand(|to: &mut KeyEncoder| to.list((0..200).filter(|n| n % 2 == 0)));
    assert_eq!(bytes(&list), bytes(&(0..100).map(|n| n * 2).collect::<Vec<u32>>()));
    let set = ByHand(|to: &mut KeyEncoder| to.set(["b", "a", "c"]));
    assert_eq!(bytes(&set), bytes(&HashSet::from(["a", "b", "c"])));
    let map = ByHand(|to: &mut KeyEncoder| to.map([("b", 1), ("a", 2)]));
    assert_eq!(bytes(&map), bytes(&BTreeMap::from([("a", 2), ("b", 1)])));
    for (n, is_negative, magnitude) in
        [(0, true, &[][..]), (0, false, &[0, 0]), (-5, true, &[0, 5]), (256, false, &[1, 0])]
    {
        let integer = ByHand(|to: &mut KeyEncoder| to.integer(is_negative, magnitude));
        assert_eq!(bytes(&integer), bytes(&n), "{n}");
    }
}

#[test]
fn a_careless_key_does_not_touch_its_neighbours() {
    let writes = |items: &'static [u8]| {
        ByHand(move |to: &mut KeyEncoder| items.iter().for_each(|one| one.encode(to)))
    };
    let (a, b) = ((writes(&[1]), writes(&[2, 3])), (writes(&[1, 2]), writes(&[3])));
    all_differ(&[&a, &b, &(writes(&[1, 2, 3]), writes(&[])), &(writes(&[]), writes(&[1, 2, 3]))]);
}

#[cfg(feature = "macros")]
mod derived {
    use super::{ByHand, all_differ, bytes};
    use gecaso::{Key, KeyEncoder};
    use std::borrow::Cow;
    use std::collections::HashMap;
    use std::marker::PhantomData;

    #[derive(Key)]
    struct Point {
        x: i32,
        y: i32,
    }

    #[derive(Key)]
    struct Pair(u8, String);

    #[derive(Key)]
    struct Unit;

    #[derive(Key)]
    enum Shape {
        Nothing,
        Circle(Point, u32),
        Rectangle { corner: Point, r#type: Option<u8> },
    }

    #[derive(Key)]
    #[allow(non_camel_case_types)]
    struct r#struct {
        r#fn: u8,
    }

    #[derive(Key)]
    enum Never {}

    #[derive(Key)]
    struct Generic<'a, T: ?Sized + ToString, const N: usize>
    where
        T: PartialEq,
    {
        borrowed: &'a T,
        texts: [Cow<'a, str>; N],
        tag: PhantomData<T>,
    }

    #[derive(Key)]
    struct Unsized<T: ?Sized> {
        id: u8,
        rest: T,
    }

    #[derive(Key)]
    enum Tree {
        Leaf(String),
        Node(Vec<Tree>),
        Both { left: Box<Tree>, right: Box<Tree>, names: HashMap<String, Tree> },
    }

    fn structure<'a>(name: &'a str, fields: &'a [(&'a str, &'a dyn Key)]) -> Vec<u8> {
        bytes(&ByHand(|to: &mut KeyEncoder| to.structure(name, fields)))
    }

    fn variant<'a>(variant: &'a str, fields: &'a [(&'a str, &'a dyn Key)]) -> Vec<u8> {
        bytes(&ByHand(|to: &mut KeyEncoder| to.variant("Shape", variant, fields)))
    }

    #[test]
    fn what_is_derived_is_what_one_would_write() {
        let point = structure("Point", &[("x", &1), ("y", &-2)]);
        assert_eq!(bytes(&Point { x: 1, y: -2 }), point);
        let pair = structure("Pair", &[("0", &7), ("1", &"a")]);
        assert_eq!(bytes(&Pair(7, "a".to_owned())), pair);
        assert_eq!(bytes(&Unit), structure("Unit", &[]));
        assert_eq!(bytes(&r#struct { r#fn: 1 }), structure("struct", &[("fn", &1)]));
        assert_eq!(bytes(&Shape::Nothing), variant("Nothing", &[]));
        let [corner, same] = [(); 2].map(|()| Point { x: 0, y: 1 });
        let rectangle = variant("Rectangle", &[("corner", &same), ("type", &None::<u8>)]);
        assert_eq!(bytes(&Shape::Rectangle { corner, r#type: None }), rectangle);
        let circle = variant("Circle", &[("0", &same), ("1", &5)]);
        assert_eq!(bytes(&Shape::Circle(Point { x: 0, y: 1 }, 5)), circle);
        assert_eq!(bytes(&None::<Never>), bytes(&None::<u8>));
    }

    #[test]
    fn generic_borrowed_unsized_and_recursive_types_can_be_derived_for() {
        let generic = Generic { borrowed: "a", texts: ["b".into(), "c".into()], tag: PhantomData };
        let fields: [(&str, &dyn Key); 3] =
            [("borrowed", &"a"), ("texts", &["b", "c"]), ("tag", &())];
        assert_eq!(bytes(&generic), structure("Generic", &fields));
        let tail: &Unsized<[u8]> = &Unsized { id: 1, rest: [2, 3] };
        assert_eq!(bytes(tail), structure("Unsized", &[("id", &1), ("rest", &b"\x02\x03")]));
        let leaf = |text: &str| Tree::Leaf(text.to_owned());
        let both = |left, right| Tree::Both {
            left: Box::new(leaf(left)),
            right: Box::new(leaf(right)),
            names: HashMap::from([(left.to_owned(), leaf(right))]),
        };
        let node = |texts: &[&str]| Tree::Node(texts.iter().map(|text| leaf(text)).collect());
        all_differ(&[
            &leaf("a"),
            &leaf("ab"),
            &node(&["a", "b"]),
            &node(&["ab"]),
            &Tree::Node(vec![node(&["a", "b"])]),
            &both("a", "b"),
            &both("b", "a"),
        ]);
    }

    #[test]
    fn names_take_part() {
        mod other {
            use gecaso::Key;
            #[derive(Key)]
            pub(super) struct Point(pub(super) i32, pub(super) i32);
            #[derive(Key)]
            pub(super) struct Swapped {
                pub(super) y: i32,
                pub(super) x: i32,
            }
        }
        all_differ(&[
            &Point { x: 1, y: 1 },
            &other::Point(1, 1),
            &other::Swapped { y: 1, x: 1 },
            &(1, 1),
            &[1, 1],
        ]);
    }
}
