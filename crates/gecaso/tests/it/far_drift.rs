//! A type has changed since its values were stored: they are not read, not even where they could.

use crate::envelopes::{sign, value};
use gecaso::{FarValue, Params, pack, unpack};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the old value could be read by the new type if nobody looked at its shape.
#[derive(Debug, PartialEq)]
enum Blindly {
    /// As something it never was.
    Read,
    /// Not at all.
    Refused,
}
use Blindly::{Read, Refused};

fn drifts<Old: FarValue, New: FarValue>(old: &Old, blindly: Blindly) {
    let mut bytes = pack(old, &Params::new()).unwrap();
    assert!(unpack::<Old>(&bytes).is_ok(), "it comes back as what it was");
    let error = unpack::<New>(&bytes).err().expect("another type").to_string();
    assert!(error.contains("another type"), "{error}");
    // Without the flag, nothing is known of the shape.
    bytes[6] = 0;
    sign(&mut bytes);
    let found = if unpack::<New>(&bytes).is_ok() { Read } else { Refused };
    assert_eq!(found, blindly, "what the shape has to be there for");
}

#[derive(Serialize, Deserialize)]
struct User {
    id: u32,
    width: u32,
    height: u32,
}

fn user() -> User {
    User { id: 1, width: 2, height: 3 }
}

/// A type of the same name with other fields.
macro_rules! user {
    ($name:ident { $($field:tt)* }) => {
        #[derive(Serialize, Deserialize)]
        #[allow(dead_code)]
        struct $name { $($field)* }
    };
}

#[test]
fn a_type_under_another_name_is_the_same() {
    user!(Renamed { id: u32, width: u32, height: u32 });
    let bytes = pack(&user(), &Params::new()).unwrap();
    assert_eq!(unpack::<Renamed>(&bytes).unwrap().0.height, 3);
}

#[test]
fn a_field_was_added() {
    user!(Added { id: u32, width: u32, height: u32, depth: u32 });
    drifts::<User, Added>(&user(), Refused);
    user!(Optional { id: u32, width: u32, height: u32, depth: Option<u32> });
    drifts::<User, Optional>(&user(), Read);
    user!(Defaulted {
        id: u32,
        width: u32,
        height: u32,
        #[serde(default)]
        depth: u32
    });
    drifts::<User, Defaulted>(&user(), Read);
}

#[test]
fn a_field_was_removed() {
    user!(Removed { id: u32, width: u32 });
    drifts::<User, Removed>(&user(), Refused);
    user!(All {});
    drifts::<User, All>(&user(), Refused);
}

#[test]
fn two_fields_have_swapped_places() {
    user!(Swapped { id: u32, height: u32, width: u32 });
    drifts::<User, Swapped>(&user(), Read);
}

#[test]
fn two_fields_have_swapped_names() {
    // What was stored as `width` is now called `height`.
    user!(Swapped {
        id: u32,
        #[serde(rename = "height")]
        width: u32,
        #[serde(rename = "width")]
        height: u32
    });
    drifts::<User, Swapped>(&user(), Read);
}

#[test]
fn a_field_was_renamed() {
    user!(Renamed { id: u32, width: u32, size: u32 });
    drifts::<User, Renamed>(&user(), Refused);
    user!(Aliased {
        id: u32,
        width: u32,
        #[serde(alias = "height")]
        size: u32
    });
    drifts::<User, Aliased>(&user(), Read);
    user!(Defaulted {
        id: u32,
        width: u32,
        #[serde(default)]
        size: u32
    });
    drifts::<User, Defaulted>(&user(), Refused);
}

#[test]
fn a_field_has_another_type() {
    user!(Wider { id: u32, width: u32, height: u64 });
    drifts::<User, Wider>(&user(), Read);
    user!(Narrower { id: u32, width: u32, height: u8 });
    drifts::<User, Narrower>(&user(), Read);
    user!(Signed { id: u32, width: u32, height: i32 });
    drifts::<User, Signed>(&user(), Read);
    user!(Optional { id: u32, width: u32, height: Option<u32> });
    drifts::<User, Optional>(&user(), Read);
    user!(Text { id: u32, width: u32, height: String });
    drifts::<User, Text>(&user(), Refused);
    user!(Boxed { id: u32, width: u32, height: Box<u32> });
    let bytes = pack(&user(), &Params::new()).unwrap();
    assert!(unpack::<Boxed>(&bytes).is_ok(), "where a value lies is not a part of it");
}

#[test]
fn values_that_are_no_structs_have_another_type() {
    drifts::<u32, u64>(&1, Read);
    drifts::<u32, Option<u32>>(&1, Read);
    drifts::<Option<u32>, u32>(&Some(1), Read);
    drifts::<f32, f64>(&1.5, Read);
    drifts::<char, String>(&'a', Read);
    drifts::<String, Vec<u8>>(&"a".to_owned(), Refused);
    drifts::<(u8, u8), Vec<u8>>(&(1, 2), Read);
    drifts::<(u8, u8), [u8; 3]>(&(1, 2), Refused);
    drifts::<Vec<u32>, Vec<u64>>(&vec![1], Read);
    drifts::<BTreeMap<String, u32>, User>(
        &[("id", 1), ("width", 2), ("height", 3)].map(|(k, v)| (k.to_owned(), v)).into(),
        Read,
    );
    drifts::<User, BTreeMap<String, u32>>(&user(), Read);
}

