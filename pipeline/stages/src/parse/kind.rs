use std::str::FromStr;

/// What the bytes of a document are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Pdf,
    Docx,
    Pptx,
    Xlsx,
    Odt,
    Epub,
    Html,
    Markdown,
    Text,
    Csv,
    Json,
    JsonLines,
    Eml,
}

const NAMES: [(Kind, &str); 13] = [
    (Kind::Pdf, "pdf"),
    (Kind::Docx, "docx"),
    (Kind::Pptx, "pptx"),
    (Kind::Xlsx, "xlsx"),
    (Kind::Odt, "odt"),
    (Kind::Epub, "epub"),
    (Kind::Html, "html"),
    (Kind::Markdown, "md"),
    (Kind::Text, "txt"),
    (Kind::Csv, "csv"),
    (Kind::Json, "json"),
    (Kind::JsonLines, "jsonl"),
    (Kind::Eml, "eml"),
];

impl Kind {
    /// The name that travels in records.
    pub fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("txt", |(_, name)| name)
    }

    /// Every line, or row, can be read without what stands before it: such a file may be cut at line ends.
    pub fn can_be_cut_at_lines(self) -> bool {
        matches!(
            self,
            Self::Markdown | Self::Text | Self::Csv | Self::JsonLines
        )
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| format!("unknown kind of document {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (kind, name) in NAMES {
            assert_eq!(kind.as_str(), name);
            assert_eq!(name.parse::<Kind>(), Ok(kind));
        }
        assert!("exe".parse::<Kind>().is_err());
    }
}
