//! The handle of a free function, and `gecaso::handle` for methods.
//!
//! Run by `main`. Must not look at storages.

use gecaso::{cached, handle};
use pollster::block_on;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[test]
fn a_free_function_has_a_handle_of_its_own_name() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn f(n: u32, text: &str) -> String {
        RUNS.fetch_add(1, SeqCst);
        format!("{n}{text}")
    }
    f(1, "a");
    assert_eq!(f::peek(1, "a"), Some("1a".into()));
    assert_eq!(f::stats().hits, 0, "a peek does not count");
    f::invalidate(1, "a").wait().unwrap();
    assert_eq!(f::peek(1, "a"), None);
    block_on(f::insert(1, "a", "x".into())).unwrap();
    assert_eq!((f(1, "a"), RUNS.load(SeqCst)), ("x".into(), 1));
    assert_eq!((f::refresh(1, "a"), f(1, "a")), ("1a".into(), "1a".into()));
    assert_eq!((f::uncached(1, "a"), RUNS.load(SeqCst)), ("1a".into(), 3));
    f(2, "a");
    f::clear().wait().unwrap();
    assert_eq!((f::stats().entries, f::peek(1, "a"), f::peek(2, "a")), (0, None, None));
}

#[test]
fn a_key_outlives_the_arguments_it_came_from() {
    #[cached]
    fn f(text: &str, at: f64) -> usize {
        text.len() + at as usize
    }
    fn owned<T: Eq + Hash + Clone + Send + Sync + 'static>(value: T) -> T {
        value.clone()
    }
    let key = {
        let text = String::from("a");
        owned(f::key(&text, f64::NAN))
    };
    assert!(key == f::key("a", f64::NAN) && key != f::key("b", f64::NAN));
    assert_eq!(f("a", 1.0), 2);
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Report(u32);

static RENDERED: AtomicUsize = AtomicUsize::new(0);

impl Report {
    #[cached]
    fn render(&self, width: u32, title: &str) -> Option<String> {
        RENDERED.fetch_add(1, SeqCst);
        (width > 0).then(|| format!("{}{width}{title}", self.0))
    }

    #[cached]
    async fn fetch(self: Arc<Self>, text: String, skip: Option<&str>) -> Result<String, String> {
        Ok(format!("{}{text}{}", self.0, skip.unwrap_or("-")))
    }

    #[cached(skip(conn))]
    fn load(&self, conn: &std::cell::Cell<u32>, n: u32) -> u32 {
        conn.set(conn.get() + 1);
        self.0 + n
    }

    #[cached]
    fn peeked(&self) -> u32 {
        self.0
    }

    #[cached]
    fn never_called(&self, n: u32) -> u32 {
        self.0 + n
    }

    #[cached(handle = false)]
    fn without(&self, n: u32) -> u32 {
        self.0 + n
    }

    #[cached]
    fn generic<T: Clone + Eq + Hash + Send + Sync + 'static>(&self, _value: T) -> usize {
        size_of::<T>()
    }

    #[cached]
    fn opaque(&self, text: impl AsRef<str>) -> usize {
        text.as_ref().len()
    }
}

#[test]
fn a_method_is_found_by_itself() {
    let report = Report(1);
    let render = handle(Report::render);
    report.render(2, "a");
    report.render(3, "a");
    assert_eq!(render.peek(&report, 2, "a"), Some(Some("12a".to_string())));
    assert_eq!(render.peek(&report, 2, "b"), None::<Option<String>>);
    render.invalidate(&report, 2, "a").wait().unwrap();
    assert_eq!(render.peek(&report, 2, "a"), None::<Option<String>>);
    assert_eq!(render.peek(&report, 3, "a"), Some(Some("13a".to_string())));
    render.insert(&report, 2, "a", Some("mine".to_string())).wait().unwrap();
    assert_eq!(report.render(2, "a"), Some("mine".to_string()));
    assert_eq!((RENDERED.load(SeqCst), render.stats().hits), (2, 1));
    render.insert(&report, 2, "a", None::<String>).wait().unwrap();
    assert_eq!(render.peek(&report, 2, "a"), None::<Option<String>>);
    render.clear().wait().unwrap();
    assert_eq!(render.stats().entries, 0);
    let wrong = render.insert(&report, 2, "a", 5_u8).wait().unwrap_err();
    assert!(wrong.to_string().contains("and not a `u8`"), "{wrong}");
}

