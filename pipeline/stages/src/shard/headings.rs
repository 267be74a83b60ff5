//! Markdown headings, and which of them stand above a place in the text.

/// A heading longer than this is a paragraph that somebody marked as one.
const LONGEST: usize = 200;

struct Heading {
    start: usize,
    end: usize,
    level: usize,
    title: String,
}

/// The headings of a text, asked for at ascending places.
pub struct Headings {
    all: Vec<Heading>,
    next: usize,
    /// Level and title of what is open, outermost first.
    open: Vec<(usize, String)>,
}

impl Headings {
    /// Finds ATX headings (`# …` to `###### …`) outside fenced code.
    pub fn of(text: &str) -> Self {
        let mut all = Vec::new();
        let mut fence: Option<(char, usize)> = None;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let end = start + line.len();
            let bare = line.trim_start_matches(' ');
            // Four spaces make it code.
            if line.len() - bare.len() < 4 {
                match (fence, fence_of(bare)) {
                    (None, Some(opened)) => fence = Some(opened),
                    (Some((mark, length)), Some((other, longer)))
                        if mark == other
                            && longer >= length
                            && bare.trim_end().chars().all(|c| c == mark) =>
                    {
                        fence = None;
                    }
                    (None, None) => {
                        if let Some((level, title)) = heading_of(bare) {
                            all.push(Heading {
                                start,
                                end,
                                level,
                                title,
                            });
                        }
                    }
                    _ => {}
                }
            }
            start = end;
        }
        Self {
            all,
            next: 0,
            open: Vec::new(),
        }
    }

    /// Headings above what stands at byte `place`, outermost first. Those that `place` itself begins with count: they
    /// stand above the text that follows them. Places must not descend.
    pub fn path_at(&mut self, text: &str, place: usize) -> Vec<String> {
        let mut open = self.open.clone();
        let mut next = self.next;
        let mut body = place;
        while let Some(heading) = self.all.get(next) {
            if heading.start > body {
                break;
            }
            open.retain(|(level, _)| *level < heading.level);
            open.push((heading.level, heading.title.clone()));
            next += 1;
            // What lies before `place` is above the next place too; the rest may be found there again.
            if heading.start < place {
                self.open.clone_from(&open);
                self.next = next;
            }
            if heading.end > body {
                let after = text.get(heading.end..).unwrap_or_default();
                body = heading.end + (after.len() - after.trim_start().len());
            }
        }
        open.into_iter().map(|(_, title)| title).collect()
    }
}

/// The mark and length of a code fence.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    // A line with more of them later is inline code.
    let rest = line.trim_start_matches(mark);
    (length >= 3 && !(mark == '`' && rest.contains('`'))).then_some((mark, length))
}

/// Level and text of an ATX heading.
fn heading_of(line: &str) -> Option<(usize, String)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    if !(1..=6).contains(&level) || !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim();
    let closed = rest.trim_end_matches('#');
    let rest = if closed.is_empty() || closed.ends_with([' ', '\t']) {
        closed.trim_end()
    } else {
        rest
    };
    let title = rest.replace("**", "").replace("__", "").replace('`', "");
    let title: String = title.trim().chars().take(LONGEST).collect();
    (!title.is_empty()).then_some((level, title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_headings() {
        let text = "intro\n\n# A\n\na text\n\n## B **bold** ##\n\nb text\n\n```sh\n# not a heading\n```\n\ncode over\n\n### C\n### D\nd text\n\n# E\n";
        let mut headings = Headings::of(text);
        let mut check = |at: &str, expect: &[&str]| {
            let place = text.find(at).unwrap();
            assert_eq!(headings.path_at(text, place), expect, "at {at:?}");
        };
        check("intro", &[]);
        check("# A", &["A"]);
        check("a text", &["A"]);
        check("## B", &["A", "B bold"]);
        check("b text", &["A", "B bold"]);
        check("# not", &["A", "B bold"]);
        check("code over", &["A", "B bold"]);
        check("### C", &["A", "B bold", "D"]);
        check("### D", &["A", "B bold", "D"]);
        check("d text", &["A", "B bold", "D"]);
        check("# E", &["E"]);
    }

    #[test]
    fn only_headings_are_headings() {
        fn check(line: &str, expect: Option<(usize, &str)>) {
            let found = heading_of(line);
            let found = found
                .as_ref()
                .map(|(level, title)| (*level, title.as_str()));
            assert_eq!(found, expect, "{line:?}");
        }
        check("# One", Some((1, "One")));
        check("###### Six ######", Some((6, "Six")));
        check("# C#", Some((1, "C#")));
        check("####### seven", None);
        check("#tag", None);
        check("#", None);
        check("# ", None);
        check("# `code`", Some((1, "code")));
        check("no", None);
    }
}
