//! One membership of a group: the consumer on its poll thread, and the channels to it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use penstock_runtime::Failure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::{mpsc, oneshot};

use super::Chunk;
use super::context::{Context, Control, Shared};
use super::thread::{CHANNEL_BYTES, Command, Poller};
use crate::kafka::classify;
use crate::kafka::config::KafkaConfig;

/// Turns of partitions between the poll thread and the loop, at most.
const DATA_CHANNEL: usize = 8;

pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    /// The poll thread owns the consumer, so that its drop, which may hang, happens there.
    pub(super) consumer: Weak<BaseConsumer<Context>>,
    pub(super) control: mpsc::UnboundedReceiver<Control>,
    pub(super) data: mpsc::Receiver<Chunk>,
    commands: std::sync::mpsc::Sender<Command>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Member {
    /// Joins `group` for `topics`. Returns before the group has settled.
    pub(super) fn join(
        config: &KafkaConfig,
        group: &str,
        topics: &[String],
    ) -> Result<Self, Failure> {
        let doing = format!("join group {group}");
        let settings = config.consumer(group);
        let (control_sender, control) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(group, control_sender, revoke_limit(&settings)));
        let mut consumer: BaseConsumer<Context> = settings
            .create_with_context(Context(shared.clone()))
            .map_err(|error| classify(&error, &doing))?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&names)
            .map_err(|error| classify(&error, &doing))?;
        let bell = shared.clone();
        consumer.set_nonempty_callback(move || bell.bell.ring());
        let consumer = Arc::new(consumer);
        let (data_sender, data) = mpsc::channel(DATA_CHANNEL);
        let (commands, command_receiver) = std::sync::mpsc::channel();
        let (ended_sender, ended) = oneshot::channel();
        let weak = Arc::downgrade(&consumer);
        let poller = Poller::new(consumer, shared.clone(), data_sender, command_receiver);
        std::thread::Builder::new()
            .name(format!("kafka {group}"))
            .spawn(move || {
                poller.run();
                // The source may be gone: then nobody waits for the end.
                let _ = ended_sender.send(());
            })
            .map_err(|error| Failure::fatal(format!("{doing}: start its thread: {error}")))?;
        Ok(Self {
            shared,
            consumer: weak,
            control,
            data,
            commands,
            ended: Some(ended),
        })
    }

    pub(super) fn tell(&self, command: Command) -> Result<(), Failure> {
        self.commands.send(command).map_err(|_| self.gone())?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Records have left the channel: once it is half empty the poll thread is told, if it waits for that.
    pub(super) fn took(&self, chunk: &Chunk) {
        self.shared.took(chunk.bytes());
        let room =
            self.data.len() <= DATA_CHANNEL / 2 && self.shared.queued_bytes() <= CHANNEL_BYTES / 2;
        if room && self.shared.full.load(Ordering::SeqCst) {
            self.shared.bell.ring();
        }
    }

    /// Leaves the group; false where the consumer does not close in time and is left behind.
    pub(super) async fn leave(&mut self, limit: Duration) -> bool {
        self.shared.close();
        self.data.close();
        let Some(ended) = self.ended.take() else {
            return true;
        };
        tokio::time::timeout(limit, ended).await.is_ok()
    }

    pub(super) fn gone(&self) -> Failure {
        Failure::fatal(format!(
            "the consumer of group {} has ended",
            self.shared.group
        ))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The thread closes the consumer by itself.
        self.shared.close();
    }
}

/// How long a revoke may wait for the loop: well below the session timeout, after which the group would go on without
/// asking us.
fn revoke_limit(settings: &rdkafka::ClientConfig) -> Duration {
    let session = settings
        .get("session.timeout.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(45_000);
    Duration::from_millis(session / 2)
}
