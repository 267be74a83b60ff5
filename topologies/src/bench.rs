//! `penstock bench`: how fast a part of the pipeline is on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use penstock_adapters::candle::Candle;
use penstock_runtime::Failure;
use penstock_stages::embed::Embedder;
use penstock_stages::parse::{Limits, extract, sniff};
use penstock_stages::shard::Tokens;
use serde::Serialize;

use crate::cli::{BenchArgs, BenchKind};
use crate::commands::print;
use crate::config::Config;
use crate::ingest::walk;
use crate::system::threads;

/// What was measured. Scripts rely on these fields.
#[derive(Debug, Default, Serialize)]
struct Measured {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    value: f64,
    /// To the peer named in the row before it, where there is one.
    ratio: Option<f64>,
}

impl Measured {
    fn row(&mut self, name: impl Into<String>, unit: &'static str, value: f64, peer: Option<f64>) {
        let ratio = peer.filter(|peer| *peer > 0.0).map(|peer| value / peer);
        let name = name.into();
        self.rows.push(Row {
            name,
            unit,
            value,
            ratio,
        });
    }

    fn print(&self) -> String {
        let line = |row: &Row| {
            let ratio = row
                .ratio
                .map_or(String::new(), |ratio| format!("  {ratio:.2} ×"));
            format!("{:<44}{:>12.3} {}{ratio}\n", row.name, row.value, row.unit)
        };
        self.rows.iter().map(line).collect()
    }
}

pub async fn bench(config: &Config, args: &BenchArgs, json: bool) -> Result<u8, Failure> {
    let (config, args) = (config.clone(), args.clone());
    let measured = match args.what {
        BenchKind::Parse => blocking(move || parse(&paths_of(&args))).await?,
        BenchKind::Embed => embed(&config).await?,
        BenchKind::Ingest => blocking(move || ingest(&config, &paths_of(&args))).await?,
    };
    print(json, &measured, || measured.print());
    Ok(0)
}

async fn blocking(
    work: impl FnOnce() -> Result<Measured, Failure> + Send + 'static,
) -> Result<Measured, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::fatal(format!("the measurement broke off: {error}")))?
}

fn paths_of(args: &BenchArgs) -> Vec<PathBuf> {
    if args.paths.is_empty() {
        vec!["samples".into()]
    } else {
        args.paths.clone()
    }
}

/// PDFs on one core, each beside pdftotext in the same run: pages a second, and how many of its words we have.
fn parse(paths: &[PathBuf]) -> Result<Measured, Failure> {
    let files = walk(paths, None).map_err(Failure::fatal)?.files;
    let limits = Limits {
        time: Duration::from_secs(3600),
        ..Limits::default()
    };
    let mut measured = Measured::default();
    let (mut pages, mut ours, mut theirs) = (0, Duration::ZERO, Duration::ZERO);
    let (mut found, mut wanted) = (0, 0);
    for file in files {
        let bytes = std::fs::read(&file.file)
            .map_err(|error| Failure::fatal(format!("{}: {error}", file.file.display())))?;
        let Ok(kind) = sniff(&bytes, &file.key) else {
            continue;
        };
        if kind.as_str() != "pdf" {
            continue;
        }
        let start = Instant::now();
        let Ok(extracted) = extract(&bytes, kind, None, &limits) else {
            continue;
        };
        let took = start.elapsed();
        let (peer_text, peer_took) = pdftotext(&file.file)?;
        let (has, of) = recall(&extracted.text, &peer_text);
        pages += extracted.pages.len();
        ours += took;
        theirs += peer_took;
        found += has;
        wanted += of;
    }
    if pages == 0 {
        return Err(Failure::fatal(
            "bench parse: there is no readable PDF below the paths",
        ));
    }
    let rate = |time: Duration| pages as f64 / time.as_secs_f64().max(1e-6);
    measured.row("pages", "pages", pages as f64, None);
    measured.row("pdftotext", "pages/s", rate(theirs), None);
    measured.row(
        "penstock, one core",
        "pages/s",
        rate(ours),
        Some(rate(theirs)),
    );
    measured.row(
        "words of pdftotext that penstock has",
        "share",
        found as f64 / wanted.max(1) as f64,
        None,
    );
    Ok(measured)
}

fn pdftotext(file: &Path) -> Result<(String, Duration), Failure> {
    let start = Instant::now();
    let output = Command::new("pdftotext")
        .arg(file)
        .arg("-")
        .output()
        .map_err(|error| {
            Failure::fatal(format!(
                "bench parse: pdftotext cannot be run: {error}: install poppler-utils"
            ))
        })?;
    Ok((
        String::from_utf8_lossy(&output.stdout).into_owned(),
        start.elapsed(),
    ))
}

