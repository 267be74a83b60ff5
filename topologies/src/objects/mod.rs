//! Objects that no record names: ingest died between writing bytes and sending their record, an upload broke off, a
//! document came and went. settle collects what its ledger lets it see; this looks at all there is.

mod collect;
mod named;
mod whose;
mod why;

use std::time::Duration;

use penstock_adapters::kafka::KafkaSink;
use penstock_adapters::objects::Objects;
use penstock_runtime::Failure;
use penstock_stages::blobs::Blobs;
use serde::{Deserialize, Serialize};

pub use collect::{COLLECT, Collector, Kept, Orphan, Removal, Tally};
pub use named::{Heard, Named, naming};
pub use whose::{Whose, whose};
pub use why::Why;

use crate::cli::{CollectArgs, ObjectsCommand};
use crate::config::Config;
use crate::dead_letters::{Desk, actor};
use crate::shared::open_objects;
use crate::system::Log;

/// The age an object must have at least: long enough for whoever writes one to send its record, and for clocks that are
/// off by hours.
const LEAST: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of it, behind the orphans. Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Nothing was removed: this is what would be.
    pub dry_run: bool,
    pub older_than_seconds: u64,
    #[serde(flatten)]
    pub tally: Tally,
    /// Records that cannot be read and do not tell whose they are.
    pub unreadable_records: u64,
    /// Why it is not known which uploads were never finished; none where it is.
    pub uploads_untold: Option<String>,
}

/// The same with the orphans: all that `--json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    pub orphans: Vec<Orphan>,
    #[serde(flatten)]
    pub summary: Summary,
}

/// Runs one of the commands; the exit code.
pub async fn run(config: &Config, command: &ObjectsCommand, json: bool) -> Result<u8, Failure> {
    match command {
        ObjectsCommand::Collect(args) => {
            if args.older_than < LEAST {
                return Err(Failure::fatal(format!(
                    "--older-than: at least {} h: what is younger may be on its way into the log",
                    LEAST.as_secs() / 3600
                )));
            }
            let objects = open_objects(config)?;
            objects.check().await?;
            let desk = Desk::open(config).await?;
            let outcome = collect(desk.log(), &objects, args, json).await;
            desk.close().await;
            outcome
        }
    }
}

async fn collect(
    log: &Log,
    objects: &Objects,
    args: &CollectArgs,
    json: bool,
) -> Result<u8, Failure> {
    let printer = Printer { json };
    let (sink, actor) = (KafkaSink::new(&log.kafka)?, actor());
    // Names first, then objects: what is written meanwhile is young.
    let named = Named::read(log).await?;
    let now = objects.clock().await?;
    let age = i64::try_from(args.older_than.as_millis()).unwrap_or(i64::MAX);
    let mut collector = Collector {
        named: &named,
        now,
        before: now.saturating_sub(age),
        removal: None,
    };
    if !args.dry_run {
        if !args.even_if_most {
            belong_together(&collector.collect(objects, |_| ()).await?)?;
        }
        collector.removal = Some(Removal {
            sink: &sink,
            codec: &log.codec,
            actor: &actor,
        });
    }
    printer.begin();
    let mut told = 0;
    let mut tell = |orphan: &Orphan| {
        printer.orphan(orphan, told);
        told += 1;
    };
    let mut tally = collector.collect(objects, &mut tell).await?;
    let untold = collector
        .collect_unfinished(objects, &mut tally, &mut tell)
        .await?;
    printer.end(&Summary {
        dry_run: args.dry_run,
        older_than_seconds: args.older_than.as_secs(),
        tally,
        unreadable_records: named.nameless,
        uploads_untold: untold,
    });
    Ok(0)
}

/// What is removed is gone: of a store that belongs to another log this one would name nothing.
fn belong_together(tally: &Tally) -> Result<(), Failure> {
    let unknown = tally.of_unknown_documents;
    if unknown <= tally.kept.named {
        return Ok(());
    }
    Err(Failure::fatal(format!(
        "objects collect: records name {} objects, and {unknown} are of documents this log knows nothing of: do kafka.brokers \
         and objects.url belong together? Look with --dry-run; --even-if-most removes them",
        tally.kept.named
    )))
}

/// Prints orphans as they are found: there may be more of them than fit into memory.
struct Printer {
    json: bool,
}

impl Printer {
    fn begin(&self) {
        if self.json {
            println!("{{\n  \"orphans\": [");
        }
    }

    fn orphan(&self, orphan: &Orphan, before: u64) {
        if !self.json {
            print!("{}", orphan.line());
            return;
        }
        let comma = if before > 0 { "," } else { " " };
        // Our own types always serialise.
        let text = serde_json::to_string(orphan).unwrap_or_default();
        println!("   {comma}{text}");
    }

    fn end(&self, summary: &Summary) {
        if !self.json {
            print!("{}", summary.print());
            return;
        }
        let text = serde_json::to_string_pretty(summary).unwrap_or_default();
        println!("  ],{}", text.trim_start_matches('{'));
    }
}

impl Orphan {
    fn line(&self) -> String {
        const DAY: i64 = 24 * 60 * 60;
        let size = self.size.map_or("?".to_owned(), shown);
        let days = self.age_seconds / DAY;
        format!(
            "{size:>10}  {days:>4} d  {}  {}\n",
            self.key,
            self.why.says()
        )
    }
}

impl Summary {
    fn print(&self) -> String {
        let Tally {
            count, bytes, kept, ..
        } = &self.tally;
        let mut out = String::new();
        if self.unreadable_records > 0 {
            out.push_str(&format!(
                "{} records cannot be read and do not tell whose they are: what they name was not looked for\n",
                self.unreadable_records
            ));
        }
        if let Some(why) = &self.uploads_untold {
            out.push_str(&format!("unfinished uploads are not known: {why}\n"));
        }
        let (did, tail) = match self.dry_run {
            true => ("would be removed", "; a dry run: nothing was"),
            false => ("removed", ""),
        };
        out.push_str(&format!(
            "{count} objects {did}, {}; kept: {} that records name, {} younger than {} h, {} that are not ours{tail}\n",
            shown(*bytes),
            kept.named,
            kept.young,
            self.older_than_seconds / 3600,
            kept.foreign
        ));
        out
    }
}

/// Bytes for a person.
fn shown(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |bytes: u64, expect: &str| assert_eq!(shown(bytes), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(5_400_000, "5.1 MiB");
        check(u64::MAX, "16777216.0 TiB");
    }
}
