use tokio::sync::mpsc;

/// Objects whose readers get no answer, but are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snare {
    /// This one.
    Key(String),
    /// All below a prefix, but for one.
    Below { prefix: String, but: String },
}

impl Snare {
    fn holds(&self, key: &str) -> bool {
        match self {
            Self::Key(snared) => key == snared,
            Self::Below { prefix, but } => key.starts_with(prefix) && key != but,
        }
    }
}

/// Somebody asked for an object that is snared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snared {
    /// What stands behind `ACCESS_KEY` and a dot in the reader's own.
    pub reader: String,
    pub key: String,
}

/// Those that are set, and whom each tells.
#[derive(Default)]
pub(super) struct Snares(Vec<(Snare, mpsc::UnboundedSender<Snared>)>);

impl Snares {
    pub fn set(&mut self, snare: Snare) -> mpsc::UnboundedReceiver<Snared> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.push((snare, sender));
        receiver
    }

    /// Whether the object is snared; then somebody is told of the reader.
    pub fn hold(&mut self, key: &str, reader: &str) -> bool {
        self.0.retain(|(_, told)| !told.is_closed());
        let Some((_, told)) = self.0.iter().find(|(snare, _)| snare.holds(key)) else {
            return false;
        };
        let snared = Snared {
            reader: reader.to_owned(),
            key: key.to_owned(),
        };
        told.send(snared).is_ok()
    }
}
