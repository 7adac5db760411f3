//! How the types without parts become keys.
//!
//! Called by implementations of `Key`. Two equal values must encode alike: where `Eq` looks past
//! some difference, as that of paths does, so does this.

use super::{Key, KeyEncoder, tag};
use crate::time;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::{Component, Path, PathBuf, Prefix};
use std::time::{Duration, SystemTime};

macro_rules! integers {
    ($whole:ty: $($unsigned:ty)*; $($signed:ty)*) => {
        $(
            impl Key for $unsigned {
                #[inline]
                fn encode(&self, to: &mut KeyEncoder) {
                    to.number(false, *self as u128);
                }
            }
        )*
        $(
            impl Key for $signed {
                #[inline]
                fn encode(&self, to: &mut KeyEncoder) {
                    to.number(*self < 0, self.unsigned_abs() as u128);
                }
            }
        )*
    };
}
integers!(u128: u16 u32 u64 u128 usize; i8 i16 i32 i64 i128 isize);

impl Key for u8 {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        to.number(false, u128::from(*self));
    }
    fn encode_slice(items: &[u8], to: &mut KeyEncoder) {
        to.framed(tag::BYTES, items);
    }
}

macro_rules! non_zero {
    ($($number:ty)*) => { $(
        impl Key for std::num::NonZero<$number> {
            fn encode(&self, to: &mut KeyEncoder) {
                self.get().encode(to);
            }
        }
    )* };
}
non_zero!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl Key for bool {
    fn encode(&self, to: &mut KeyEncoder) {
        to.open(if *self { tag::TRUE } else { tag::FALSE });
    }
}

/// By its bits: a NaN is found again, and `-0.0` is not `0.0`.
impl Key for f64 {
    fn encode(&self, to: &mut KeyEncoder) {
        to.open(tag::FLOAT);
        to.raw(&self.to_bits().to_be_bytes());
    }
}

impl Key for f32 {
    fn encode(&self, to: &mut KeyEncoder) {
        to.open(tag::FLOAT32);
        to.raw(&self.to_bits().to_be_bytes());
    }
}

impl Key for str {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        to.framed(tag::TEXT, self.as_bytes());
    }
}

impl Key for String {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        self.as_str().encode(to);
    }
}

/// A text of one character.
impl Key for char {
    fn encode(&self, to: &mut KeyEncoder) {
        self.encode_utf8(&mut [0; 4]).encode(to);
    }
}

/// On Unix the bytes; elsewhere UTF-8, and whatever the standard library makes of the rest.
impl Key for OsStr {
    fn encode(&self, to: &mut KeyEncoder) {
        to.framed(tag::OS_TEXT, self.as_encoded_bytes());
    }
}

impl Key for OsString {
    fn encode(&self, to: &mut KeyEncoder) {
        self.as_os_str().encode(to);
    }
}

/// By its components, as its `Eq`: `a//b/.` is `a/b`. A `/` between them on every system.
impl Key for Path {
    fn encode(&self, to: &mut KeyEncoder) {
        to.open(tag::PATH);
        let at = to.reserve();
        let mut is_apart = true;
        for component in self.components() {
            match component {
                Component::RootDir => to.raw(b"/"),
                // `C:` and `c:` are equal.
                Component::Prefix(prefix) => match prefix.kind() {
                    Prefix::Disk(letter) => to.raw(&[letter, b':']),
                    _ => to.raw(prefix.as_os_str().as_encoded_bytes()),
                },
                _ if is_apart => to.raw(component.as_os_str().as_encoded_bytes()),
                _ => {
                    to.raw(b"/");
                    to.raw(component.as_os_str().as_encoded_bytes());
                }
            }
            is_apart = matches!(component, Component::RootDir | Component::Prefix(_));
        }
        to.fill(at, to.since(at));
    }
}

impl Key for PathBuf {
    fn encode(&self, to: &mut KeyEncoder) {
        self.as_path().encode(to);
    }
}

impl Key for Duration {
    fn encode(&self, to: &mut KeyEncoder) {
        seconds(tag::DURATION, self.as_secs().into(), self.subsec_nanos(), to);
    }
}

impl Key for SystemTime {
    fn encode(&self, to: &mut KeyEncoder) {
        let (whole, nanoseconds) = time::since_1970(*self);
        seconds(tag::TIME, whole, nanoseconds, to);
    }
}

fn seconds(tag: u8, whole: i128, nanoseconds: u32, to: &mut KeyEncoder) {
    to.open(tag);
    to.child(&whole);
    to.varint(nanoseconds.into());
}

impl Key for Ipv4Addr {
    fn encode(&self, to: &mut KeyEncoder) {
        to.framed(tag::IP, &self.octets());
    }
}

impl Key for Ipv6Addr {
    fn encode(&self, to: &mut KeyEncoder) {
        to.framed(tag::IP, &self.octets());
    }
}

impl Key for IpAddr {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            IpAddr::V4(address) => address.encode(to),
            IpAddr::V6(address) => address.encode(to),
        }
    }
}

/// The tuple `(address, port)`.
impl Key for SocketAddrV4 {
    fn encode(&self, to: &mut KeyEncoder) {
        (self.ip(), self.port()).encode(to);
    }
}

/// The tuple `(address, port, flow, scope)`.
impl Key for SocketAddrV6 {
    fn encode(&self, to: &mut KeyEncoder) {
        (self.ip(), self.port(), self.flowinfo(), self.scope_id()).encode(to);
    }
}

impl Key for SocketAddr {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            SocketAddr::V4(address) => address.encode(to),
            SocketAddr::V6(address) => address.encode(to),
        }
    }
}
