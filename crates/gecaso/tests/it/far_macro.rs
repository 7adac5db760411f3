//! `#[cached]` over storages outside of the process: whose entries are whose, and the words.

use crate::scripted::Scripted;
use gecaso::{Far, Key, LruStorage, MemoryStorage, Param, cached};
use std::sync::LazyLock;
use std::time::Duration;

/// One storage for all functions of this file, as an application would have.
static STORAGE: LazyLock<Scripted> = LazyLock::new(Scripted::new);

fn keys_with(part: &str) -> Vec<String> {
    STORAGE.entries().into_iter().filter(|key| key.contains(part)).collect()
}

#[test]
fn every_kind_of_storage_expression_is_taken() {
    static FAR: LazyLock<Far> = LazyLock::new(|| Far::new(Scripted::new()));
    #[cached(Scripted::new())]
    fn own(n: u64) -> u64 {
        n
    }
    #[cached(&*STORAGE)]
    fn borrowed(n: u64) -> u64 {
        n
    }
    #[cached(&STORAGE)]
    fn lazy(n: u64) -> u64 {
        n
    }
    #[cached(&FAR)]
    fn far(n: u64) -> u64 {
        n
    }
    #[cached(FAR.clone())]
    fn clone(n: u64) -> u64 {
        n
    }
    #[cached(std::sync::Arc::new(Scripted::new()))]
    fn shared(n: u64) -> u64 {
        n
    }
    #[cached(Box::new(Scripted::new()))]
    fn boxed(n: u64) -> u64 {
        n
    }
    #[cached(LruStorage::over(Scripted::new(), 2))]
    fn bounded(n: u64) -> u64 {
        n
    }
    macro_rules! each {
        ($($f:ident)*) => { $(
            assert_eq!(($f(1), $f(1)), (1, 1));
            assert_eq!(($f::stats().hits, $f::stats().far.hits), (1, 1), stringify!($f));
        )* };
    }
    each!(own borrowed lazy far clone shared boxed bounded);
    assert_eq!(FAR.stats().hits, 2, "two functions, one `Far`");
}

#[test]
fn functions_of_one_name_in_two_functions_are_two() {
    fn one() -> (u64, u64) {
        #[cached(&STORAGE, hash_key = false)]
        fn twin(n: u64) -> u64 {
            n + 1
        }
        (twin(1), twin(1))
    }
    fn two() -> (u64, u64) {
        #[cached(&STORAGE, hash_key = false)]
        fn twin(n: u64) -> u64 {
            n + 2
        }
        (twin(1), twin(1))
    }
    assert_eq!((one(), two()), ((2, 2), (3, 3)));
    assert_eq!(keys_with("twin").len(), 2, "{:?}", keys_with("twin"));
}

#[test]
#[should_panic(expected = "give one of them a name")]
fn functions_of_one_path_must_be_told_apart() {
    let call = [
        {
            #[cached(&STORAGE)]
            fn double(n: u64) -> u64 {
                n + 1
            }
            double as fn(u64) -> u64
        },
        {
            #[cached(&STORAGE)]
            fn double(n: u64) -> u64 {
                n + 2
            }
            double
        },
    ];
    assert_eq!(call[0](1), 2);
    call[1](1);
}

#[derive(Clone, PartialEq, Eq, Hash, Key)]
struct Cat;
#[derive(Clone, PartialEq, Eq, Hash, Key)]
struct Dog(u8);

trait Speaks {
    fn speak(&self, times: u8) -> String;
}

impl Speaks for Cat {
    #[cached(&STORAGE, hash_key = false)]
    fn speak(&self, times: u8) -> String {
        "meow".repeat(times.into())
    }
}

impl Speaks for Dog {
    #[cached(&STORAGE, hash_key = false)]
    fn speak(&self, times: u8) -> String {
        "woof".repeat(times.into())
    }
}

impl Cat {
    #[cached(&STORAGE, skip(self))]
    fn sound(&self, times: u8) -> String {
        "purr".repeat(times.into())
    }
}

impl Dog {
    #[cached(&STORAGE, skip(self))]
    fn sound(&self, times: u8) -> String {
        "growl".repeat(times.into())
    }
}

#[test]
fn methods_of_one_name_of_two_types_are_two() {
    for _ in 0..2 {
        assert_eq!((Cat.speak(1), Dog(1).speak(1)), ("meow".into(), "woof".into()));
        assert_eq!((Cat.sound(1), Dog(1).sound(1)), ("purr".into(), "growl".into()));
    }
    assert_eq!(Dog(2).speak(2), "woofwoof");
    assert_eq!(keys_with("speak").len(), 3, "{:?}", keys_with("speak"));
    gecaso::handle(Dog::sound).invalidate(&Dog(1), 1).wait().unwrap();
}

#[test]
fn every_instantiation_has_entries_of_its_own() {
    #[cached(&STORAGE, hash_key = false)]
    fn named<T: 'static>(n: u64) -> String {
        format!("{} {n}", std::any::type_name::<T>())
    }
    #[cached(&STORAGE, hash_key = false, name = "given a name")]
    fn given<T: 'static, const N: usize>(n: u64) -> String {
        format!("{} {N} {n}", std::any::type_name::<T>())
    }
    for _ in 0..2 {
        assert_eq!((named::<u8>(1), named::<u16>(1)), ("u8 1".into(), "u16 1".into()));
        assert_eq!((given::<u8, 1>(1), given::<u8, 2>(1)), ("u8 1 1".into(), "u8 2 1".into()));
    }
}

