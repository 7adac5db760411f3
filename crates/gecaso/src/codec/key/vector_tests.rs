//! Keys that are frozen: `fixtures/keys.json`, which other languages are held to as well.
//!
//! A line of it is never changed, since stored entries would not be found again. A new row is added
//! to [`rows`]; the test then says which line the file lacks. What a value looks like in `plain` is
//! described in `docs/format.md`.

use super::tree::{Integer, Tree};
use super::{Identity, Key, KeyEncoder, encode};
use crate::time::since_1970;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fmt::Write;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

const FROZEN: &str = include_str!("../../../../../fixtures/keys.json");

/// As it would be derived.
struct Point {
    x: i32,
    y: i32,
}

impl Key for Point {
    fn encode(&self, to: &mut KeyEncoder) {
        to.structure("Point", &[("x", &self.x), ("y", &self.y)]);
    }
}

/// As it would be derived.
enum Shape {
    Nothing,
    Circle(u32),
    Box { width: u8, height: Option<u8> },
}

impl Key for Shape {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            Shape::Nothing => to.variant("Shape", "Nothing", &[]),
            Shape::Circle(radius) => to.variant("Shape", "Circle", &[("0", radius)]),
            Shape::Box { width, height } => {
                to.variant("Shape", "Box", &[("width", width), ("height", height)]);
            }
        }
    }
}

/// A whole number of 17 bytes.
struct Big;

