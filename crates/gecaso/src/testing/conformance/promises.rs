//! What a storage promises to whoever asks it alone, one operation after the other.
//!
//! Called by the suite, in this order: a storage that breaks an early promise is not asked for
//! more.

use super::Run;
use super::probe::{Broken, Probe, Promise};
use crate::far::Storage;
use crate::params::{Param, Params};
use crate::time::{Clock, after};
use std::time::Duration;

/// Those asked for together in `MANY`.
const MANY_KEYS: usize = 256;

pub(super) async fn all<S: Storage>(run: &Run<'_, S>) -> Result<(), Broken> {
    missing(&mut Probe::new(run, &MISSING)).await?;
    bytes(&mut Probe::new(run, &BYTES)).await?;
    overwrites(&mut Probe::new(run, &OVERWRITE)).await?;
    removes(&mut Probe::new(run, &REMOVE)).await?;
    absent(&mut Probe::new(run, &ABSENT)).await?;
    keys(&mut Probe::new(run, &KEYS), run).await?;
    many(&mut Probe::new(run, &MANY)).await?;
    lifetimes(&mut Probe::new(run, &LIFETIME)).await?;
    parameters(&mut Probe::new(run, &PARAMETERS)).await?;
    dropped(&mut Probe::new(run, &DROPPED), run.storage).await
}

static MISSING: Promise = Promise {
    says: "a key that was never set is not found",
    advice: "Return `Ok(None)` for a key that is not there: it is no error, and no empty value.",
};

async fn missing<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    probe.finds(&probe.key("missing"), None).await
}

static BYTES: Promise = Promise {
    says: "what was set is what is found, byte by byte and as often as it is asked for",
    advice: "Keep the bytes as they are: no text, no end of line, no trimming, no limit below a \
             few MiB; an empty value is a value.",
};

async fn bytes<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let all: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> =
        (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let values: [(&str, &[u8]); 7] = [
        ("empty", b""),
        ("one byte", b"\0"),
        ("all bytes", &all),
        ("lines", b" \r\n\ttext\n\n"),
        ("zeros at the end", b"x\0\0\0"),
        ("no text", b"\xff\xfe\x80"),
        ("large", &large),
    ];
    for (name, value) in values {
        let key = probe.key(name.replace(' ', "-"));
        probe.set(&key, value).await?;
        probe.finds(&key, Some(value)).await?;
        probe.finds(&key, Some(value)).await?;
    }
    Ok(())
}

static OVERWRITE: Promise = Promise {
    says: "a set replaces all of what was there",
    advice: "Let `set` replace the whole value, whether there is one or not, and whether it was \
             longer or shorter; the next `get` sees the new one.",
};

async fn overwrites<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let key = probe.key("overwritten");
    let values: [&[u8]; 6] = [b"short", b"much longer than before", b"x", b"", b"again", b"again"];
    for value in values {
        probe.set(&key, value).await?;
        probe.finds(&key, Some(value)).await?;
    }
    Ok(())
}

static REMOVE: Promise = Promise {
    says: "a key that was removed is not found any more, and no other key goes with it",
    advice: "Let `remove` forget every key it is given, and these keys alone. With no keys at all \
             it does nothing.",
};

async fn removes<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let names: Vec<String> = (0..6).map(|n| probe.key(format_args!("removed-{n}"))).collect();
    let [a, b, c, d, e, stays] = [0, 1, 2, 3, 4, 5].map(|n: usize| &*names[n]);
    for key in &names {
        probe.set(key, key.as_bytes()).await?;
    }
    let there = |key: &str| Some(key.as_bytes().to_vec());
    probe.remove(&[]).await?;
    probe.finds(a, there(a).as_deref()).await?;
    probe.remove(&[a]).await?;
    probe.finds(a, None).await?;
    for key in [b, c, d, e, stays] {
        probe.finds(key, there(key).as_deref()).await?;
    }
    probe.remove(&[b, c, d]).await?;
    for key in [b, c, d] {
        probe.finds(key, None).await?;
    }
    probe.finds(stays, there(stays).as_deref()).await?;
    // Set again, it is there again.
    probe.set(a, b"again").await?;
    probe.finds(a, Some(b"again")).await?;
    probe.remove(&[e, a]).await?;
    probe.finds(a, None).await?;
    probe.finds(e, None).await?;
    probe.finds(stays, there(stays).as_deref()).await
}