/// How many of the peer's words (as a multiset) stand in the text, and how many there are.
fn recall(text: &str, peer: &str) -> (usize, usize) {
    let mut have = std::collections::HashMap::new();
    for word in words(text) {
        *have.entry(word).or_insert(0usize) += 1;
    }
    let (mut found, mut all) = (0, 0);
    for word in words(peer) {
        all += 1;
        if let Some(count) = have.get_mut(&word).filter(|count| **count > 0) {
            *count -= 1;
            found += 1;
        }
    }
    (found, all)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The model on short and long texts: tokens a second, median of five rounds.
async fn embed(config: &Config) -> Result<Measured, Failure> {
    const ROUNDS: usize = 5;
    let dir = config.model_dir();
    let candle = Candle::load(&dir, threads(config.embed.threads))?;
    let tokens = Tokens::load(&dir)?;
    let mut measured = Measured::default();
    for (name, sentences) in [("short texts", 2), ("long texts", 17)] {
        let texts: Vec<String> = (0..64).map(|number| made_up(number, sentences)).collect();
        let mut count = 0;
        for text in &texts {
            count += tokens.count(text)?.min(candle.info().max_tokens);
        }
        candle.embed(texts.clone()).await?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            candle.embed(texts.clone()).await?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let median = times.get(ROUNDS / 2).copied().unwrap_or(f64::NAN);
        let mean = count / texts.len();
        measured.row(
            format!("{name} ({mean} tokens)"),
            "tokens/s",
            count as f64 / median,
            None,
        );
        measured.row(
            format!("{name} ({mean} tokens)"),
            "texts/s",
            texts.len() as f64 / median,
            None,
        );
    }
    Ok(measured)
}

fn made_up(number: usize, sentences: usize) -> String {
    (0..sentences)
        .map(|at| {
            format!(
                "Load {number} left dock {at} with {} pallets of paper for the harbour. ",
                number * 7 + at
            )
        })
        .collect()
}

/// A whole ingest in a process of its own, in a folder that is removed: documents a second and peak memory.
fn ingest(config: &Config, paths: &[PathBuf]) -> Result<Measured, Failure> {
    let wrong = |error: std::io::Error| Failure::fatal(format!("bench ingest: {error}"));
    let folder = config.data.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(wrong)?;
    }
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe().map_err(wrong)?)
        .arg("ingest")
        .args(paths)
        .arg("--json")
        .arg("--data")
        .arg(&folder)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(wrong)?;
    let status = Path::new("/proc")
        .join(child.id().to_string())
        .join("status");
    let (done, watched) = std::sync::mpsc::channel::<()>();
    let watching = std::thread::spawn(move || peak_memory(&status, &watched));
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut text).map_err(wrong)?;
    }
    child.wait().map_err(wrong)?;
    drop(done);
    let seconds = start.elapsed().as_secs_f64();
    let peak = watching.join().unwrap_or_default();
    let report: crate::ingest::Report = serde_json::from_str(&text).map_err(|_| {
        Failure::fatal("bench ingest: the ingest did not run to its end, see above")
    })?;
    std::fs::remove_dir_all(&folder).map_err(wrong)?;
    let mut measured = Measured::default();
    measured.row(
        "documents",
        "documents",
        report.documents.complete as f64,
        None,
    );
    measured.row("seconds, start and stop included", "s", seconds, None);
    measured.row(
        "documents",
        "documents/s",
        report.documents.complete as f64 / report.seconds,
        None,
    );
    measured.row(
        "pages",
        "pages/s",
        report.pages as f64 / report.seconds,
        None,
    );
    measured.row(
        "chunks",
        "chunks/s",
        report.chunks as f64 / report.seconds,
        None,
    );
    measured.row("peak memory", "MiB", peak, None);
    Ok(measured)
}

/// The largest VmHWM that was seen, MiB, looked at ten times a second until the other side hangs up.
fn peak_memory(status: &Path, watched: &std::sync::mpsc::Receiver<()>) -> f64 {
    let mut peak: f64 = 0.0;
    loop {
        let text = std::fs::read_to_string(status).unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or_default() / 1024.0);
        let wait = watched.recv_timeout(Duration::from_millis(100));
        if wait != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            return peak;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_words_as_often_as_they_stand() {
        let check =
            |text, peer, expected| assert_eq!(recall(text, peer), expected, "{text} / {peer}");
        check("a b c", "A, b!", (2, 2));
        check("a", "a a", (1, 2));
        check("", "x", (0, 1));
    }
}
