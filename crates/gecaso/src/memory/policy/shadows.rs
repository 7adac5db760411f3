//! Small simulations that say which rule is best: one for each, fed with the same sampled keys
//! (Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC
//! 2017).
//!
//! A sample of one key in 2^bits, by its hash, in a cache of 2^-bits the size has about the hit
//! ratio of the whole. `tuner` feeds it, under a lock of its own. Knows no shard and no entry.
//! Where every request differs in cost, its choice is wrong: it counts hits alone.

use super::segments::{Counted, Rule, Segments};
use super::sketch::Sketch;
use super::{MOST_HITS, SlotId, Slots};
use std::collections::HashMap;

/// Slots of a shadow, about. With 128 it chooses a little better (0.002 of the optimum) and costs
/// twice as much.
const SLOTS: usize = 64;
/// Requests between two decisions: the slots of a shadow, but not fewer than this.
const FEWEST_REQUESTS: usize = 100;
/// What a score keeps from one decision to the next: the last twenty count.
const KEPT: f64 = 0.95;
/// How much better another rule must be for a change.
const BETTER: f64 = 1.005;
/// The rarest sample: one key in 4096.
const MOST_BITS: u32 = 12;
/// In a storage so small that more than one request in 2^4 is sampled, shadows that decided the
/// same so often, as long as scores remember, may rest.
const CALM: u32 = 20;
const DEAR_BITS: u32 = 4;
/// The rest, in periods, each counted in misses; then follow periods in which the shadows only
/// learn what is asked for now, and as many that decide.
const REST: usize = 20;
const RELEARN: u32 = 2;

/// How many bits of a hash must be zero for its key to be in the sample of a storage of this size.
pub(in super::super) fn sampled_bits(capacity: usize) -> u32 {
    let ratio = capacity as f64 / SLOTS as f64;
    (ratio.log2().round().max(0.0) as u32).min(MOST_BITS)
}

pub(in super::super) struct Shadows {
    /// One for each of `Rule::ALL`.
    shadows: [Shadow; Rule::ALL.len()],
    /// The counts of all: each request is counted once, when it is made.
    sketch: Sketch,
    requests: usize,
    period: usize,
    /// The shadow whose rule is followed.
    best: usize,
    is_dear: bool,
    /// Decisions without a change, one after the other.
    calm: u32,
    /// Periods that do not count yet.
    relearn: u32,
}

impl Shadows {
    /// For a storage of so many entries.
    pub(in super::super) fn new(capacity: usize) -> Self {
        let bits = sampled_bits(capacity);
        let places = (capacity >> bits).max(8);
        Shadows {
            shadows: Rule::ALL.map(|rule| Shadow::new(rule, places)),
            sketch: Sketch::new(places, 1),
            requests: 0,
            period: places.max(FEWEST_REQUESTS),
            best: 0,
            is_dear: bits < DEAR_BITS,
            calm: 0,
            relearn: 0,
        }
    }

    /// One more request for a sampled key. Says so if another rule has become the best.
    pub(in super::super) fn request(&mut self, hash: u64) -> Option<Rule> {
        self.sketch.add(hash, 1);
        for shadow in &mut self.shadows {
            shadow.request(hash, &self.sketch);
        }
        self.requests += 1;
        if self.requests < self.period {
            return None;
        }
        self.requests = 0;
        let change = self.decide();
        self.calm = if change.is_some() { 0 } else { self.calm + 1 };
        change
    }

    /// Whether the shadows may rest, and for how many misses.
    pub(in super::super) fn rest(&mut self) -> Option<usize> {
        if !self.is_dear || self.calm < CALM {
            return None;
        }
        self.calm = CALM - 2 * RELEARN;
        self.relearn = RELEARN;
        Some(self.period * REST)
    }

    fn decide(&mut self) -> Option<Rule> {
        for shadow in &mut self.shadows {
            if self.relearn == 0 {
                shadow.score = shadow.score * KEPT + shadow.hits;
            }
            shadow.hits = 0.0;
        }
        if self.relearn > 0 {
            self.relearn -= 1;
            return None;
        }
        let score = |at: &usize| self.shadows[*at].score;
        let best = (0..self.shadows.len()).max_by(|a, b| score(a).total_cmp(&score(b)))?;
        if score(&best) <= score(&self.best) * BETTER {
            return None;
        }
        self.best = best;
        Some(self.shadows[best].segments.rule())
    }
}

/// A cache of hashes alone.
struct Shadow {
    segments: Segments,
    /// By hash.
    index: HashMap<u64, SlotId, foldhash::fast::FixedState>,
    nodes: Vec<Node>,
    places: usize,
    /// Since the last decision.
    hits: f64,
    score: f64,
}

#[derive(Clone, Copy)]
struct Node {
    hash: u64,
    hits: u8,
}

