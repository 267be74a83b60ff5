//! Dead letters as a tool: look at them, mend them, put them back, skip what cannot be worked.

mod edit;
mod fate;
mod filter;
mod history;
mod letter;
mod list;
mod records;
mod redrive;
mod show;
mod skip;
mod time;

use std::sync::Arc;

use penstock_adapters::kafka::fold_topic;
use penstock_runtime::Failure;
use uuid::Uuid;

pub(crate) use fate::read_entries;
pub use history::{History, actor, audited};
pub use letter::{Letter, Place, document_of};
pub(crate) use list::line;
pub use list::{Group, Listed};
pub use redrive::{Outcome, Redriven, Row};
pub use show::Shown;
pub use skip::Skipped;
pub use time::{moment, shown, span};

use crate::cli::{DeadLettersCommand, LetterFilter};
use crate::config::Config;
use crate::session::Session;
use crate::system::{Folder, Log};
use filter::Filter;

/// Runs one of the commands; the exit code.
pub async fn run(config: &Config, command: &DeadLettersCommand, json: bool) -> Result<u8, Failure> {
    let desk = Desk::open(config).await?;
    let outcome = match command {
        DeadLettersCommand::List(args) => list::list(&desk, args, json).await,
        DeadLettersCommand::Show(at) => show::show(&desk, at, json).await,
        DeadLettersCommand::Redrive(args) => redrive::redrive(&desk, args, json).await,
        DeadLettersCommand::Skip(args) => skip::skip(config, &desk, args, json).await,
    };
    desk.close().await;
    outcome
}

/// The log, and who else is at it.
pub(crate) enum Desk {
    /// A cluster: anybody may be at it.
    Cluster(Log),
    /// The data folder is ours for as long as this lasts, so no stage runs.
    Ours(Log, Folder),
    /// Another process owns the data folder, and its stages may be running.
    Beside(Arc<Log>),
}

impl Desk {
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        if !config.is_embedded() {
            return Log::of_cluster(config).await.map(Self::Cluster);
        }
        match Session::open(config)? {
            Session::Network(_) => Log::of_cluster(config).await.map(Self::Cluster),
            Session::Owner(folder) => {
                let log = Log::open(config, folder.path()).await?;
                Ok(Self::Ours(log, folder))
            }
            Session::Beside(beside) => beside.log().await.map(Self::Beside),
        }
    }

    pub fn log(&self) -> &Log {
        match self {
            Self::Cluster(log) | Self::Ours(log, _) => log,
            Self::Beside(log) => log,
        }
    }

    pub async fn close(self) {
        match self {
            Self::Cluster(log) => log.close().await,
            Self::Ours(log, folder) => {
                log.close().await;
                drop(folder);
            }
            Self::Beside(_) => {}
        }
    }
}

/// Every letter of a document, those that were put back among them, oldest first.
pub async fn letters_of(log: &Log, document: Uuid) -> Result<Vec<Letter>, Failure> {
    let args = LetterFilter {
        document: Some(document),
        ..LetterFilter::default()
    };
    letters(log, &Filter::new(&args, None)?, &History::read(log).await?).await
}

/// The letters that pass, oldest first, each with whether it was put back.
async fn letters(log: &Log, filter: &Filter, history: &History) -> Result<Vec<Letter>, Failure> {
    let mut letters = Vec::new();
    for topic in filter.topics() {
        let which = filter.place().map(|place| [place.partition]);
        let which = which.as_ref().map(<[i32; 1]>::as_slice);
        fold_topic(&log.kafka, topic, which, |record| {
            let letter = Letter::of(&record);
            if filter.passes(&letter) {
                letters.push(letter);
            }
            Ok(())
        })
        .await?;
    }
    for letter in &mut letters {
        letter.put_back = history.put_back(&letter.place).map(|it| it.at.clone());
    }
    letters.sort_by(|a, b| (a.died_at, &a.place).cmp(&(b.died_at, &b.place)));
    Ok(letters)
}
