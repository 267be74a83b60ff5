//! Keys as paths. A key may hold any text, a path only plain letters: a byte that is not plain is written as `=` and two
//! hex digits, so that every key has a file of its own, below the store's folder, and can be read back from it.

use object_store::path::Path;
use penstock_runtime::Failure;

/// File systems take 255 bytes; some room is left for the suffix of a file being written.
const LONGEST: usize = 240;

/// Where the object is. A key that has no place is Poison: the record names it.
pub(super) fn path(key: &str) -> Result<Path, Failure> {
    let segments: Vec<String> = key.split('/').map(encode).collect();
    if let Some(long) = segments.iter().find(|segment| segment.len() > LONGEST) {
        return Err(Failure::poison(format!(
            "object key with a part of {} bytes, at most {LONGEST} fit a file name: {:.60}…",
            long.len(),
            long
        )));
    }
    Path::parse(segments.join("/"))
        .map_err(|error| Failure::poison(format!("object key {key:.200}: {error}")))
}

/// The key of an object; none where it is not one of ours.
pub(super) fn key(path: &Path) -> Option<String> {
    let segments: Option<Vec<String>> = path.as_ref().split('/').map(decode).collect();
    let key = segments?.join("/");
    // Somebody else's name may look like one of ours, and not be the one we would give.
    self::path(&key).is_ok_and(|it| it == *path).then_some(key)
}

/// Whether the last part of the key is a SHA-256 in hex.
pub(super) fn is_content_addressed(key: &str) -> bool {
    let last = key.rsplit('/').next().unwrap_or(key);
    last.len() == 64
        && last
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for (index, byte) in segment.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            // Not at the front: no hidden files, and neither `.` nor `..`.
            b'.' if index > 0 => out.push('.'),
            _ => out.push_str(&format!("={byte:02X}")),
        }
    }
    // A path has no empty parts.
    if out.is_empty() {
        out.push('=');
    }
    out
}

fn decode(segment: &str) -> Option<String> {
    if segment == "=" {
        return Some(String::new());
    }
    let mut out = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'=' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_paths() {
        let check = |given: &str, expect: &str| {
            let path = path(given).unwrap();
            assert_eq!(path.as_ref(), expect);
            assert_eq!(key(&path).as_deref(), Some(given));
        };
        check("default/0191-x/ab12", "default/0191-x/ab12");
        check("a group/ü", "a=20group/=C3=BC");
        check("../../etc/passwd", "=2E./=2E./etc/passwd");
        check(".hidden/a.b", "=2Ehidden/a.b");
        check("/absolute//twice", "=/absolute/=/twice");
        check("C:\\x=1%20#2\n", "C=3A=5Cx=3D1=2520=232=0A");
        check(&"x".repeat(LONGEST), &"x".repeat(LONGEST));
    }

    #[test]
    fn no_two_keys_share_a_path() {
        let keys = ["a b", "a=20b", "a%20b", "A B", "a/b", "a=2Fb", "", "="];
        for (index, one) in keys.iter().enumerate() {
            for other in keys.iter().skip(index + 1) {
                assert_ne!(path(one).unwrap(), path(other).unwrap(), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_key_without_a_place_is_poison() {
        let failure = path(&"ü".repeat(200)).unwrap_err();
        assert_eq!(failure.class(), "poison");
        assert!(failure.reason().contains("1200 bytes"), "{failure}");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for foreign in ["a=", "a=2", "a=zz", "a=FF", "a b", "a=61"] {
            assert_eq!(key(&Path::from(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn digests() {
        let check =
            |key: &str, expect: bool| assert_eq!(is_content_addressed(key), expect, "{key}");
        check(&format!("g/d/{}", "0af3".repeat(16)), true);
        check(&format!("g/d/{}", "0AF3".repeat(16)), false);
        check(&format!("g/d/{}.json", "0af3".repeat(16)), false);
        check("g/d/manifest.json", false);
    }
}
