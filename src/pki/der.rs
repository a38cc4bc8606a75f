//! Whether bytes are DER, which has one form for each value (X.690). The library that reads certificates looks at the
//! number of a tag, but for most not at its class, and takes BER's other forms: what one program reads as a constraint or
//! an extension, another one would pass over.

use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};

/// Objects in each other; a certificate has ten at most.
pub(super) const DEPTH: usize = 20;

/// Objects, one after another.
pub(super) fn objects(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut left = der;
    let mut objects = Vec::new();
    while !left.is_empty() {
        let (after, object) = Any::from_der(left).ok()?;
        if left.len() - after.len() - object.data.len() != header(object.data.len()) {
            return None;
        }
        objects.push(object);
        left = after;
    }
    Some(objects)
}

/// Bytes of tag and length before a value of so many bytes: a length has its shortest form. X.509 has no tags of more than
/// one byte.
fn header(length: usize) -> usize {
    let bytes = (usize::BITS - length.leading_zeros()).div_ceil(8) as usize;
    if length < 0x80 { 2 } else { 2 + bytes }
}

/// The objects in the first object, which is all there is.
pub(super) fn parts(der: &[u8]) -> Option<Vec<Any<'_>>> {
    match objects(der)?.as_slice() {
        [outer] => objects(outer.data),
        _ => None,
    }
}

/// True if all objects are DER, and what is in them. `names` says that there may be objects of types that only their place
/// tells.
pub(super) fn is_regular(der: &[u8], names: bool) -> bool {
    objects(der).is_some_and(|all| all.iter().all(|object| is_regular_one(object, names, DEPTH)))
}

/// The same of one object.
pub(super) fn is_regular_one(object: &Any<'_>, names: bool, depth: usize) -> bool {
    let is_constructed = object.header.is_constructed();
    let fits = match object.class() {
        Class::Universal => {
            is_constructed == matches!(object.tag(), Tag::Sequence | Tag::Set) && has_form(object)
        }
        Class::ContextSpecific => names,
        Class::Application | Class::Private => false,
    };
    if !fits || !is_constructed {
        return fits;
    }
    let inside = objects(object.data).filter(|_| depth > 0);
    inside.is_some_and(|all| all.iter().all(|object| is_regular_one(object, names, depth - 1)))
}

/// True if a value has the one form that DER has for it.
fn has_form(object: &Any<'_>) -> bool {
    let data = object.data;
    match object.tag() {
        Tag::Boolean => matches!(data, [0 | 0xff]),
        Tag::Null => data.is_empty(),
        // As short as can be.
        Tag::Integer => !matches!(data, [] | [0, 0..0x80, ..] | [0xff, 0x80..=0xff, ..]),
        Tag::BitString => match data {
            [0] => true,
            [unused @ 0..8, .., last] => last.trailing_zeros() >= u32::from(*unused),
            _ => false,
        },
        Tag::Oid => {
            let mut numbers = data.split_inclusive(|byte| byte & 0x80 == 0);
            !data.is_empty() && numbers.all(is_number)
        }
        Tag::UtcTime => {
            let digits = data.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let zone = data.get(digits..).unwrap_or_default();
            let is_zone = match zone {
                b"Z" => true,
                [b'+' | b'-', zone @ ..] => {
                    zone.len() == 4 && zone.iter().all(u8::is_ascii_digit) && zone != b"0000"
                }
                _ => false,
            };
            matches!(digits, 10 | 12) && is_zone
        }
        Tag::GeneralizedTime => {
            data.len() == 15 && data.ends_with(b"Z") && data.iter().take(14).all(u8::is_ascii_digit)
        }
        _ => true,
    }
}

/// True for a number of an identifier in as few bytes as it takes, which is less than 2^31: others are refused by Go.
fn is_number(number: &[u8]) -> bool {
    match number {
        [] | [0x80, ..] | [0x88..=0xff, _, _, _, _] => false,
        [.., last] => number.len() <= 5 && last & 0x80 == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_form() {
        for good in [
            &b"\x01\x01\xff"[..],
            b"\x02\x02\x00\x80",
            b"\x02\x01\x80",
            b"\x03\x02\x07\x80",
            b"\x03\x01\x00",
            b"\x05\x00",
            b"\x06\x03\x55\x1d\x11",
            b"\x06\x02\x81\x00",
            b"\x06\x06\x55\x87\xff\xff\xff\x7f",
            b"\x17\x0d260101000000Z",
            b"\x18\x0f20260101000000Z",
            b"\x30\x05\x31\x03\x0c\x01a",
        ] {
            assert!(is_regular(good, false), "{good:x?}");
        }
        for other in [
            &b"\x01\x01\x01"[..],
            b"\x02\x00",
            b"\x02\x02\x00\x7f",
            b"\x02\x02\xff\x80",
            b"\x03\x02\x07\xc0",
            b"\x03\x02\x08\x00",
            b"\x03\x00",
            b"\x05\x01\x00",
            b"\x06\x03\x55\x80\x11",
            b"\x06\x01\x80",
            b"\x06\x00",
            b"\x06\x06\x55\x88\x80\x80\x80\x00",
            b"\x06\x07\x55\x81\x80\x80\x80\x80\x00",
            b"\x17\x0d260101000000+",
            b"\x17\x11260101000000+0000",
            b"\x18\x1120260101000000.5Z",
            b"\x10\x00",
            b"\x2c\x03\x0c\x01a",
            b"\x42\x01\x00",
            b"\x30\x03\x82\x01a",
            b"\x30\x02\x0c",
        ] {
            assert!(!is_regular(other, false), "{other:x?}");
        }
        for forms in [&b"\x02\x81\x01\x05"[..], b"\x1f\x02\x01\x05", b"\x30\x82\x00\x03\x02\x01\x05"] {
            assert!(!is_regular(forms, false), "{forms:x?}");
        }
        let long = |head: &[u8]| [head, &[0; 200]].concat();
        assert!(is_regular(&long(b"\x04\x81\xc8"), false) && !is_regular(&long(b"\x04\x82\x00\xc8"), false));
        assert!(is_regular(b"\x30\x03\x82\x01a", true) && !is_regular(b"\x30\x03\xa2\x01a", true));
        let deep = (0..30).fold(Vec::new(), |inside, _| [&[0x30, inside.len() as u8][..], &inside].concat());
        assert!(!is_regular(&deep, false));
    }
}