#[test]
fn a_name_is_the_identity_wherever_the_function_is() {
    fn here() -> u64 {
        #[cached(&STORAGE, name = "shared by name")]
        fn first(n: u64) -> u64 {
            n + 1
        }
        first(1)
    }
    fn there() -> u64 {
        #[cached(&STORAGE, name = "shared by name")]
        fn second(_: u64) -> u64 {
            unreachable!("found by its name")
        }
        second(1)
    }
    assert_eq!((here(), there()), (2, 2));
}

#[test]
fn arguments_are_encoded_as_they_are_seen() {
    #[cached(&STORAGE, hash_key = false, name = "arguments")]
    fn f(a: &str, b: Option<&str>, c: &[&str], d: f64, (e, _): (u8, u8), g: Vec<u8>) -> usize {
        a.len() + b.map_or(0, str::len) + c.len() + d as usize + usize::from(e) + g.len()
    }
    assert_eq!(f("a", None, &["x", "y"], 1.5, (1, 2), vec![1]), 6);
    assert_eq!(f("a", Some("b"), &[], 1.5, (1, 2), vec![]), 4);
    assert_eq!(f("a", Some("b"), &[], 1.5, (1, 3), vec![]), 4);
    assert_eq!(keys_with("arguments").len(), 3, "{:?}", keys_with("arguments"));
}

#[test]
fn the_words_reach_the_storage() {
    static OWN: LazyLock<Scripted> = LazyLock::new(Scripted::new);
    #[cached(
        &OWN,
        ttl = 60,
        params(some_additional_cool_param = "Hell yeah!", retries = 3, r#type = b"x".to_vec()),
        hash_key = false,
        deadline = "5s",
        version = 2,
    )]
    fn f(n: u64) -> u64 {
        n
    }
    f(1);
    let told = OWN.told.lock().unwrap();
    let (key, params) = told.iter().find(|(key, _)| !key.ends_with("epoch")).unwrap();
    assert!(key.ends_with("::f/v2(1)"), "{key}");
    assert_eq!(params.ttl(), Some(Duration::from_secs(60)));
    let all: Vec<_> = params.iter().collect();
    assert_eq!(
        all,
        [
            ("retries", &Param::Int(3)),
            ("some_additional_cool_param", &Param::from("Hell yeah!")),
            ("type", &Param::Bytes(b"x".to_vec())),
        ]
    );
}

#[test]
fn words_for_far_storages_mean_nothing_to_near_ones() {
    #[cached(MemoryStorage::bounded(4), params(region = "eu"), hash_key = false, deadline = 1)]
    fn f(n: u64) -> u64 {
        n
    }
    assert_eq!((f(1), f(1), f::stats().hits), (1, 1, 1));
}

#[test]
fn a_handle_reaches_what_another_process_has_stored() {
    static OWN: LazyLock<Scripted> = LazyLock::new(Scripted::new);
    #[cached(&OWN, name = "found by handle")]
    fn writes(n: u64) -> u64 {
        n
    }
    #[cached(&OWN, name = "found by handle")]
    fn peeks(n: u64) -> u64 {
        n
    }
    #[cached(&OWN, name = "found by handle")]
    fn invalidates(n: u64) -> u64 {
        n
    }
    #[cached(&OWN, name = "found by handle")]
    fn clears(n: u64) -> u64 {
        n
    }
    writes(1);
    writes(2);
    assert_eq!(peeks::peek(1), Some(1), "never called in this process, so to say");
    invalidates::invalidate(1).wait().unwrap();
    assert_eq!((peeks::peek(1), peeks::peek(2)), (None, Some(2)));
    clears::clear().wait().unwrap();
    assert_eq!(
        OWN.told.lock().unwrap().iter().filter(|(key, _)| key.ends_with("epoch")).count(),
        2
    );
}

#[test]
fn fail_closed_returns_what_the_error_becomes() {
    #[derive(Debug, Clone, PartialEq)]
    enum Mine {
        Cache(String),
    }
    impl From<gecaso::Error> for Mine {
        fn from(error: gecaso::Error) -> Self {
            Mine::Cache(error.to_string())
        }
    }
    static OWN: LazyLock<Scripted> = LazyLock::new(Scripted::new);
    #[cached(&OWN, fail_closed)]
    fn f(n: u64) -> Result<u64, Mine> {
        Ok(n)
    }
    #[cached(&OWN, fail_closed)]
    async fn g(n: u64) -> Result<u64, Box<dyn std::error::Error>> {
        Ok(n)
    }
    assert_eq!(f(1), Ok(1));
    OWN.fails(true);
    let Err(Mine::Cache(text)) = f(1) else { panic!() };
    assert!(text.contains("could not be read"), "{text}");
    assert!(pollster::block_on(g(1)).is_err());
    OWN.fails(false);
    assert_eq!(f(1), Ok(1));
    assert_eq!(pollster::block_on(g(1)).unwrap(), 1);
}
