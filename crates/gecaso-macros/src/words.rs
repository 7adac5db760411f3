//! The words the attribute knows, and the right one for a wrong one.
//!
//! Called by `attr`. Must not parse.

/// Every word, with an example of its use.
const WORDS: &[(&str, &str)] = &[
    ("ttl", "ttl = 100"),
    ("tti", "tti = 100"),
    ("weigher", "weigher = |value| value.len()"),
    ("key", "key = (a, b)"),
    ("skip", "skip(conn)"),
    ("name", "name = \"users\""),
    ("version", "version = 3"),
    ("cache_if", "cache_if = |value| !value.is_empty()"),
    ("cache_err", "cache_err"),
    ("cache_none", "cache_none"),
    ("handle", "handle = other_name"),
    ("max_wait", "max_wait = 5"),
    ("params", "params(region = \"eu\")"),
    ("hash_key", "hash_key = false"),
    ("deadline", "deadline = \"50ms\""),
    ("fail_closed", "fail_closed"),
    ("in_impl", "in_impl"),
    ("crate", "crate = path"),
];

/// Words of other caches, and what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("ttl_secs", "use `ttl = 100`"),
    ("ttl_millis", "use `ttl = \"250ms\"`"),
    ("time", "use `ttl = 100`"),
    ("timetolive", "use `ttl = 100`"),
    ("expire", "use `ttl = 100`"),
    ("expires", "use `ttl = 100`"),
    ("size", "the storage has the bound: `#[cached(LruStorage::new(128))]`"),
    ("max_size", "the storage has the bound: `#[cached(LruStorage::new(128))]`"),
    ("maxsize", "the storage has the bound: `#[cached(LruStorage::new(128))]`"),
    ("limit", "the storage has the bound: `#[cached(LruStorage::new(128))]`"),
    ("capacity", "the storage has the bound: `#[cached(LruStorage::new(128))]`"),
    ("policy", "the storage has the policy: `#[cached(LruStorage::new(128))]`"),
    ("storage", "the storage comes first, without a word: `#[cached(LruStorage::new(128))]`"),
    ("ty", "the storage comes first, without a word: `#[cached(LruStorage::new(128))]`"),
    ("create", "the storage comes first, without a word: `#[cached(LruStorage::new(128))]`"),
    ("ignore", "use `skip(conn)`"),
    ("convert", "use `key = expr`"),
    ("key_expr", "use `key = expr`"),
    ("condition", "use `cache_if = |value| ..`"),
    ("unless", "use `cache_if = |value| ..`"),
    ("result", "leave it out: only `Ok` is stored"),
    ("option", "leave it out: only `Some` is stored"),
    ("sync_writes", "leave it out: one body runs per key at a time"),
    ("single_flight", "leave it out: one body runs per key at a time"),
    ("prefix", "use `name = \"..\"`"),
    ("time_to_idle", "use `tti = 100`"),
    ("idle", "use `tti = 100`"),
    ("sliding", "use `tti = 100`"),
    ("refresh", "use `tti = 100`, if hits are to prolong an entry"),
    ("expire_after", "use `ttl = |value| ..`, if the result says how long it is fresh"),
    ("weight", "use `weigher = |value| ..`"),
    ("weigh", "use `weigher = |value| ..`"),
    ("max_weight", "the storage has the bound: `#[cached(LruStorage::weighted(1 << 20))]`"),
    ("max_memory", "the storage has the bound: `#[cached(LruStorage::weighted(1 << 20))]`"),
    ("on_removal", "a listener is for `Cache` by hand: `Cache::builder().on_removal(..)`"),
    ("on_evict", "a listener is for `Cache` by hand: `Cache::builder().on_removal(..)`"),
    ("eviction_listener", "a listener is for `Cache` by hand: `Cache::builder().on_removal(..)`"),
    ("hasher", "a hasher is for `Cache` by hand: `Cache::builder().hasher(..)`"),
    ("jitter", "it is not supported yet"),
    ("stale_while_revalidate", "it is not supported yet"),
    ("stale_if_error", "it is not supported yet"),
    ("refresh_ahead", "it is not supported yet"),
    (
        "timeout",
        "it is not supported yet; `max_wait` bounds the wait for another caller's body, `deadline` \
         that for a storage outside of the process",
    ),
    ("tags", "it is not supported yet"),
];

/// How a known word is used.
pub(crate) fn usage(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, usage)| *usage)
}

/// Whether `word`, alone or with parentheses, is meant as a word and not as a storage expression.
pub(crate) fn resembles(word: &str) -> bool {
    let about_storage = foreign(word).is_some_and(|advice| advice.starts_with("the storage"));
    let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_name && !about_storage && (foreign(word).is_some() || nearest(word).is_some())
}

/// The message for a word that is not known.
pub(crate) fn unknown(word: &str) -> String {
    let for_storage = format!("what the storage is to be told is `params({word} = ..)`");
    let way_out = match (foreign(word), nearest(word)) {
        (Some(advice), _) => advice.to_string(),
        (None, Some(near)) => format!("did you mean `{near}`? {for_storage}"),
        (None, None) => {
            let all: Vec<_> = WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("the words are {}; {for_storage}", all.join(", "))
        }
    };
    format!("`#[cached]` does not know the word `{word}`\n\n{way_out}")
}

fn foreign(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    FOREIGN.iter().find(|(known, _)| *known == word).map(|(_, advice)| *advice)
}

fn nearest(word: &str) -> Option<&'static str> {
    let near = |known: &str| distance(&word.to_ascii_lowercase(), known);
    let (known, _) = WORDS.iter().min_by_key(|(known, _)| near(known))?;
    // One slip in three letters, at most.
    (near(known) <= known.len().div_ceil(3)).then_some(*known)
}

/// Levenshtein's, with a swap of neighbours counted as one slip.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j - 1] + other).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{WORDS, nearest, unknown};

    #[test]
    fn slips_find_their_word() {
        assert_eq!(nearest("tll"), Some("ttl"));
        assert_eq!(nearest("verison"), Some("version"));
        assert_eq!(nearest("cache_er"), Some("cache_err"));
        assert_eq!(nearest("skpi"), Some("skip"));
        assert_eq!(nearest("banana"), None);
        assert!(unknown("banana").contains("`max_wait`"));
        assert!(unknown("TimeToLive").contains("ttl"));
    }

    #[test]
    fn the_documentation_has_every_word_with_its_example() {
        let docs = include_str!("lib.rs");
        for (_, usage) in WORDS {
            assert!(docs.contains(&format!("/// - `{usage}`")), "{usage}");
        }
    }
}
