//! Makes things go wrong, one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_adapters::kafka::{KafkaConfig, fold_topic};
use penstock_runtime::Provenance;
use penstock_schemas::{dead_letters_of, topics};
use penstock_servers::Kafka;
use penstock_servers::s3::{S3, Snare, Snared};
use penstock_stages::blobs::version_prefix;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::Failed;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::documents::{GROUP, Killing};
use crate::fleet::Fleet;
use crate::log::Log;
use crate::plan::{Fault, Kind};
use crate::post::{PREFIX, Post};
use crate::proxy::{Line, Proxy};
use crate::watch::Watch;

/// Processes of the stages without stores, and what each runs.
pub const FRONT: &[&str] = &["split", "parse", "shard"];
pub const EMBED: &[&str] = &["embed"];
pub const WORKERS: [(&str, &[&str]); 5] = [
    ("front-1", FRONT),
    ("front-2", FRONT),
    ("front-3", FRONT),
    ("embed-1", EMBED),
    ("embed-2", EMBED),
];
pub const OWNER: &str = "owner";
pub const OWNED: &[&str] = &["index", "link", "settle"];

const OUTAGE: Duration = Duration::from_secs(60);
/// Until a record that kills is given up.
const KILLER_LIMIT: Duration = Duration::from_secs(240);

/// All that can go wrong.
pub struct World {
    pub seed: u64,
    pub fleet: Fleet,
    pub proxies: Vec<Proxy>,
    pub kafka: Arc<Mutex<Kafka>>,
    /// Beside the proxies.
    pub config: KafkaConfig,
    pub s3: Arc<S3>,
    pub disk: Disk,
    pub watch: Watch,
    pub post: Post,
    pub log: Log,
}

/// What was done, and when it was over.
pub struct Inflicted {
    pub detail: String,
    pub ended: Instant,
}

impl World {
    /// Returns when the fault is over; what it has left is then for the pipeline to mend.
    pub async fn inflict(&self, fault: Fault) -> Result<Inflicted, Failed> {
        let mut dice = Dice::of(self.seed, (1 << 40) + fault.number as u64);
        let detail = match fault.kind {
            Kind::Kill => self.kill(worker(&mut dice)).await?,
            Kind::KillOwner => self.kill(OWNER).await?,
            Kind::Freeze => self.freeze(&mut dice).await,
            Kind::Broker => self.broker(&mut dice).await?,
            Kind::Cut => self.cut(),
            Kind::Slow => self.slow(&mut dice).await,
            Kind::Silence => self.silence(&mut dice).await,
            Kind::Scale => self.scale(&mut dice).await?,
            Kind::Roll => self.roll().await?,
            Kind::Outage => self.outage().await,
            Kind::DiskFull => self.disk_full(&mut dice).await?,
            Kind::Clock => self.clock(&mut dice).await?,
            Kind::Killer => return self.killer(&mut dice).await,
        };
        Ok(Inflicted {
            detail,
            ended: Instant::now(),
        })
    }

    async fn kill(&self, name: &str) -> Result<String, Failed> {
        if !self.fleet.kill(name) {
            // It was just being started again.
            self.fleet.until_running(name).await?;
            self.fleet.kill(name);
        }
        // Where everybody stood in this moment is looked at in the end.
        self.watch.now().await;
        Ok(name.to_owned())
    }

    async fn freeze(&self, dice: &mut Dice) -> String {
        let name = match dice.chance(20.0) {
            true => OWNER,
            false => worker(dice),
        };
        let time = seconds(dice, 8, 14);
        self.fleet.signal(name, "STOP");
        self.watch.now().await;
        sleep(time).await;
        self.fleet.signal(name, "CONT");
        format!("{name} for {} s", time.as_secs())
    }

    async fn broker(&self, dice: &mut Dice) -> Result<String, Failed> {
        let number = dice.below(self.proxies.len());
        let time = seconds(dice, 2, 12);
        self.with_kafka(move |kafka| kafka.kill(number)).await?;
        sleep(time).await;
        self.with_kafka(move |kafka| kafka.restart(number)).await?;
        Ok(format!("{} for {} s", number + 1, time.as_secs()))
    }

    async fn with_kafka(
        &self,
        work: impl FnOnce(&mut Kafka) + Send + 'static,
    ) -> Result<(), Failed> {
        let mut kafka = self.kafka.clone().lock_owned().await;
        tokio::task::spawn_blocking(move || work(&mut kafka))
            .await
            .map_err(|error| Failed(format!("a broker: {error}")))
    }

    fn cut(&self) -> String {
        for proxy in &self.proxies {
            proxy.cut();
        }
        "all".to_owned()
    }

    async fn slow(&self, dice: &mut Dice) -> String {
        let (chosen, name) = self.lines(dice);
        let (delay, rate) = (dice.between(20, 150), dice.between(256, 2048));
        let time = seconds(dice, 8, 14);
        for proxy in &chosen {
            proxy.set(Line::Slow {
                delay: Duration::from_millis(delay),
                bytes_per_second: rate << 10,
            });
        }
        sleep(time).await;
        for proxy in &chosen {
            proxy.set(Line::Open);
        }
        let time = time.as_secs();
        format!("{name} by {delay} ms, {rate} KiB/s, for {time} s")
    }

    async fn silence(&self, dice: &mut Dice) -> String {
        let (chosen, name) = self.lines(dice);
        let time = seconds(dice, 4, 15);
        for proxy in &chosen {
            proxy.set(Line::Silent);
        }
        sleep(time).await;
        for proxy in &chosen {
            proxy.set(Line::Open);
        }
        format!("{name} for {} s", time.as_secs())
    }