#[test]
fn a_change_deep_inside_is_noticed() {
    user!(Swapped { id: u32, height: u32, width: u32 });
    type Deep<T> = BTreeMap<String, Vec<(u8, Option<Box<T>>)>>;
    let deep: Deep<User> = [("a".to_owned(), vec![(1, None), (2, Some(Box::new(user())))])].into();
    drifts::<Deep<User>, Deep<Swapped>>(&deep, Read);
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Square { side: f64, angle: f64 },
}

/// An enum with other variants.
macro_rules! shape {
    ($name:ident { $($variant:tt)* }) => {
        #[derive(Serialize, Deserialize)]
        #[allow(dead_code)]
        enum $name { $($variant)* }
    };
}

#[test]
fn a_variant_was_added_removed_moved_or_renamed() {
    shape!(Added { Point, Circle(f64), Square { side: f64, angle: f64 }, Line });
    shape!(Removed { Point, Circle(f64) });
    shape!(Moved { Circle(f64), Point, Square { side: f64, angle: f64 } });
    shape!(Renamed { Dot, Circle(f64), Square { side: f64, angle: f64 } });
    shape!(Aliased { #[serde(alias = "Point")] Dot, Circle(f64), Square { side: f64, angle: f64 } });
    drifts::<Shape, Added>(&Shape::Point, Read);
    drifts::<Shape, Removed>(&Shape::Point, Read);
    drifts::<Shape, Moved>(&Shape::Point, Read);
    drifts::<Shape, Renamed>(&Shape::Point, Refused);
    drifts::<Shape, Aliased>(&Shape::Point, Read);
    drifts::<Shape, Removed>(&Shape::Square { side: 1.0, angle: 2.0 }, Refused);
}

#[test]
fn what_a_variant_holds_has_changed() {
    shape!(Swapped { Point, Circle(f64), Square { angle: f64, side: f64 } });
    shape!(Defaulted {
        Point,
        Circle(f64),
        Square { side: f64, angle: f64, #[serde(default)] colour: u8 }
    });
    shape!(Retyped { Point, Circle(f32), Square { side: f64, angle: f64 } });
    shape!(Struct { Point, Circle { r: f64 }, Square { side: f64, angle: f64 } });
    let square = Shape::Square { side: 1.0, angle: 2.0 };
    drifts::<Shape, Swapped>(&square, Read);
    drifts::<Shape, Defaulted>(&square, Read);
    drifts::<Shape, Retyped>(&Shape::Circle(1.5), Read);
    drifts::<Shape, Struct>(&Shape::Circle(1.5), Refused);
}

/// Types that hide their fields: nothing of them is in the shape. They are written again instead,
/// and must write what they were read from.
mod hidden {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Inner {
        a: u8,
        b: u8,
    }

    #[derive(Serialize, Deserialize)]
    struct Old {
        id: u8,
        #[serde(flatten)]
        inner: Inner,
    }

    fn old() -> Old {
        Old { id: 1, inner: Inner { a: 2, b: 3 } }
    }

    #[test]
    fn a_flattened_field_was_added_removed_or_renamed() {
        #[derive(Serialize, Deserialize)]
        struct Added {
            id: u8,
            #[serde(flatten)]
            inner: Inner,
            #[serde(default)]
            more: u8,
        }
        drifts::<Old, Added>(&old(), Refused);

        #[derive(Serialize, Deserialize)]
        struct Fewer {
            a: u8,
        }
        #[derive(Serialize, Deserialize)]
        struct Removed {
            id: u8,
            #[serde(flatten)]
            inner: Fewer,
        }
        drifts::<Old, Removed>(&old(), Refused);

        #[derive(Serialize, Deserialize)]
        struct Defaults {
            a: u8,
            b: u8,
            #[serde(default)]
            c: u8,
        }
        #[derive(Serialize, Deserialize)]
        struct AddedInside {
            id: u8,
            #[serde(flatten)]
            inner: Defaults,
        }
        drifts::<Old, AddedInside>(&old(), Refused);
    }

    #[test]
    fn a_tagged_or_untagged_variant_has_changed() {
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "kind")]
        enum Old {
            Point { x: u8 },
        }
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "kind")]
        enum New {
            Point {
                x: u8,
                #[serde(default)]
                y: u8,
            },
        }
        drifts::<Old, New>(&Old::Point { x: 1 }, Refused);
        drifts::<Vec<Old>, Vec<New>>(&vec![Old::Point { x: 1 }], Refused);

        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum OldLoose {
            Wide { x: u8, y: u8 },
        }
        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum NewLoose {
            Narrow { x: u8 },
            Wide { x: u8, y: u8 },
        }
        drifts::<OldLoose, NewLoose>(&OldLoose::Wide { x: 1, y: 2 }, Refused);
    }
}

#[test]
fn an_empty_collection_has_no_elements_that_could_be_wrong() {
    let bytes = pack(&Vec::<u32>::new(), &Params::new()).unwrap();
    assert_eq!(unpack::<Vec<u64>>(&bytes).unwrap().0, []);
    assert_eq!(value(&bytes), [0x90]);
}