impl Key for Big {
    fn encode(&self, to: &mut KeyEncoder) {
        to.integer(true, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}

/// Such a moment, in seconds and nanoseconds since 1970.
fn at(seconds: i64, nanoseconds: u32) -> SystemTime {
    let start = SystemTime::UNIX_EPOCH;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { start - whole } else { start + whole };
    moment + Duration::from_nanos(nanoseconds.into())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

macro_rules! rows {
    ($($value:expr),* $(,)?) => {
        vec![$((stringify!($value).replace("\n            ", " "), encode(&$value))),*]
    };
}

fn rows() -> Vec<(String, Vec<u8>)> {
    let mut rows = rows![
        (),
        None::<u8>,
        Some(7),
        Some(None::<u8>),
        Some(Some(None::<u8>)),
        Some(Some(7)),
        Some(""),
        false,
        true,
        0,
        1,
        -1,
        127_u8,
        128_i16,
        255_u64,
        256_usize,
        -128_i8,
        -256,
        i64::MIN,
        u64::MAX,
        i128::MIN,
        u128::MAX,
        Big,
        std::num::NonZero::<u32>::MIN,
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        0.0001,
        0.00001,
        1e15,
        1e16,
        1.7976931348623157e308,
        5e-324,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::from_bits(0xfff8_0000_0000_0001),
        1.5_f32,
        0.1_f32,
        f32::NAN,
        "",
        "a b",
        "1",
        'a',
        "quote \" backslash \\ tilde ~ nul \0 newline \n",
        "\u{e9}\u{1f980}",
        "0123456789abcdef".repeat(8),
        "0123456789abcdef".repeat(16),
        b"",
        b"a\x00\xff\"~",
        [1_u8, 2],
        [1_u16, 2],
        [0_u8; 0],
        [0_u16; 0],
        vec!["a", "b"],
        vec!["ab", ""],
        vec![Some(1), None],
        vec![vec![1, 2], vec![]],
        (1,),
        (1, "1", 1.0, true, None::<u8>),
        ((1, 2), 3),
        (7_u64, "a b", [1, 2]),
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
        Ok::<u8, u8>(1),
        Err::<u8, &str>("no"),
        BTreeSet::<u8>::new(),
        BTreeSet::from([2, 256, -1, 1]),
        BTreeSet::from(["b", "a", "aa"]),
        BTreeMap::<u8, u8>::new(),
        BTreeMap::from([("b", 1), ("a", 2)]),
        HashMap::from([(256, "x"), (2, "y")]),
        Path::new("/srv//data/./a b/"),
        Path::new("./a/../b"),
        OsStr::new("a//b"),
        Duration::ZERO,
        Duration::from_millis(1_500),
        Duration::MAX,
        at(0, 0),
        at(1_700_000_000, 1),
        at(-1, 999_999_999),
        at(-2, 0),
        ip("127.0.0.1"),
        ip("::1"),
        ip("::ffff:127.0.0.1"),
        ip("2001:db8::ff00:42:8329"),
        socket("127.0.0.1:80"),
        socket("[fe80::1%3]:80"),
        Point { x: 1, y: -2 },
        Shape::Nothing,
        Shape::Circle(3),
        Shape::Box { width: 4, height: None },
        (Point { x: 0, y: 0 }, vec![Shape::Nothing, Shape::Circle(1)]),
        PhantomData::<u8>,
        (0..200).collect::<Vec<u8>>(),
        (0..200).collect::<Vec<u16>>(),
    ];
    // Names that no derive makes.
    for name in ["", "a b", "%", "\u{e9}"] {
        struct Named(&'static str);
        impl Key for Named {
            fn encode(&self, to: &mut KeyEncoder) {
                to.structure(self.0, &[(self.0, &true)]);
            }
        }
        rows.push((
            format!("structure({name:?})").replace('\u{e9}', "\\u{e9}"),
            encode(&Named(name)),
        ));
    }
    rows
}

const IDENTITIES: [(&str, u32); 7] = [
    ("users", 0),
    ("users", 1),
    ("my_crate::users::load", 300),
    ("a b/c%d~\"\\", 0),
    ("\u{e9}", u32::MAX),
    ("", 0),
    (
        "a_name_that_is_so_long::that_it_must_be_cut::although_nobody_would_call_a_function_so::\
         unless_it_is_generated::and_names_each_of_the_modules::that_it_is_in::and_those_are_many::\
         and_long_themselves",
        7,
    ),
];

/// The whole file, as it must be.
fn file() -> String {
    let mut text = String::from("{\n\"identities\": [\n");
    for (name, version) in IDENTITIES {
        let identity = Identity::new(name, version);
        let args = encode(&(1, "a"));
        let digits = std::str::from_utf8(&identity.hex).expect("digits");
        let fields = [
            ("encoded", hex(&identity.encoded)),
            ("hex", digits.to_owned()),
            ("fingerprint", format!("{:016x}", identity.fingerprint)),
            ("key", identity.storage_key(&args, true)),
            ("readable", identity.storage_key(&args, false)),
            ("reserved", identity.reserved_key("epoch", true)),
            ("reserved_readable", identity.reserved_key("epoch", false)),
        ];
        let fields = fields.map(|(field, value)| format!("{}: {}", quoted(field), quoted(&value)));
        let name = quoted(name);
        writeln!(text, "{{\"name\": {name}, \"version\": {version}, {}}},", fields.join(", "))
            .expect("a string");
    }
    end(&mut text);
    text.push_str("],\n\"name\": \"f\",\n\"version\": 0,\n\"rows\": [\n");
    let identity = Identity::new("f", 0);
    for (rust, bytes) in rows() {
        let fields = [
            ("rust", quoted(&rust)),
            ("plain", plain(&Tree::read(&bytes).expect("what was just written"))),
            ("hex", quoted(&hex(&bytes))),
            ("key", quoted(&identity.storage_key(&bytes, true))),
            ("readable", quoted(&identity.storage_key(&bytes, false))),
        ];
        let fields = fields.map(|(field, value)| format!("{}: {value}", quoted(field)));
        writeln!(text, "{{{}}},", fields.join(", ")).expect("a string");
    }
    end(&mut text);
    text.push_str("]\n}\n");
    text
}

/// JSON knows no comma behind the last one.
fn end(text: &mut String) {
    text.truncate(text.len() - ",\n".len());
    text.push('\n');
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn quoted(text: &str) -> String {
    let escaped = text.encode_utf16().map(|unit| match u8::try_from(unit).map(char::from) {
        Ok(plain @ ('"' | '\\')) => format!("\\{plain}"),
        Ok(plain @ ' '..='~') => plain.to_string(),
        _ => format!("\\u{unit:04x}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn integer(Integer { is_negative, magnitude }: &Integer) -> String {
    let sign = if *is_negative { "-" } else { "" };
    let mut bytes = [0; 16];
    match bytes.len().checked_sub(magnitude.len()) {
        None => format!("\"{sign}0x{}\"", hex(magnitude)),
        Some(start) => {
            bytes[start..].copy_from_slice(magnitude);
            format!("\"{sign}{}\"", u128::from_be_bytes(bytes))
        }
    }
}

/// A value as JSON that says its type.
fn plain(tree: &Tree) -> String {
    let all = |trees: &[Tree]| trees.iter().map(plain).collect::<Vec<_>>().join(", ");
    let fields = |fields: &[(String, Tree)]| {
        let fields =
            fields.iter().map(|(name, tree)| format!("[{}, {}]", quoted(name), plain(tree)));
        fields.collect::<Vec<_>>().join(", ")
    };
    let (kind, value) = match tree {
        Tree::None => return "null".to_owned(),
        Tree::Bool(is_true) => return is_true.to_string(),
        Tree::Some(tree) => ("some", plain(tree)),
        Tree::Ok(tree) => ("ok", plain(tree)),
        Tree::Err(tree) => ("err", plain(tree)),
        Tree::Integer(number) => ("int", integer(number)),
        Tree::Float(bits) => ("float", format!("\"{bits:016x}\"")),
        Tree::Float32(bits) => ("float32", format!("\"{bits:08x}\"")),
        Tree::Text(text) => ("text", quoted(text)),
        Tree::Bytes(bytes) => ("bytes", quoted(&hex(bytes))),
        Tree::Path(bytes) => ("path", quoted(&hex(bytes))),
        Tree::OsText(bytes) => ("os_text", quoted(&hex(bytes))),
        Tree::Ip(address) => ("ip", quoted(&address.to_string())),
        Tree::Duration(whole, rest) => ("duration", format!("[{}, {rest}]", integer(whole))),
        Tree::Time(whole, rest) => ("time", format!("[{}, {rest}]", integer(whole))),
        Tree::Tuple(trees) => ("tuple", format!("[{}]", all(trees))),
        Tree::List(trees) => ("list", format!("[{}]", all(trees))),
        Tree::Set(trees) => ("set", format!("[{}]", all(trees))),
        Tree::Map(entries) => {
            let entries = entries.iter().map(|(k, v)| format!("[{}, {}]", plain(k), plain(v)));
            ("map", format!("[{}]", entries.collect::<Vec<_>>().join(", ")))
        }
        Tree::Struct(name, all) => ("struct", format!("[{}, [{}]]", quoted(name), fields(all))),
        Tree::Variant(name, variant, all) => {
            let names = [name, variant].map(|name| quoted(name));
            ("variant", format!("[{}, [{}]]", names.join(", "), fields(all)))
        }
    };
    format!("{{\"{kind}\": {value}}}")
}

#[test]
fn keys_are_what_they_always_were() {
    let file = file();
    assert!(rows().len() >= 60, "only {} rows", rows().len());
    for (number, line) in file.lines().enumerate() {
        let frozen = FROZEN.lines().nth(number);
        assert!(frozen == Some(line), "line {}: {frozen:?}, not\n{line}", number + 1);
    }
    assert_eq!(FROZEN, file, "lines that nobody makes");
}

#[test]
fn different_rows_have_different_keys() {
    let mut alike: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    rows().into_iter().for_each(|(rust, bytes)| alike.entry(bytes).or_default().push(rust));
    let alike: BTreeSet<Vec<String>> = alike.into_values().filter(|all| all.len() > 1).collect();
    let meant = [
        ["()", "PhantomData::<u8>"].as_slice(),
        ["1", "std::num::NonZero::<u32>::MIN"].as_slice(),
        ["b\"\"", "[0_u8; 0]"].as_slice(),
        ["Some(7)", "Some(Some(7))"].as_slice(),
        ["Some(\"\")", "\"\""].as_slice(),
    ];
    let meant = meant.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(alike, BTreeSet::from(meant));
}

#[test]
fn moments_before_1970_count_backwards_by_whole_seconds() {
    for (seconds, nanoseconds) in [(0, 0), (1, 5), (-1, 0), (-1, 1), (-1, 999_999_999), (-2, 5)] {
        assert_eq!(since_1970(at(seconds, nanoseconds)), (seconds.into(), nanoseconds));
    }
}
