use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use penstock_stages::blobs::{load, store, version_prefix};
use penstock_stages::embed::VectorCache;
use uuid::Uuid;

use super::*;

mod remote;

fn objects() -> (tempfile::TempDir, Objects) {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::in_folder(&dir.path().join("a folder/objects")).unwrap();
    (dir, objects)
}

fn files(dir: &FilePath) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            all.push(path.display().to_string());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn what_is_written_is_read_listed_and_deleted() {
    let (dir, objects) = objects();
    let began = chrono::Utc::now().timestamp_millis() - 2000;
    let prefix = version_prefix("a group/ü", Uuid::from_u128(7), Uuid::from_u128(8));
    let blob = store(&objects, &prefix, Bytes::from_static(b"bytes"))
        .await
        .unwrap();
    assert_eq!(load(&objects, &blob).await.unwrap(), &b"bytes"[..]);
    objects
        .write("other/x/manifest.json", Bytes::new())
        .await
        .unwrap();

    // Another process on the same folder sees the same.
    let again = Objects::in_folder(&dir.path().join("a folder/objects")).unwrap();
    assert_eq!(again.read(&blob.key).await.unwrap().unwrap(), &b"bytes"[..]);
    let listed = again.list(&prefix).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].size), (&blob.key, 5));
    assert!(listed[0].written >= began, "{listed:?} {began}");
    let keys = |listed: Vec<Stored>| listed.into_iter().map(|it| it.key).collect::<Vec<_>>();
    assert_eq!(
        keys(again.list("other/").await.unwrap()),
        ["other/x/manifest.json"]
    );
    assert_eq!(again.list("").await.unwrap().len(), 2);
    // Parts are whole: no key is below half a name.
    assert!(again.list("oth").await.unwrap().is_empty());

    for _ in 0..2 {
        objects.delete(&blob.key).await.unwrap();
        objects.delete("other/x/manifest.json").await.unwrap();
    }
    assert_eq!(objects.read(&blob.key).await.unwrap(), None);
    assert_eq!(
        files(&dir.path().join("a folder/objects")),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_name_is_written_over_a_digest_is_not() {
    let (dir, objects) = objects();
    for text in ["one", "two"] {
        objects
            .write("g/d/manifest.json", Bytes::from(text))
            .await
            .unwrap();
        assert_eq!(
            objects.read("g/d/manifest.json").await.unwrap().unwrap(),
            text
        );
    }
    let blob = store(&objects, "g/d/v/", Bytes::from_static(b"same"))
        .await
        .unwrap();
    let path = dir.path().join("a folder/objects").join(&blob.key);
    let written = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let before = written();
    for (minutes, anew) in [(59, false), (61, true)] {
        age(&path, Duration::from_secs(minutes * 60));
        store(&objects, "g/d/v/", Bytes::from_static(b"same"))
            .await
            .unwrap();
        // Who writes it is about to name it: then it must not count as old.
        assert_eq!(written() >= before, anew, "{minutes}");
    }
    // One that was cut short by other hands is mended.
    std::fs::write(&path, "sa").unwrap();
    store(&objects, "g/d/v/", Bytes::from_static(b"same"))
        .await
        .unwrap();
    assert_eq!(load(&objects, &blob).await.unwrap(), &b"same"[..]);
}

#[tokio::test]
async fn a_file_half_written_is_not_seen() {
    let (dir, objects) = objects();
    objects
        .write("g/d/x", Bytes::from_static(b"whole"))
        .await
        .unwrap();
    // As a killed process leaves it.
    std::fs::write(dir.path().join("a folder/objects/g/d/y#1"), "hal").unwrap();
    assert_eq!(objects.list("g").await.unwrap().len(), 1);
    assert_eq!(objects.read("g/d/y").await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_tells_what_was_not_written_to_its_end() {
    let (dir, objects) = objects();
    let root = dir.path().join("a folder/objects");
    let key = version_prefix("a group/ü", Uuid::from_u128(7), Uuid::from_u128(8)) + "half";
    store(&objects, "g/d/v/", Bytes::from_static(b"whole"))
        .await
        .unwrap();
    let whole = files(&root);
    let staged = root.join(format!("{}#1", name::path(&key).unwrap()));
    std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
    std::fs::write(&staged, "hal").unwrap();
    // Not ours.
    std::fs::write(root.join("a b#2"), "").unwrap();
    age(&staged, Duration::from_secs(3600));
    age(&root.join("a b#2"), Duration::from_secs(3600));

    let now = objects.clock().await.unwrap();
    objects.delete(CLOCK).await.unwrap();
    let found = |before| found(&objects, before);
    assert_eq!(found(now - 3_700_000).await, []);
    let all = found(now - 3_500_000).await;
    assert_eq!(
        (all.len(), all[0].key.as_str(), all[0].size),
        (1, key.as_str(), Some(3))
    );
    assert!(all[0].began <= now - 3_599_000, "{all:?}");
    for _ in 0..2 {
        objects.give_up(&all[0]).await.unwrap();
    }
    std::fs::remove_file(root.join("a b#2")).unwrap();
    assert_eq!(files(&root), whole);
}

async fn found(objects: &Objects, before: i64) -> Vec<Unfinished> {
    match objects.unfinished(before).await.unwrap() {
        Listing::Found(found) => found,
        Listing::Untold(why) => panic!("{why}"),
    }
}

/// As if it had been written so long ago.
fn age(file: &FilePath, by: Duration) {
    let file = std::fs::File::options().append(true).open(file).unwrap();
    file.set_modified(std::time::SystemTime::now() - by)
        .unwrap();
}

#[test]
fn blame() {
    use std::io::{Error as Io, ErrorKind as Kind};
    let check = |kind: Kind, class: &str, says: &str| {
        let error = Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(Io::from(kind)),
        };
        let failure = classify(&error, "write object g/d/x in data");
        assert_eq!(failure.class(), class, "{kind:?}");
        assert!(
            failure.reason().starts_with("write object g/d/x in data: "),
            "{failure}"
        );
        assert!(failure.reason().contains(says), "{failure}");
    };
    check(Kind::StorageFull, "transient", "the disk is full");
    check(Kind::QuotaExceeded, "transient", "make room");
    check(Kind::PermissionDenied, "fatal", "who may write");
    check(Kind::ReadOnlyFilesystem, "fatal", "");
    check(Kind::NotADirectory, "fatal", "");
    check(Kind::TimedOut, "transient", "");
    let remote = Error::Generic {
        store: "S3",
        source: "503".into(),
    };
    assert_eq!(classify(&remote, "read").class(), "transient");
}

#[tokio::test]
async fn a_folder_in_the_way_of_a_file_is_fatal_and_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let failure = Objects::in_folder(&dir.path().join("file")).unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(failure.reason().contains("/file"), "{failure}");
    let objects = Objects::in_folder(dir.path()).unwrap();
    let failure = objects
        .write("file/below", Bytes::from_static(b"x"))
        .await
        .unwrap_err();
    assert!(
        failure.reason().contains("write object file/below"),
        "{failure}"
    );
}

#[tokio::test]
async fn the_vector_cache_keeps_by_document_and_model() {
    let (_dir, objects) = objects();
    crate::objects::tests::keeps_vectors(&BlobVectorCache::new(Arc::new(objects))).await;
}

/// What every vector cache owes.
pub(crate) async fn keeps_vectors(cache: &dyn VectorCache) {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let hashes = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let vector = |value: f32| vec![value, -value, f32::MIN_POSITIVE];
    assert_eq!(
        cache.get("g", one, "m", &hashes(&["a"])).await.unwrap(),
        [None]
    );
    let put = [
        ("a".to_owned(), vector(0.5)),
        ("b".to_owned(), vector(0.25)),
    ];
    cache.put("g", one, "m", &put).await.unwrap();
    cache.put("g", one, "m", &put).await.unwrap();
    cache
        .put("g", one, "m", &[("c".to_owned(), vector(1.0))])
        .await
        .unwrap();
    cache
        .put("g", two, "m", &[("a".to_owned(), vector(2.0))])
        .await
        .unwrap();
    cache
        .put("g/h", one, "m@1/2", &[("a".to_owned(), vector(3.0))])
        .await
        .unwrap();
    let get = async |group: &str, document, model: &str, names: &[&str]| {
        cache
            .get(group, document, model, &hashes(names))
            .await
            .unwrap()
    };
    assert_eq!(
        get("g", one, "m", &["c", "x", "a", "a"]).await,
        [
            Some(vector(1.0)),
            None,
            Some(vector(0.5)),
            Some(vector(0.5))
        ]
    );
    assert_eq!(get("g", one, "other", &["a"]).await, [None]);
    assert_eq!(get("g/h", one, "m@1/2", &["a"]).await, [Some(vector(3.0))]);
    cache.forget("g", one).await.unwrap();
    cache.forget("g", one).await.unwrap();
    assert_eq!(
        get("g", one, "m", &["a", "b", "c"]).await,
        [None, None, None]
    );
    assert_eq!(get("g", two, "m", &["a"]).await, [Some(vector(2.0))]);
    assert_eq!(get("g/h", one, "m@1/2", &["a"]).await, [Some(vector(3.0))]);
    assert!(get("g", two, "m", &[]).await.is_empty());
}

#[test]
fn a_url_names_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("of all");
    let url = url::Url::from_file_path(&folder).unwrap();
    let none = BTreeMap::new();
    Objects::at(url.as_str(), &none).unwrap();
    assert!(folder.is_dir());
    for url in ["/srv/objects", "file://host/srv", "ftp://host/x", ""] {
        let failure = Objects::at(url, &none).unwrap_err();
        assert_eq!(failure.class(), "fatal");
        assert!(failure.reason().contains("file:///PATH"), "{failure}");
    }
    let region = BTreeMap::from([("region".to_owned(), "x".to_owned())]);
    let failure = Objects::at(url.as_str(), &region).unwrap_err();
    assert!(failure.reason().contains("region"), "{failure}");
}
