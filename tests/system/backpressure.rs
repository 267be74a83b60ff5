//! A slow store, and what those before it do about it, as processes on a real cluster. `make load` shows the same at
//! length.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock::pipeline::LAG_POLL;
use penstock::status::Status;
use penstock_servers::Listener;
use penstock_tests::{Starved, until};

use crate::world::World;

/// Records a stage may lag before those before it stop.
const HIGH: i64 = 40;

/// Who feeds whom, and how many records of its topic a process of it may have in flight.
const LINKS: [(&str, &str, i64); 5] = [
    ("ingest", "split", 1),
    ("split", "parse", 4),
    ("parse", "shard", 4),
    ("shard", "embed", 4),
    ("embed", "index", 128),
];

/// What was seen of a topic: when, records ever written, records its stage lagged.
type Seen = Vec<(Instant, i64, i64)>;

struct Watch<'a> {
    world: &'a World,
    /// By the stage that reads it.
    topics: BTreeMap<&'static str, Seen>,
    /// The least that a stage was permitted.
    limits: BTreeMap<String, i64>,
}

impl Watch<'_> {
    fn look(&mut self) {
        for (_, to, _) in LINKS {
            let (lag, written) = self.world.lag_and_end(to);
            let seen = self.topics.entry(to).or_default();
            seen.push((Instant::now(), written, lag));
        }
    }

    fn ask(&mut self) {
        for it in self
            .status()
            .stages
            .into_iter()
            .filter(|it| it.instances > 0)
        {
            let least = self.limits.entry(it.stage).or_insert(i64::MAX);
            *least = it.in_flight_limit.min(*least);
        }
    }

    fn status(&self) -> Status {
        self.world.run(&["status", "--json"]).json()
    }

    fn last(&self, stage: &str) -> (i64, i64) {
        let seen = self.topics.get(stage).and_then(|it| it.last());
        seen.map_or((0, 0), |(_, written, lag)| (*written, *lag))
    }

    /// The lag between two stages stays under the mark, and beyond it what may be in flight and what was sent between two
    /// looks at the lag.
    fn assert_bounded(&self) {
        for (from, to, in_flight) in LINKS {
            let seen = &self.topics[to];
            let highest = seen.iter().map(|it| it.2).max().unwrap();
            let poll = most_between_polls(seen);
            assert!(
                highest <= HIGH + in_flight + poll,
                "{from} to {to}: {highest}, in flight {in_flight}, between polls {poll}"
            );
        }
    }
}

/// Our own looks are up to a second apart.
fn most_between_polls(seen: &Seen) -> i64 {
    let span = LAG_POLL + Duration::from_secs(1);
    let grown = |(place, (from, before, _)): (usize, &(Instant, i64, i64))| {
        let within = seen[place..].iter().take_while(|it| it.0 <= *from + span);
        within.last().unwrap().1 - before
    };
    seen.iter().enumerate().map(grown).max().unwrap()
}

#[test]
fn a_slow_store_holds_back_everybody_up_to_ingest() {
    // More than could be sent.
    const NOTES: usize = 20_000;
    let world = World::new();
    let low = HIGH / 4;
    world.configure(
        Listener::Plain,
        &format!("[parse]\nthreads = 2\n[throttle]\nlag_low = {low}\nlag_high = {HIGH}\n"),
    );
    assert_eq!(world.run(&["topics", "apply"]).code, 0);
    let docs = world.file("docs");
    std::fs::create_dir_all(&docs).unwrap();
    for number in 0..NOTES {
        let text = format!("# Note {number}\n\nCrane {number} lifted salt at noon.\n");
        std::fs::write(docs.join(format!("note-{number}.md")), text).unwrap();
    }
    let mut processes = [
        world.start(&["split", "parse", "shard"]),
        world.start(&["embed"]),
        world.start(&["index", "link", "settle"]),
    ];
    let owner = &processes[2];
    let slow = Starved::begin(owner, Duration::from_millis(10), Duration::from_millis(990));
    let mut ingest = world.spawn_ingest(&docs);
    let mut watch = Watch {
        world: &world,
        topics: BTreeMap::new(),
        limits: BTreeMap::new(),
    };
    until("ingest is held back", || {
        assert!(!ingest.has_ended(), "{}", ingest.output());
        watch.look();
        watch.last("split").1 >= HIGH
    });
    // Each by the one behind it.
    until("every stage before the store is held back", || {
        watch.look();
        watch.ask();
        let limits = &watch.limits;
        let held = |stage: &str| limits.get(stage).is_some_and(|it| *it == 0);
        ["split", "parse", "shard", "embed"].into_iter().all(held)
    });
    let sent = watch.last("split").0;
    assert!(sent < NOTES as i64 / 2, "{sent} were sent all the same");

    drop(slow);
    until("ingest goes on", || {
        watch.look();
        watch.last("split").0 > sent + HIGH
    });
    ingest.kill();
    until("all that was sent is done", || {
        watch.look();
        LINKS.iter().all(|(_, to, _)| watch.last(to).1 == 0) && world.lag("settle") == 0
    });
    watch.assert_bounded();
    until("everything is permitted again", || {
        let status = watch.status();
        let limit = |stage: &str| status.stages.iter().find(|it| it.stage == stage);
        let full = |(from, _, most): (&str, &str, i64)| {
            from == "ingest" || limit(from).is_some_and(|it| it.in_flight_limit >= most)
        };
        LINKS.into_iter().all(full)
    });
    for process in &mut processes {
        assert_eq!(process.terminate(), Some(0), "{}", process.output());
    }
    let audit = world.run(&["audit"]);
    assert_eq!(audit.code, 0, "{}", audit.stdout);
}