#[test]
fn an_async_method_with_an_owned_receiver_is_found_too() {
    let report = Arc::new(Report(7));
    let call = |skip| block_on(Arc::clone(&report).fetch("t".into(), skip));
    assert_eq!(call(Some("s")), Ok("7ts".into()));
    let skip = String::from("s");
    let found = handle(Report::fetch).peek(report.clone(), "t".into(), Some(&*skip));
    assert_eq!(found, Some(Ok::<_, String>("7ts".to_string())));
    handle(Report::fetch).insert(
        report.clone(),
        "t".into(),
        None,
        Ok::<_, String>("x".to_string()),
    );
    assert_eq!(call(None), Ok("x".into()));
    handle(Report::fetch).invalidate(report.clone(), "t".into(), Some("s"));
    assert_eq!(handle(Report::fetch).stats().entries, 1);
}

#[test]
fn skipped_arguments_are_given_and_do_not_count() {
    let (one, two) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    Report(1).load(&one, 5);
    Report(1).load(&two, 5);
    assert_eq!((one.get(), two.get()), (1, 0));
    handle(Report::load).invalidate(&Report(1), &two, 5);
    Report(1).load(&two, 5);
    assert_eq!((one.get(), two.get()), (1, 1));
}

#[test]
fn a_method_never_called_has_nothing_cached() {
    let never = handle(Report::never_called);
    never.invalidate(&Report(1), 1).wait().unwrap();
    never.clear().wait().unwrap();
    assert_eq!(never.peek::<u32>(&Report(1), 1), None);
    assert_eq!(never.stats(), gecaso::Stats::default());
    let error = never.insert(&Report(1), 1, 5_u32).wait().unwrap_err();
    assert!(error.to_string().contains("call it once"), "{error}");
    Report(1).never_called(1);
    assert_eq!(never.peek(&Report(1), 1), Some(2_u32));
}

#[test]
fn generic_methods_are_found_by_instantiation() {
    Report(1).generic(1_u8);
    Report(1).generic(1_u16);
    assert_eq!(handle(Report::generic::<u8>).peek(&Report(1), 1), Some(1_usize));
    assert_eq!(handle(Report::generic::<u16>).peek(&Report(1), 1), Some(2_usize));
    handle(Report::generic::<u8>).clear();
    assert_eq!(handle(Report::generic::<u8>).stats().entries, 0);
    assert_eq!(handle(Report::generic::<u16>).stats().entries, 1);
    assert_eq!((Report(1).opaque("a"), Report(1).opaque(String::from("a"))), (1, 1));
}

#[test]
#[should_panic = "returns `u32`, and was peeked at for a `i32`"]
fn a_peek_for_another_type_says_so() {
    Report(1).peeked();
    assert_eq!(handle(Report::peeked).peek(&Report(1)), Some(1));
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Boxed<T>(T);

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Boxed<T> {
    #[cached]
    fn size(&self) -> usize {
        size_of::<T>()
    }
}

trait Sized2 {
    fn twice(&self, n: u32) -> u32;
}

impl Sized2 for Report {
    #[cached]
    fn twice(&self, n: u32) -> u32 {
        self.0 + n * 2
    }
}

impl Sized2 for Boxed<u8> {
    #[cached]
    fn twice(&self, n: u32) -> u32 {
        n * 2
    }
}

#[test]
fn methods_of_generic_types_and_traits_are_found() {
    Boxed(1_u8).size();
    Boxed(1_u32).size();
    assert_eq!(handle(Boxed::<u8>::size).peek(&Boxed(1)), Some(1_usize));
    assert_eq!(handle(Boxed::<u32>::size).peek(&Boxed(1)), Some(4_usize));
    Report(1).twice(3);
    Boxed(1_u8).twice(3);
    assert_eq!(handle(Report::twice).peek(&Report(1), 3), Some(7_u32));
    handle(<Report as Sized2>::twice).invalidate(&Report(1), 3);
    assert_eq!(handle(Report::twice).peek::<u32>(&Report(1), 3), None);
    assert_eq!(handle(Boxed::<u8>::twice).peek(&Boxed(1), 3), Some(6_u32));
}

/// A trait of which one type has two instances: `Self::as_n` would be ambiguous.
trait As<T> {
    fn as_n(&self) -> T;
}

impl As<u8> for Report {
    #[cached(handle = false)]
    fn as_n(&self) -> u8 {
        self.0 as u8
    }
}

impl As<u64> for Report {
    #[cached(handle = false)]
    fn as_n(&self) -> u64 {
        u64::from(self.0) << 8
    }
}

#[test]
fn registration_can_be_left_out_where_a_name_is_ambiguous() {
    let (a, b): (u8, u64) = (Report(3).as_n(), Report(3).as_n());
    assert_eq!((a, b, Report(1).without(1)), (3, 768, 2));
    assert_eq!(handle(Report::without).stats(), gecaso::Stats::default());
}

/// An inherent method that hides a trait's of the same name: both call themselves `Self::hidden`.
trait Hidden {
    fn hidden(&self, n: u32) -> u32;
}

impl Report {
    #[cached]
    fn hidden(&self, n: u32) -> u32 {
        self.0 + n
    }
}

impl Hidden for Report {
    #[cached]
    fn hidden(&self, n: u32) -> u32 {
        self.0 * 1000 + n
    }
}

#[test]
fn two_methods_of_one_name_are_never_taken_for_each_other() {
    assert_eq!((Report(1).hidden(2), Hidden::hidden(&Report(1), 2)), (3, 1002));
    let (inherent, hidden) = (handle(Report::hidden), handle(<Report as Hidden>::hidden));
    assert_eq!(inherent.peek(&Report(1), 2), Some(3_u32));
    assert_eq!(hidden.peek::<u32>(&Report(1), 2), None, "found by its path alone");
    inherent.insert(&Report(1), 2, 5_u32).wait().unwrap();
    assert!(hidden.insert(&Report(1), 2, 5_u32).wait().is_err());
    assert_eq!((Report(1).hidden(2), Hidden::hidden(&Report(1), 2)), (5, 1002));
    hidden.invalidate(&Report(1), 2);
    assert_eq!((hidden.stats().entries, inherent.stats().entries), (0, 1));
    inherent.invalidate(&Report(1), 2);
    assert_eq!(inherent.stats().entries, 0);
}

#[test]
fn free_functions_are_found_as_well() {
    #[cached]
    fn f<T: Default + Clone + Send + Sync + 'static>(n: u32) -> Vec<T> {
        vec![T::default(); n as usize]
    }
    f::insert::<u8>(1, vec![7]);
    assert_eq!(handle(f::<u8>).peek(1), Some(vec![7_u8]));
    handle(f::<u8>).invalidate(1);
    assert_eq!(f::<u8>(1), [0]);
}

