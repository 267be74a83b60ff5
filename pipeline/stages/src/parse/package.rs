//! Documents that are zip archives of XML. What is inflated is counted while it comes out: the archive's own directory
//! is not to be trusted.

use std::fmt::Display;
use std::io::{self, BufReader, Cursor, Read, Seek};

use penstock_runtime::Failure;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::result::ZipError;

use super::limits::Budget;

pub fn damaged(what: &str, error: impl Display) -> Failure {
    Failure::poison(format!("damaged {what}: {error}"))
}

/// The first `most` bytes of a member; none where there is no such member or it cannot be read.
pub fn first_bytes<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    most: u64,
) -> Option<Vec<u8>> {
    let member = archive.by_name(name).ok()?;
    let mut bytes = Vec::new();
    member.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What a walk over XML meets. Names are without their prefix.
pub enum Node<'e> {
    Start(&'e str, &'e BytesStart<'e>),
    End(&'e str),
    Text(&'e str),
}

pub struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    budget: &'a Budget,
    size: u64,
}

impl<'a> Package<'a> {
    pub fn open(bytes: &'a [u8], budget: &'a Budget) -> Result<Self, Failure> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged("zip", e))?;
        budget.limits.entries(archive.len())?;
        Ok(Self {
            archive,
            budget,
            size: bytes.len() as u64,
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.archive.index_for_name(name).is_some()
    }

    /// Names of all members, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .archive
            .file_names_raw()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// All of a member; none where there is no such member.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let budget = self.budget;
        let Some(mut member) = self.member(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        member
            .read_to_end(&mut bytes)
            .map_err(|e| budget.take_breach().unwrap_or_else(|| damaged(name, e)))?;
        Ok(Some(bytes))
    }

    /// Inflates every member once, keeping nothing, for libraries that read archives by themselves.
    pub fn measure(&mut self) -> Result<(), Failure> {
        let budget = self.budget;
        for name in self.names() {
            budget.check()?;
            if let Some(mut member) = self.member(&name)? {
                io::copy(&mut member, &mut io::sink())
                    .map_err(|e| budget.take_breach().unwrap_or_else(|| damaged(&name, e)))?;
            }
        }
        Ok(())
    }

    /// Calls `visit` for each element and text of an XML member, in order; false where there is no such member.
    pub fn walk(
        &mut self,
        name: &str,
        mut visit: impl FnMut(Node<'_>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let budget = self.budget;
        let Some(member) = self.member(name)? else {
            return Ok(false);
        };
        let mut reader = Reader::from_reader(BufReader::new(member));
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_dangling_amp = true;
        let mut buffer = Vec::new();
        let mut depth = 0_usize;
        let mut events = 0_u64;
        loop {
            buffer.clear();
            events += 1;
            if events.is_multiple_of(4096) {
                budget.check()?;
            }
            let event = reader
                .read_event_into(&mut buffer)
                .map_err(|e| budget.take_breach().unwrap_or_else(|| damaged(name, e)))?;
            match event {
                Event::Start(element) => {
                    depth += 1;
                    budget.limits.depth(depth)?;
                    visit(Node::Start(element.local_name().as_ref(), &element))?;
                }
                Event::Empty(element) => {
                    visit(Node::Start(element.local_name().as_ref(), &element))?;
                    visit(Node::End(element.local_name().as_ref()))?;
                }
                Event::End(element) => {
                    depth = depth.saturating_sub(1);
                    visit(Node::End(element.local_name().as_ref()))?;
                }
                Event::Text(text) => visit(Node::Text(&text))?,
                Event::CData(text) => visit(Node::Text(&text))?,
                Event::GeneralRef(reference) => {
                    let mut utf8 = [0; 4];
                    let resolved = match &*reference {
                        "amp" => "&",
                        "lt" => "<",
                        "gt" => ">",
                        "quot" => "\"",
                        "apos" => "'",
                        // Entities that a document declares itself are not expanded: that is how XML bombs work.
                        _ => match reference.resolve_char_ref() {
                            Ok(Some(c)) => c.encode_utf8(&mut utf8),
                            _ => "",
                        },
                    };
                    visit(Node::Text(resolved))?;
                }
                Event::Eof => return Ok(true),
                _ => {}
            }
        }
    }

    fn member(&mut self, name: &str) -> Result<Option<impl Read + '_>, Failure> {
        match self.archive.by_name(name) {
            Ok(inner) => Ok(Some(Counted {
                inner,
                budget: self.budget,
                archive: self.size,
            })),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(ZipError::InvalidPassword) => Err(encrypted()),
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => Err(encrypted()),
            Err(error) => Err(damaged(name, error)),
        }
    }
}

fn encrypted() -> Failure {
    Failure::poison("encrypted: save the document without a password")
}

/// Counts what comes out against the budget.
struct Counted<'b, R> {
    inner: R,
    budget: &'b Budget,
    archive: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.budget.inflate(count as u64, self.archive) {
            Ok(()) => Ok(count),
            Err(failure) => {
                self.budget.set_breach(failure);
                Err(io::Error::other("above a limit"))
            }
        }
    }
}

/// The value of the attribute with this local name.
pub fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().as_ref() == name)
        .and_then(|attribute| {
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
            value.ok().map(|value| value.into_owned())
        })
}
