use serde::{Deserialize, Serialize};

/// Why nobody will read an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    UnknownDocument,
    DeletedDocument,
    NeverSent,
    Superseded,
    Unnamed,
    UnfinishedUpload,
}

impl Why {
    /// For a person.
    pub fn says(self) -> &'static str {
        match self {
            Self::UnknownDocument => "no record is of its document",
            Self::DeletedDocument => "its document was deleted",
            Self::NeverSent => {
                "no record is of its version: whoever wrote it did not come to send it"
            }
            Self::Superseded => "a newer version of its document is known",
            Self::Unnamed => "no record names it any more",
            Self::UnfinishedUpload => "it was never written to its end",
        }
    }
}