    /// The way to all brokers, or to one.
    fn lines(&self, dice: &mut Dice) -> (Vec<&Proxy>, String) {
        if dice.chance(30.0) {
            return (self.proxies.iter().collect(), "all".to_owned());
        }
        let number = dice.below(self.proxies.len());
        let chosen = self.proxies.get(number).into_iter().collect();
        (chosen, (number + 1).to_string())
    }

    async fn scale(&self, dice: &mut Dice) -> Result<String, Failed> {
        const MORE: &str = "more";
        let stages = dice.pick(&[FRONT, EMBED], EMBED);
        let name = format!("{MORE}-{}", stages.first().unwrap_or(&""));
        self.fleet.start(&name, stages)?;
        self.fleet.until_running(&name).await?;
        sleep(seconds(dice, 3, 8)).await;
        let took = self.fleet.terminate(&name).await?;
        let out = stages.join(" ");
        Ok(format!(
            "{out} out and in, drained in {:.1} s",
            took.as_secs_f64()
        ))
    }

    async fn roll(&self) -> Result<String, Failed> {
        let mut longest = Duration::ZERO;
        let names = WORKERS.iter().map(|(name, _)| *name);
        for name in names.chain([OWNER]) {
            longest = longest.max(self.fleet.terminate(name).await?);
            self.fleet.start_again(name, Clock::True)?;
            self.fleet.until_running(name).await?;
        }
        Ok(format!(
            "all, drained in {:.1} s at most",
            longest.as_secs_f64()
        ))
    }

    async fn outage(&self) -> String {
        self.s3.take_down();
        sleep(OUTAGE).await;
        self.s3.mend();
        format!("objects for {} s", OUTAGE.as_secs())
    }

    /// The owner may end: it says so in one line, and an orchestrator starts it again until there is room.
    async fn disk_full(&self, dice: &mut Dice) -> Result<String, Failed> {
        let time = seconds(dice, 6, 14);
        self.fleet.excuse(OWNER);
        self.disk.fill()?;
        sleep(time).await;
        let left = self.disk.left()?;
        self.disk.free()?;
        // One that is just looking at the disk may still say that it is full.
        sleep(Duration::from_millis(500)).await;
        self.fleet.excuse_no_more(OWNER);
        Ok(format!("for {} s, {left} KiB left", time.as_secs()))
    }

    async fn clock(&self, dice: &mut Dice) -> Result<String, Failed> {
        let name = match dice.chance(30.0) {
            true => OWNER,
            false => worker(dice),
        };
        let hours = dice.pick(&[-1, 1], 1);
        self.fleet.terminate(name).await?;
        self.fleet.start_again(name, Clock::Off(hours))?;
        self.fleet.until_running(name).await?;
        sleep(seconds(dice, 8, 15)).await;
        self.fleet.terminate(name).await?;
        self.fleet.start_again(name, Clock::True)?;
        self.fleet.until_running(name).await?;
        Ok(format!("{name} by {hours:+} h"))
    }

    /// Over with the last kill; by then the record has to be a dead letter.
    async fn killer(&self, dice: &mut Dice) -> Result<Inflicted, Failed> {
        let killing = dice.pick(&[Killing::Split, Killing::Shard], Killing::Split);
        let topic = match killing {
            Killing::Split => topics::DOCUMENTS.name(),
            Killing::Shard => topics::SECTIONS.name(),
        };
        let sending = self.post.killer(killing);
        let (id, version) = (sending.record.document_guid, sending.record.version);
        let own = sending.record.blob.as_ref().map_or("", |it| &it.key);
        let own = format!("{PREFIX}{own}");
        let snare = match killing {
            Killing::Split => Snare::Key(own),
            Killing::Shard => Snare::Below {
                prefix: format!("{PREFIX}{}", version_prefix(GROUP, id, version)),
                but: own,
            },
        };
        let mut snared = self.s3.snare(snare);
        self.post.send(sending).await?;
        let start = Instant::now();
        let mut ended = start;
        let mut kills = 0;
        while start.elapsed() < KILLER_LIMIT {
            match timeout(Duration::from_secs(1), snared.recv()).await {
                Ok(Some(Snared { reader, .. })) => {
                    self.log.say(format!("  it kills {reader}"));
                    self.fleet.kill(&reader);
                    self.watch.now().await;
                    (ended, kills) = (Instant::now(), kills + 1);
                }
                Ok(None) => break,
                Err(_) if self.is_given_up(topic, &id.to_string()).await => {
                    let stage = format!("{killing:?}").to_lowercase();
                    return Ok(Inflicted {
                        detail: format!("at {stage}, {kills} kills"),
                        ended,
                    });
                }
                Err(_) => {}
            }
        }
        Err(Failed(format!(
            "a record of {topic} killed {kills} processes and was not given up in {} s",
            KILLER_LIMIT.as_secs()
        )))
    }

    /// Whether a record with this key's beginning is among the dead letters of those that kill.
    async fn is_given_up(&self, topic: &str, key: &str) -> bool {
        let mut found = false;
        let topic = dead_letters_of(topic);
        let folded = fold_topic(&self.config, &topic, None, |letter| {
            let of_it = letter
                .key
                .as_ref()
                .is_some_and(|it| it.starts_with(key.as_bytes()));
            let class = Provenance::of(&letter.headers).class;
            found |= of_it && class.as_deref() == Some("killed");
            Ok(())
        });
        folded.await.is_ok() && found
    }
}

fn worker(dice: &mut Dice) -> &'static str {
    WORKERS
        .get(dice.below(WORKERS.len()))
        .map_or(OWNER, |(name, _)| name)
}

fn seconds(dice: &mut Dice, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.between(least * 1000, most * 1000))
}
