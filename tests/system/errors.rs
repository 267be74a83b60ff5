//! What cannot run says so in one line, with what to do, and harms nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use penstock::config::Config;
use penstock_tests::{Bench, root};

fn docs(bench: &Bench) -> String {
    let docs = bench.path().join("docs");
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::write(
        docs.join("a.md"),
        "# Note\n\nThe crane lifts twelve tonnes.\n",
    )
    .unwrap();
    docs.display().to_string()
}

#[test]
fn bad_configuration() {
    let bench = Bench::new();
    let file = bench.path().join("penstock.toml");
    let config = file.display().to_string();
    let check = |text: &str, words: &[&str]| {
        std::fs::write(&file, text).unwrap();
        bench
            .run(&["status", "--config", &config])
            .could_not_run(words);
    };
    check(
        "[shard]\nmax_tokenz = 3\n",
        &[
            "penstock.toml",
            "shard.max_tokenz",
            "did you mean shard.max_tokens",
        ],
    );
    check("[shard\n", &["penstock.toml"]);
    check("[shard]\nmax_tokens = 3\n", &["shard.max_tokens is 3"]);
    bench
        .run(&["status", "--config", "/nowhere.toml"])
        .could_not_run(&["/nowhere.toml"]);
    bench
        .run(&["run", "embed"])
        .could_not_run(&["kafka.brokers"]);
    bench
        .run(&["ingest", "/nowhere"])
        .could_not_run(&["/nowhere"]);
    let ran = bench.run(&["ingestt"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
}

#[test]
fn missing_model() {
    let bench = Bench::new();
    let docs = docs(&bench);
    bench
        .run(&["ingest", &docs, "--set", "embed.model=/no/model"])
        .could_not_run(&["/no/model", "make model"]);
}

/// Vectors of two models do not compare: a folder stays with the model that filled it.
#[test]
fn another_model() {
    let bench = Bench::new();
    let docs = docs(&bench);
    let (code, _) = bench.ingest(Path::new(&docs), &[]);
    assert_eq!(code, 0);
    let other = bench.path().join("other-model");
    copy_folder(&Config::default().model_dir(), &other);
    let weights = other.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let set = format!("embed.model={}", other.display());
    for command in [["ingest", &docs], ["query", "crane"]] {
        let mut args = command.to_vec();
        args.extend(["--set", &set]);
        bench
            .run(&args)
            .could_not_run(&["other-model", "all-MiniLM-L6-v2", "--data"]);
    }
    bench.sound();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn occupied_data_folder() {
    let bench = Bench::new();
    let docs = docs(&bench);
    std::fs::create_dir_all(bench.data()).unwrap();
    let lock = std::fs::File::create(bench.data().join("owner.lock")).unwrap();
    lock.lock().unwrap();
    bench
        .run(&["ingest", &docs])
        .could_not_run(&["another process owns it", "--data"]);
    drop(lock);
    let (code, report) = bench.ingest(Path::new(&docs), &[]);
    assert_eq!((code, report.documents.complete), (0, 1));
}

#[test]
fn unreadable_file() {
    let bench = Bench::new();
    let docs = docs(&bench);
    // A folder of its own where even root cannot read: a link to itself is unreadable for everyone.
    let locked = Path::new(&docs).join("locked.md");
    std::fs::write(&locked, "secret").unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&locked).is_ok() {
        // Root reads everything; a sidecar that is no YAML map cannot be read by anyone.
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(format!("{}.meta.yaml", locked.display()), "- no map\n").unwrap();
    }
    let (code, report) = bench.ingest(Path::new(&docs), &["--prune"]);
    assert_eq!(
        (code, report.documents.complete, report.unreadable.len()),
        (1, 1, 1),
        "{report:?}"
    );
    assert!(report.unreadable[0].path.contains("locked.md"));
    bench.sound();
}

/// A file system of its own that is too small. Making one needs root, as CI and containers have; without it this test
/// says what to do.
#[test]
fn full_disk() {
    let bench = Bench::new();
    let small = bench.data();
    std::fs::create_dir_all(&small).unwrap();
    let mount = |args: &[&str]| {
        Command::new(args[0])
            .args(&args[1..])
            .arg(&small)
            .status()
            .unwrap()
    };
    let mounted = mount(&["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs"]);
    assert!(
        mounted.success(),
        "cannot mount a small file system: run the tests as root"
    );
    let samples = root().join("samples/manuals").display().to_string();
    let ran = bench.run(&["ingest", &samples]);
    let unmounted = mount(&["umount"]);
    assert!(unmounted.success());
    ran.could_not_run(&["space"]);
}