#[test]
fn a_handle_keeps_what_the_caller_gives() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Loud(Arc<()>);
    impl Loud {
        #[cached]
        fn m(self) -> u8 {
            1
        }
    }
    let witness = Arc::new(());
    handle(Loud::m).invalidate(Loud(witness.clone()));
    assert_eq!(Arc::strong_count(&witness), 1);
    Loud(witness.clone()).m();
    handle(Loud::m).clear();
    handle(Loud::m).invalidate(Loud(witness.clone()));
    assert_eq!(handle(Loud::m).peek::<u8>(Loud(witness.clone())), None);
    assert_eq!(handle(Loud::m).stats().entries, 0);
}

mod hidden {
    //! Methods that no fn item stands for with certainty.
    use gecaso::{cached, handle};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Page(u32);

    trait Render {
        fn render(&self) -> u32;
    }

    static SOURCE: AtomicU32 = AtomicU32::new(1);

    impl Render for Page {
        #[cached]
        fn render(&self) -> u32 {
            SOURCE.load(SeqCst)
        }
    }

    impl Page {
        fn render(&self) -> u32 {
            7
        }
    }

    #[test]
    fn an_inherent_method_is_not_taken_for_the_one_it_hides() {
        let page = Page(1);
        assert_eq!((Render::render(&page), page.render()), (1, 7));
        assert_eq!(handle(Page::render).peek::<u32>(&page), None);
        assert!(handle(Page::render).insert(&page, 9_u32).wait().is_err());
        SOURCE.store(2, SeqCst);
        handle(<Page as Render>::render).invalidate(&page).wait().unwrap();
        assert_eq!(Render::render(&page), 2, "what was invalidated is loaded anew");
    }

    static NAMES: AtomicU32 = AtomicU32::new(1);

    impl Page {
        #[cached]
        fn named(&self, name: impl AsRef<str>) -> String {
            format!("{} {}", name.as_ref(), NAMES.load(SeqCst))
        }
    }

    #[test]
    fn a_method_with_an_opaque_argument_is_invalidated_as_a_whole() {
        let page = Page(1);
        assert_eq!(page.named("a"), "a 1");
        NAMES.store(2, SeqCst);
        handle(Page::named).invalidate(&page, "a").wait().unwrap();
        assert_eq!(page.named("a"), "a 2");
        assert!(handle(Page::named).insert(&page, "a", String::new()).wait().is_err());
    }
}
