//! Methods: keyed by the instance's own `Eq`, in impls of every kind, and `gecaso::handle` for
//! them.

use gecaso::cached;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(Clone, PartialEq, Eq, Hash)]
struct Report {
    title: String,
    pages: u32,
}

impl Report {
    /// Two reports that are equal share an entry; two that differ never do.
    #[cached]
    fn render(&self, width: u32) -> String {
        RENDERED.fetch_add(1, Relaxed);
        format!("{:-^1$}", self.title, width as usize)
    }
}

static RENDERED: AtomicU32 = AtomicU32::new(0);

trait Price {
    fn price(&self, quantity: u32) -> u64;
}

impl Price for Report {
    #[cached(ttl = "1h")]
    fn price(&self, quantity: u32) -> u64 {
        u64::from(self.pages) * u64::from(quantity)
    }
}

/// A generic impl: each instantiation has entries of its own.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair<T>(T, T);

impl<T> Pair<T>
where
    T: Clone + PartialEq + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static,
{
    #[cached]
    fn describe(&self) -> String {
        format!("{:?} and {:?}", self.0, self.1)
    }
}

/// A service that has no `Eq`: `skip(self)`, since its answers do not depend on which one is asked.
struct Directory {
    queries: AtomicU32,
}

impl Directory {
    #[cached(skip(self))]
    fn phone(&self, name: &str) -> Option<u32> {
        self.queries.fetch_add(1, Relaxed);
        (name == "Ada").then_some(1815)
    }

    #[cached(skip(self))]
    async fn owner(self: Arc<Self>, phone: u32) -> String {
        self.queries.fetch_add(1, Relaxed);
        format!("owner of {phone}")
    }
}

fn main() {
    let annual = Report { title: "annual".into(), pages: 10 };
    let weekly = Report { title: "weekly".into(), pages: 2 };
    assert_eq!(annual.render(12), "---annual---");
    assert_eq!(weekly.render(12), "---weekly---");
    assert_eq!(annual.clone().render(12), "---annual---"); // an equal instance: a hit
    assert_eq!(RENDERED.load(Relaxed), 2);

    // An attribute inside an impl can add no items, so the handle is found by the method itself.
    let render = gecaso::handle(Report::render);
    assert_eq!(render.peek(&annual, 12), Some("---annual---".to_owned()));
    render.invalidate(&annual, 12);
    assert_eq!(render.peek::<String>(&annual, 12), None);
    assert_eq!(render.peek(&weekly, 12), Some("---weekly---".to_owned()));
    assert_eq!(render.with(&weekly, 12, |text: &String| text.len()), Some(12)); // no clone
    render.insert(&annual, 12, "by hand".to_owned());
    assert_eq!(annual.render(12), "by hand");
    assert_eq!(render.stats().entries, 2);
    render.clear();
    assert_eq!(render.stats().entries, 0);

    assert_eq!((annual.price(3), weekly.price(3)), (30, 6));
    gecaso::handle(<Report as Price>::price).invalidate(&annual, 3);

    assert_eq!(Pair(1, 2).describe(), "1 and 2");
    assert_eq!(Pair("1", "2").describe(), r#""1" and "2""#);

    let directory = Directory { queries: AtomicU32::new(0) };
    assert_eq!(directory.phone("Ada"), Some(1815));
    assert_eq!(directory.phone("Ada"), Some(1815));
    assert_eq!(directory.queries.load(Relaxed), 1);

    let directory = Arc::new(directory);
    pollster::block_on(directory.clone().owner(1815));
    pollster::block_on(directory.clone().owner(1815));
    assert_eq!(directory.queries.load(Relaxed), 2);
    println!("{:?}", gecaso::handle(Report::render).stats());
}
