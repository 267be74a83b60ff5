//! A progress bar per stage, on a terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use penstock_runtime::Gauges;
use tokio::task::JoinHandle;

use crate::pipeline::topology;

/// The bars; nothing is drawn where stderr is no terminal.
pub struct Bars {
    sent: Arc<AtomicU64>,
    documents: Option<ProgressBar>,
    drawing: Option<JoinHandle<()>>,
}

impl Bars {
    /// Bars that follow `gauges` until dropped.
    pub fn show(gauges: &BTreeMap<&'static str, Arc<Gauges>>) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        if !std::io::stderr().is_terminal() {
            return Self {
                sent,
                documents: None,
                drawing: None,
            };
        }
        let all = MultiProgress::new();
        let bar = |name: &str| {
            let bar = all.add(ProgressBar::new(0));
            let style = ProgressStyle::with_template("{prefix:>10} {bar:40} {pos}/{len} {per_sec}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            bar
        };
        let names = topology()
            .into_iter()
            .map(|it| it.name)
            .filter(|it| *it != "settle");
        let bars: Vec<_> = names
            .filter_map(|name| Some((gauges.get(name)?.clone(), bar(name))))
            .collect();
        let documents = bar("documents");
        let counted = sent.clone();
        let drawing = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(100));
            loop {
                every.tick().await;
                let mut expected = counted.load(Relaxed);
                for (gauges, bar) in &bars {
                    let done = gauges.processed.get();
                    bar.set_length(expected.max(done));
                    bar.set_position(done);
                    expected = gauges.outputs.get();
                }
            }
        });
        Self {
            sent,
            documents: Some(documents),
            drawing: Some(drawing),
        }
    }

    /// So many documents were sent.
    pub fn sent(&self, count: usize) {
        self.sent.store(count as u64, Relaxed);
        if let Some(bar) = &self.documents {
            bar.set_length(count as u64);
        }
    }

    /// So many are not accounted for.
    pub fn left(&self, count: usize) {
        if let Some(bar) = &self.documents {
            let length = bar.length().unwrap_or_default();
            bar.set_position(length.saturating_sub(count as u64));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(drawing) = &self.drawing {
            drawing.abort();
        }
        if let Some(bar) = &self.documents {
            bar.finish();
        }
    }
}
