//! A file of Cypher as statements.

use penstock_runtime::Failure;

/// The comment that stands before a statement which only the enterprise edition understands.
const ENTERPRISE_ONLY: &str = "enterprise-only";

/// One statement of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Where it begins in its file, from 1.
    pub line: usize,
    /// Without the semicolon, and without comments around it.
    pub text: String,
    /// Skipped on the community edition.
    pub enterprise_only: bool,
}

impl Statement {
    /// What it makes: the name of a constraint or index.
    pub fn makes(&self) -> Option<&str> {
        self.schema_name("CREATE")
    }

    /// What it drops.
    pub fn drops(&self) -> Option<&str> {
        self.schema_name("DROP")
    }

    /// `VERB [kind] INDEX name` or `VERB CONSTRAINT name`.
    fn schema_name(&self, verb: &str) -> Option<&str> {
        let mut words = self.text.split_whitespace();
        if !words.next()?.eq_ignore_ascii_case(verb) {
            return None;
        }
        let is_noun = |word: &&str| ["INDEX", "CONSTRAINT"].contains(&&*word.to_uppercase());
        words.by_ref().take(2).find(is_noun)?;
        let name = words.next()?;
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_plain && !name.eq_ignore_ascii_case("IF")).then_some(name)
    }

    /// Refuses what cannot be run twice or cannot be undone: a migration that was broken off is run again from its start.
    fn check(&self) -> Result<(), &'static str> {
        let words: Vec<String> = self
            .text
            .split_whitespace()
            .map(str::to_uppercase)
            .collect();
        let says = |wanted: &[&str]| words.windows(wanted.len()).any(|it| it == wanted);
        match words.first().map(String::as_str) {
            Some("CREATE")
                if !words
                    .iter()
                    .skip(1)
                    .take(2)
                    .any(|it| it == "INDEX" || it == "CONSTRAINT") =>
            {
                Err("CREATE makes it once more when the migration is run again: use MERGE")
            }
            Some("CREATE") if self.makes().is_none() => {
                Err("has no plain name (a-z, 0-9, _): undo could not drop it")
            }
            Some("CREATE") if !says(&["IF", "NOT", "EXISTS"]) => {
                Err("needs IF NOT EXISTS: a migration that was broken off is run again")
            }
            Some("DROP") if self.drops().is_none() => {
                Err("DROP is of an index or a constraint, by its plain name")
            }
            Some("DROP") if !says(&["IF", "EXISTS"]) => {
                Err("needs IF EXISTS: a migration that was broken off is run again")
            }
            Some(
                "CREATE" | "DROP" | "MATCH" | "OPTIONAL" | "MERGE" | "UNWIND" | "CALL" | "WITH",
            ) => Ok(()),
            _ => Err(
                "is no statement of a migration: it begins with CREATE, DROP, MATCH, MERGE, UNWIND, WITH or CALL",
            ),
        }
    }
}

/// The statements of `text`, each ended by a semicolon. Semicolons in strings, quoted names and comments end nothing.
/// Refusals name `file`, line and reason.
pub fn split(file: &str, text: &str) -> Result<Vec<Statement>, Failure> {
    let refused =
        |line: usize, reason: &str| Failure::fatal(format!("{file} line {line}: {reason}"));
    let statements = Scanner::new(text)
        .run()
        .map_err(|(line, reason)| refused(line, reason))?;
    if statements.is_empty() {
        return Err(refused(1, "holds no statement"));
    }
    for statement in &statements {
        statement
            .check()
            .map_err(|reason| refused(statement.line, reason))?;
    }
    Ok(statements)
}

/// What the scanner is in the midst of, and where it began.
#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    /// A string, or a name in backticks.
    Quotes {
        quote: char,
        line: usize,
    },
    LineComment {
        start: usize,
    },
    BlockComment {
        line: usize,
    },
}

/// Line and reason.
type Wrong = (usize, &'static str);

struct Scanner<'a> {
    text: &'a str,
    inside: Inside,
    line: usize,
    /// Line and byte of the statement begun.
    begun: Option<(usize, usize)>,
    /// Line of a marker whose statement is still to come.
    marked: Option<usize>,
    statements: Vec<Statement>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            inside: Inside::Nothing,
            line: 1,
            begun: None,
            marked: None,
            statements: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Vec<Statement>, Wrong> {
        let mut chars = self.text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let mut took_next = false;
            match self.inside {
                Inside::Nothing => took_next = self.open(at, c, next)?,
                // Backticks know no escape; a doubled one ends a name and begins it again.
                Inside::Quotes { quote, .. } if c == '\\' && quote != '`' => took_next = true,
                Inside::Quotes { quote, .. } if c == quote => self.inside = Inside::Nothing,
                Inside::LineComment { start } if c == '\n' => self.end_comment(start, at)?,
                Inside::BlockComment { .. } if c == '*' && next == Some('/') => {
                    self.inside = Inside::Nothing;
                    took_next = true;
                }
                Inside::Quotes { .. }
                | Inside::LineComment { .. }
                | Inside::BlockComment { .. } => {}
            }
            if c == '\n' {
                self.line += 1;
            }
            if took_next && chars.next().is_some_and(|(_, next)| next == '\n') {
                self.line += 1;
            }
        }
        self.end()
    }

    /// A character outside of strings and comments; true where it belongs together with the next.
    fn open(&mut self, at: usize, c: char, next: Option<char>) -> Result<bool, Wrong> {
        match c {
            '/' if next == Some('/') => {
                self.inside = Inside::LineComment { start: at + 2 };
                return Ok(true);
            }
            '/' if next == Some('*') => {
                self.inside = Inside::BlockComment { line: self.line };
                return Ok(true);
            }
            ';' => {
                let Some((line, start)) = self.begun.take() else {
                    return Err((self.line, "a semicolon without a statement"));
                };
                self.statements.push(Statement {
                    line,
                    text: self.text[start..at].trim_end().to_owned(),
                    enterprise_only: self.marked.take().is_some(),
                });
                return Ok(false);
            }
            c if c.is_whitespace() => return Ok(false),
            '\'' | '"' | '`' => {
                self.inside = Inside::Quotes {
                    quote: c,
                    line: self.line,
                };
            }
            _ => {}
        }
        self.begun.get_or_insert((self.line, at));
        Ok(false)
    }

    fn end_comment(&mut self, start: usize, end: usize) -> Result<(), Wrong> {
        self.inside = Inside::Nothing;
        if self.text[start..end].trim() != ENTERPRISE_ONLY {
            return Ok(());
        }
        if self.begun.is_some() {
            return Err((
                self.line,
                "enterprise-only stands before its statement, not in it",
            ));
        }
        self.marked = Some(self.line);
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Statement>, Wrong> {
        match self.inside {
            Inside::Quotes { quote: '`', line } => {
                return Err((line, "a name in backticks is not ended"));
            }
            Inside::Quotes { line, .. } => return Err((line, "a string is not ended")),
            Inside::BlockComment { line } => return Err((line, "a comment is not ended by */")),
            Inside::LineComment { start } => self.end_comment(start, self.text.len())?,
            Inside::Nothing => {}
        }
        if let Some((line, _)) = self.begun {
            return Err((line, "the statement is not ended by a semicolon"));
        }
        match self.marked {
            Some(line) => Err((line, "enterprise-only stands before no statement")),
            None => Ok(self.statements),
        }
    }
}
