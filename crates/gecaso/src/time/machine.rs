//! What the machine's clocks say: monotonic time, precisely or as of the last tick, and the wall.
//!
//! Called by `time` alone. Knows nothing of who asks, or why.

use super::{Nanos, Stamp};

/// [`about`] is never further back than this; see `monotonic`.
pub(super) const LAG: Nanos = 100_000_000;

/// Monotonic time.
#[inline]
pub(super) fn now() -> Nanos {
    monotonic::now()
}

/// A moment that is not later than now, and at most [`LAG`] earlier, for less than [`now`] costs.
#[inline]
pub(super) fn about() -> Nanos {
    monotonic::about()
}

/// Time on the wall, since 1970.
#[allow(clippy::disallowed_methods)] // the one place
pub(super) fn wall() -> Stamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX))
}

/// Since the machine was started: both clocks of the kernel count from there.
///
/// The kernel notes the time at each tick, 1 to 10 ms apart, and before the first instruction of a
/// thread that ends the idleness of a core. `CLOCK_MONOTONIC_COARSE` is that note.
/// `CLOCK_MONOTONIC` is the same note and what a counter of the processor has gained since then,
/// and neither ever goes back: so the note is never later than a precise time that is read after
/// it. It is older than a tick only where the one core that writes it stands still for several
/// while another runs, say because a hypervisor took it away; then the others write it after five
/// ticks (Linux 5.17 and later). `LAG` is twice as long as these five ticks are where ticks are
/// longest.
#[cfg(all(target_os = "linux", not(miri)))]
mod monotonic {
    #![allow(unsafe_code)]

    use super::Nanos;

    #[inline]
    fn read(clock: libc::clockid_t) -> Option<Nanos> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one `timespec`, to a place that is one and is ours alone.
        let failed = unsafe { libc::clock_gettime(clock, &mut time) };
        // Neither is ever negative, and 584 years fit.
        (failed == 0).then(|| time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos)
    }

    #[inline]
    pub(super) fn now() -> Nanos {
        read(libc::CLOCK_MONOTONIC).expect("Linux has this clock")
    }

    #[inline]
    pub(super) fn about() -> Nanos {
        read(libc::CLOCK_MONOTONIC_COARSE).unwrap_or_else(now)
    }
}

/// Since the process first asked. There is no cheaper clock.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod monotonic {
    use super::Nanos;
    use std::sync::OnceLock;
    use std::time::Instant;

    #[inline]
    #[allow(clippy::disallowed_methods)] // the one place
    pub(super) fn now() -> Nanos {
        static ZERO: OnceLock<Instant> = OnceLock::new();
        let zero = *ZERO.get_or_init(Instant::now);
        Nanos::try_from(zero.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    #[inline]
    pub(super) fn about() -> Nanos {
        now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_told_at_little_cost_is_never_ahead_and_never_far_behind() {
        let mut before = 0;
        let mut furthest = 0;
        // A thread that is taken off its core between the two readings sees a gap that is none.
        let mut wide = 0;
        for _ in 0..100_000 {
            let (about, now) = (about(), now());
            assert!(before <= about, "{about} after {before}: it goes back");
            assert!(about <= now, "{about} is ahead of {now}");
            wide += u32::from(now - about >= LAG);
            furthest = furthest.max(now - about);
            before = about;
        }
        assert!(wide <= 5, "{wide} of 100000 readings were late, by {furthest} ns at most");
    }

    #[test]
    fn both_go_on() {
        let (begun, noted) = (now(), about());
        while about() == noted {
            assert!(now() - begun < 100 * LAG, "the note of the time stands still");
        }
        assert!(now() > begun);
    }
}
