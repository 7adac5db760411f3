//! A bound by weight, a listener that says what left and why, and looking at all entries.

use gecaso::{Cache, LruStorage, RemovalCause, cached};
use std::sync::LazyLock;
use std::sync::mpsc;

/// Both functions' results take a kilobyte together, and no more.
static KILOBYTE: LazyLock<LruStorage> = LazyLock::new(|| LruStorage::weighted(1_000));

#[cached(&KILOBYTE, weigher = |page: &String| page.len())]
fn page(lines: usize) -> String {
    "a line of ten.".repeat(lines)
}

#[cached(&KILOBYTE, weigher = Vec::len)]
fn image(size: usize) -> Vec<u8> {
    vec![0; size]
}

fn main() {
    page(50);
    image(300);
    assert_eq!((KILOBYTE.len(), KILOBYTE.weight()), (2, 1_000));
    image(1_001); // too heavy for all of it: not stored, and nothing goes for it
    assert_eq!(KILOBYTE.weight(), 1_000);
    image(400); // the page, which was used least recently, makes room
    assert_eq!((KILOBYTE.weight(), page::stats().evictions), (700, 1));

    // By hand: who wants to know what leaves says so.
    let (tell, told) = mpsc::channel();
    let files: Cache<u32, String> = Cache::builder()
        .storage(LruStorage::new(3))
        .on_removal(move |number, _path, cause| tell.send((*number, cause)).unwrap())
        .build();
    for number in 1..=4 {
        files.insert(number, format!("/tmp/{number}"));
    }
    files.invalidate_if(|number, _path| number % 2 == 0);
    assert_eq!(files.iter().collect::<Vec<_>>(), [(3, "/tmp/3".to_owned())]);
    let mut told: Vec<_> = told.try_iter().collect();
    told.sort_unstable_by_key(|(number, _)| *number);
    assert_eq!(
        told,
        [
            (1, RemovalCause::Evicted),
            (2, RemovalCause::Invalidated),
            (4, RemovalCause::Invalidated)
        ]
    );
    println!("{KILOBYTE:?}");
}