impl Shadow {
    fn new(rule: Rule, places: usize) -> Self {
        let segments = Segments::new(rule);
        let nodes = Vec::with_capacity(places);
        Shadow { segments, index: HashMap::default(), nodes, places, hits: 0.0, score: 0.0 }
    }

    fn request(&mut self, hash: u64, sketch: &Sketch) {
        if let Some(&slot) = self.index.get(&hash) {
            let hits = &mut self.nodes[slot as usize].hits;
            *hits = (*hits + 1).min(MOST_HITS);
            self.hits += 1.0;
            return;
        }
        let slot = if self.nodes.len() < self.places {
            self.nodes.push(Node { hash, hits: 0 });
            self.nodes.len() as SlotId - 1
        } else {
            let mut nodes = Nodes { nodes: &mut self.nodes, sketch };
            let Some(slot) = self.segments.evict(&mut nodes) else { return };
            let gone = self.nodes[slot as usize].hash;
            self.nodes[slot as usize] = Node { hash, hits: 0 };
            self.index.remove(&gone);
            slot
        };
        self.index.insert(hash, slot);
        self.segments.insert(slot, hash, &mut Nodes { nodes: &mut self.nodes, sketch });
    }
}

/// A shadow's slots; the sketch has counted their hits already.
struct Nodes<'a> {
    nodes: &'a mut [Node],
    sketch: &'a Sketch,
}

impl Slots for Nodes<'_> {
    fn hash(&self, slot: SlotId) -> u64 {
        self.nodes[slot as usize].hash
    }

    fn take_hits(&mut self, slot: SlotId) -> u8 {
        let node = &mut self.nodes[slot as usize];
        let hits = node.hits;
        node.hits = 0;
        hits
    }

    fn put_back(&mut self, slot: SlotId, hits: u8) {
        self.nodes[slot as usize].hits = hits;
    }
}

impl Counted for Nodes<'_> {
    fn frequency(&self, hash: u64) -> u8 {
        self.sketch.count(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        let n = (n ^ n >> 30).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB)
    }

    /// What is followed after these requests, in a storage of 80 entries.
    fn chosen(requests: impl Iterator<Item = u64>) -> Rule {
        let mut shadows = Shadows::new(80);
        let mut rule = Rule::FIRST;
        for key in requests {
            rule = shadows.request(hash(key)).unwrap_or(rule);
        }
        rule
    }

    #[test]
    fn a_loop_over_more_than_fits_gets_a_rule_that_holds_on_to_what_it_has() {
        assert_eq!(chosen((0..50_000).map(|n| n % 200)), Rule::ALL[1]);
    }

    #[test]
    fn keys_asked_for_twice_and_never_again_get_a_large_window() {
        let twice = (0..50_000).map(|n| if n % 2 == 0 { n } else { n.max(81) - 81 });
        assert_eq!(chosen(twice), Rule::ALL[2]);
    }

    #[test]
    fn a_shadow_is_about_a_small_storage_of_the_same_shape() {
        let bits = [1, 90, 1_000, 10_000, 100_000, 1_000_000].map(sampled_bits);
        assert_eq!(bits, [0, 0, 4, 7, 11, 12]);
        for capacity in [0, 1, 100, 1_000, 100_000] {
            let shadows = Shadows::new(capacity);
            assert!(shadows.shadows.iter().all(|shadow| (8..=256).contains(&shadow.places)));
        }
    }

    #[test]
    fn shadows_of_a_small_storage_rest_when_they_have_settled() {
        let mut small = Shadows::new(50);
        let mut requests = (0..).map(|n: u64| hash(n % 100));
        let mut until_rest = |shadows: &mut Shadows, changed: &mut bool| {
            let asked = requests.by_ref().take(1_000_000).position(|hash| {
                *changed |= shadows.request(hash).is_some();
                shadows.rest().is_some()
            });
            asked.expect("it settles in time") + 1
        };
        assert!(until_rest(&mut small, &mut false) >= CALM as usize * FEWEST_REQUESTS);
        let mut changed = false;
        let again = until_rest(&mut small, &mut changed);
        assert!(!changed && again == 2 * RELEARN as usize * FEWEST_REQUESTS, "{again}");
        let mut large = Shadows::new(10_000);
        assert!((0..100_000).all(|n| {
            large.request(hash(n % 10));
            large.rest().is_none()
        }));
    }

    #[test]
    fn a_shadow_never_holds_more_than_its_places() {
        let mut shadows = Shadows::new(64);
        for n in 0..20_000 {
            shadows.request(hash(n * n % 977));
        }
        for shadow in &shadows.shadows {
            assert_eq!(
                (shadow.nodes.len(), shadow.index.len(), shadow.segments.len()),
                (64, 64, 64)
            );
            assert!(shadow.score > 0.0);
        }
    }
}