static ABSENT: Promise = Promise {
    says: "removing what is not there is no error, and keeps nothing else from being removed",
    advice: "Let `remove` go through all keys it is given, and return `Ok(())` also if some are \
             not there, or twice.",
};

async fn absent<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let [never, twice] = ["never", "twice"].map(|name| probe.key(name));
    probe.remove(&[&never]).await?;
    probe.set(&twice, b"value").await?;
    probe.remove(&[&twice]).await?;
    probe.remove(&[&twice]).await?;
    probe.finds(&twice, None).await?;
    // The one that is there goes, wherever it stands among those that are not.
    for keys in [[&*never, &twice], [&twice, &never], [&twice, &twice]] {
        probe.set(&twice, b"value").await?;
        probe.remove(&keys).await?;
        probe.finds(&twice, None).await?;
    }
    Ok(())
}

static KEYS: Promise = Promise {
    says: "keys that differ in anything are different keys",
    advice: "Use the key as it is: do not fold its case, do not cut it (200 symbols of ASCII at \
             most), and do not replace symbols in a way that makes two keys one. Where that \
             cannot be, as in names of files, encode it: two keys must stay two.",
};

async fn keys<S: Storage>(probe: &mut Probe<'_, S>, run: &Run<'_, S>) -> Result<(), Broken> {
    let hex = &run.hex;
    let last =
        |length: usize, end: char| format!("{hex}{end:a>width$}", width = length - hex.len());
    let mut keys = vec![
        // As gecaso makes them: 32 hex digits, `_`, 32 hex digits; they may differ in the last
        // only.
        format!("{hex}_0123456789abcdef0123456789abcde0"),
        format!("{hex}_0123456789abcdef0123456789abcde1"),
        format!("{hex}_epoch"),
        // Prefixes of others.
        hex.clone(),
        format!("{hex}_"),
        format!("{hex}_0123456789abcdef0123456789abcde"),
        // Case.
        format!("{hex}_case"),
        format!("{hex}_CASE"),
        format!("{hex}_Case"),
        // As long as they get.
        last(200, 'x'),
        last(200, 'y'),
    ];
    // For people to read: everything that is printable in ASCII may occur.
    let name = format!("users.{hex}");
    let readable = [
        "/v0",
        "/v0/epoch",
        "/v0()",
        "/v0(7)",
        "/v0(7,8)",
        "/v0(78)",
        "/v0(\"7\")",
        "/v0(\"a b\")",
        "/v0(\"a  b\")",
        "/v0(\"a/b\")",
        "/v0(\"a_b\")",
        "/v0(\"a:b\")",
        "/v0(\"a\\\\b\")",
        "/v0(\"../a\")",
        "/v0(\"..\")",
        "/v0(\"a%20b\")",
        "/v0(\"A B\")",
        "/v0(\"a?b\")",
        "/v0(\"a*b\")",
        "/v0([1,2])",
        "/v0({1,2})",
        "/v0({1:2})",
        "/v0(-0.5,1e300)",
        "/v0(Point{x:1,y:<2>})",
        "/v0(a=b&c;d|e#f!g$h@i^j`k'l+m~n)",
        "/v0(7) ",
        " /v0(7)",
    ];
    keys.extend(readable.map(|arguments| format!("{name}{arguments}")));
    for key in &keys {
        probe.set(key, key.as_bytes()).await?;
    }
    for key in &keys {
        probe.finds(key, Some(key.as_bytes())).await?;
    }
    for at in 0..keys.len() {
        probe.remove(&[&keys[at]]).await?;
        probe.finds(&keys[at], None).await?;
        // All others are still there: the next one now, all in the end.
        if let Some(next) = keys.get(at + 1) {
            probe.finds(next, Some(next.as_bytes())).await?;
        }
    }
    Ok(())
}

static MANY: Promise = Promise {
    says: "every entry is kept until it is replaced, removed, or at the end of its lifetime",
    advice: "The suite needs room for 500 entries. If yours is bounded by design, check it with a \
             larger bound.",
};

