//! Where a key stands in a YAML file.

/// Line, from 1, of the entry at `path` (keys from the outermost in) of a file written in blocks. Where a key is not
/// there, or stands in a flow of braces, the line of the nearest one around it.
pub(super) fn line_of(yaml: &str, path: &[String]) -> usize {
    let mut keys = path.iter();
    let mut wanted = keys.next();
    let mut line = 1;
    // Indent of the entry found last, and of the entries below it once the first of them is seen.
    let (mut around, mut inside) = (None, None);
    for (number, text) in (1..).zip(yaml.lines()) {
        let Some(key) = key_of(text) else { continue };
        let indent = text.len() - text.trim_start().len();
        if around.is_some_and(|around| indent <= around) {
            break;
        }
        let level = *inside.get_or_insert(indent);
        if indent == level && wanted.is_some_and(|wanted| wanted == key) {
            line = number;
            wanted = keys.next();
            (around, inside) = (Some(indent), None);
        }
    }
    line
}

/// The key an entry begins with, without quotes.
fn key_of(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.starts_with(['#', '-']) {
        return None;
    }
    let (key, rest) = text.split_once(':')?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    Some(key.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_at_its_own_depth() {
        let yaml = "# size: 1\nname: a\n\nouter:\n  other:\n    size: 2\n  \"quoted.key\":\n    size: 3\nsize: 4\n";
        let check = |path: &[&str], expect: usize| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(line_of(yaml, &path), expect, "{path:?}");
        };
        check(&["name"], 2);
        check(&["size"], 9);
        check(&["outer", "other", "size"], 6);
        check(&["outer", "quoted.key", "size"], 8);
        check(&["outer", "other", "gone"], 5);
        check(&["outer", "gone"], 4);
        check(&["gone"], 1);
        check(&[], 1);
    }
}