async fn many<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let keys: Vec<String> = (0..MANY_KEYS).map(|n| probe.key(format_args!("many-{n}"))).collect();
    for key in &keys {
        probe.set(key, key.as_bytes()).await?;
    }
    for key in &keys {
        probe.finds(key, Some(key.as_bytes())).await?;
    }
    let (some, others) = keys.split_at(MANY_KEYS / 2);
    probe.remove(&some.iter().map(|key| &**key).collect::<Vec<_>>()).await?;
    for key in some {
        probe.finds(key, None).await?;
    }
    for key in others {
        probe.finds(key, Some(key.as_bytes())).await?;
    }
    Ok(())
}

static LIFETIME: Promise = Promise {
    says: "an entry is kept as long as its lifetime, and without one until it is removed",
    advice: "Treat `params.ttl()` as the least time the entry is kept: round it up, never down, \
             let it be longer than your clock can count (then it is for ever), and let each set \
             begin a new one. You may ignore it altogether.",
};

async fn lifetimes<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    const DAY: u64 = 86_400;
    for (name, ttl) in [
        ("an-hour", Duration::from_secs(3_600)),
        ("60-days", Duration::from_secs(60 * DAY)),
        ("100-years", Duration::from_secs(36_525 * DAY)),
    ] {
        let key = probe.key(name);
        probe.note(format!("a lifetime of {ttl:?}:"));
        probe.set_with(&key, b"value", &Params::new().with_ttl(ttl)).await?;
        probe.finds(&key, Some(b"value")).await?;
    }
    let [without, longer] = ["without", "longer"].map(|name| probe.key(name));
    let short = Params::new().with_ttl(Duration::from_millis(1));
    probe.note("a lifetime of 1ms, and another one for the same key:");
    for key in [&without, &longer] {
        probe.set_with(key, b"short", &short).await?;
        probe.finds_one_of(key, &[Some(b"short"), None]).await?;
    }
    probe.set(&without, b"without").await?;
    probe.set_with(&longer, b"longer", &Params::new().with_ttl(Duration::from_secs(3_600))).await?;
    // Longer than the short one, so that what is left of it would show. A storage that keeps its
    // promise passes however long this takes.
    let clock = Clock::System;
    clock.alarm(after(clock.now(), Duration::from_millis(20))).await;
    probe.note("wait for 20ms");
    probe.finds(&without, Some(b"without")).await?;
    probe.finds(&longer, Some(b"longer")).await
}

static PARAMETERS: Promise = Promise {
    says: "parameters that the storage does not know are no error",
    advice: "Ignore what you do not use of `params`.",
};

async fn parameters<S: Storage>(probe: &mut Probe<'_, S>) -> Result<(), Broken> {
    let key = probe.key("parameters");
    let params = Params::new()
        .with_ttl(Duration::from_secs(60))
        .with("some_additional_cool_param", "Hell yeah!")
        .with("null", Param::Null)
        .with("bool", true)
        .with("int", i64::MIN)
        .with("float", f64::NAN)
        .with("bytes", vec![0, 255])
        .with("list", Param::List(vec![Param::Int(1), Param::List(Vec::new())]));
    probe.set_with(&key, b"value", &params).await?;
    probe.finds(&key, Some(b"value")).await
}

static DROPPED: Promise = Promise {
    says: "an operation may be dropped midway: it took effect as a whole or not at all, and those \
           after it are not disturbed",
    advice: "Let nothing hang on the end of your futures: locks and connections are given back \
             when they are dropped, and a value is written elsewhere first and put in its place \
             in one step.",
};

async fn dropped<S: Storage>(probe: &mut Probe<'_, S>, storage: &S) -> Result<(), Broken> {
    let params = Params::new();
    let [old, new, next] = [b'o', b'n', b'x'].map(|byte| vec![byte; 5_000]);
    for polls in [1, 2, 3, 5] {
        let key = &*probe.key(format_args!("dropped-{polls}"));
        probe.set(key, &old).await?;
        probe.drops("set", polls, storage.set(key, &new, &params)).await;
        probe.finds_one_of(key, &[Some(&old), Some(&new)]).await?;
        probe.set(key, &next).await?;
        probe.finds(key, Some(&next)).await?;
        probe.drops("get", polls, storage.get(key)).await;
        probe.finds(key, Some(&next)).await?;
        probe.drops("remove", polls, storage.remove(&[key])).await;
        probe.finds_one_of(key, &[Some(&next), None]).await?;
        probe.set(key, &old).await?;
        probe.finds(key, Some(&old)).await?;
    }
    Ok(())
}
