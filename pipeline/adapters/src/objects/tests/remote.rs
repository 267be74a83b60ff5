//! Against an S3 endpoint in this process that can be told to misbehave.

use std::time::Duration;

use penstock_servers::s3::{BUCKET, Fault, S3, SECRET_KEY};

use super::*;

fn properties(s3: &S3, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let (_, mut all) = s3.settings("");
    let more = more.iter();
    all.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all
}

fn url(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

async fn bucket(more: &[(&str, &str)]) -> (S3, Objects) {
    let s3 = S3::start().await.unwrap();
    let objects = Objects::at(&url("all/of it"), &properties(&s3, more)).unwrap();
    (s3, objects)
}

fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn a_bucket_keeps_objects_as_a_folder_does() {
    let (s3, objects) = bucket(&[]).await;
    objects.check().await.unwrap();
    let prefix = version_prefix("a group/ü", Uuid::from_u128(7), Uuid::from_u128(8));
    let mut keys = Vec::new();
    for number in 0..7 {
        let blob = store(&objects, &prefix, bytes(number)).await.unwrap();
        assert_eq!(load(&objects, &blob).await.unwrap(), bytes(number));
        keys.push(blob.key);
    }
    keys.sort();
    // More than a page, and nothing of other prefixes of the bucket.
    let elsewhere = Objects::at(&url(""), &properties(&s3, &[])).unwrap();
    elsewhere.write("other/x", bytes(3)).await.unwrap();
    let listed = |listed: Vec<Stored>| {
        let mut keys: Vec<String> = listed.into_iter().map(|it| it.key).collect();
        keys.sort();
        keys
    };
    assert_eq!(listed(objects.list(&prefix).await.unwrap()), keys);
    assert_eq!(listed(objects.list("").await.unwrap()), keys);
    assert_eq!(elsewhere.list("other").await.unwrap().len(), 1);
    // What is there under its digest is not sent again.
    s3.take_requests();
    store(&objects, &prefix, bytes(5)).await.unwrap();
    let requests = s3.take_requests();
    assert!(
        requests.iter().all(|it| !it.starts_with("PUT")),
        "{requests:?}"
    );
    // Unless it is old.
    s3.age(Duration::from_secs(2 * 60 * 60));
    store(&objects, &prefix, bytes(5)).await.unwrap();
    let now = objects.clock().await.unwrap();
    let young = |it: &Stored| now - it.written < 60_000;
    let written = objects.list(&prefix).await.unwrap();
    assert_eq!(written.iter().filter(|it| young(it)).count(), 1);
    for _ in 0..2 {
        objects.delete(&keys[0]).await.unwrap();
    }
    assert_eq!(objects.read(&keys[0]).await.unwrap(), None);
    assert_eq!(listed(objects.list(&prefix).await.unwrap()), keys[1..]);

    keeps_vectors(&BlobVectorCache::new(Arc::new(objects))).await;
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_leaves_none_behind() {
    let (s3, objects) = bucket(&[("server_side_encryption", "AES256")]).await;
    let large = bytes(2 * PART + 5);
    objects.write("g/large", large.clone()).await.unwrap();
    let requests = s3.take_requests();
    let parts = requests.iter().filter(|it| it.contains("partNumber="));
    assert_eq!(parts.count(), 3, "{requests:?}");
    assert_eq!(objects.read("g/large").await.unwrap(), Some(large.clone()));
    assert_eq!(s3.encryption().as_deref(), Some("AES256"));

    // Beginning it goes well; then no part does, however often it is tried.
    let refused = std::iter::repeat_n(Fault::Unavailable, 9);
    s3.fail(std::iter::once(Fault::Slow(Duration::ZERO)).chain(refused));
    let failure = objects.write("g/lost", large).await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    assert_eq!(s3.open_uploads(), 0);
    s3.mend();
    assert_eq!(objects.read("g/lost").await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_tells_of_uploads_nobody_ended() {
    let (s3, objects) = bucket(&[]).await;
    let key = |number: usize| {
        let prefix = version_prefix("a group/ü", Uuid::from_u128(7), Uuid::from_u128(8));
        format!("{prefix}{number}")
    };
    // More than a page, of one key twice; and others of the bucket that are not ours.
    for number in [1, 2, 2, 3, 4] {
        let path = name::path(&key(number)).unwrap();
        s3.leave_upload(&format!("all/of it/{path}"));
    }
    s3.leave_upload("all/of others/x");
    s3.leave_upload("all/of it/a=zz");
    s3.age(Duration::from_secs(60 * 60));
    s3.leave_upload(&format!("all/of it/{}", name::path(&key(5)).unwrap()));

    let now = objects.clock().await.unwrap();
    let all = found(&objects, now - 60_000).await;
    let keys: Vec<String> = all.iter().map(|it| it.key.clone()).collect();
    assert_eq!(keys, [1, 2, 2, 3, 4].map(key));
    assert!(all.iter().all(|it| it.size.is_none()));
    for _ in 0..2 {
        for it in &all {
            objects.give_up(it).await.unwrap();
        }
    }
    assert_eq!(found(&objects, now + 60_000).await.len(), 1);
    assert_eq!(s3.open_uploads(), 3);

    let stranger = Objects::at(
        &url("x"),
        &properties(&s3, &[("access_key_id", "stranger")]),
    );
    let failure = stranger.unwrap().unfinished(now).await.unwrap_err();
    assert_eq!(failure.class(), "fatal");
    assert!(
        failure.reason().contains("ListBucketMultipartUploads"),
        "{failure}"
    );
    assert!(!failure.reason().contains("Signature"), "{failure}");
}

#[tokio::test]
async fn trouble_on_the_way_is_waited_out_or_told() {
    let (s3, objects) = bucket(&[("read_timeout", "300 ms")]).await;
    let blob = store(&objects, "g/d/v/", bytes(100_000)).await.unwrap();
    let load = || load(&objects, &blob);
    // One of a kind is not even noticed.
    for fault in [
        Fault::Unavailable,
        Fault::Slow(Duration::from_millis(600)),
        Fault::Truncated,
        Fault::Damaged,
    ] {
        s3.fail([fault]);
        assert_eq!(load().await.unwrap(), bytes(100_000), "{fault:?}");
        assert_eq!(s3.faults_left(), 0);
    }
    // A store that is down is waited for by whoever asked.
    s3.fail([Fault::Unavailable; 3]);
    let failure = load().await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    s3.fail([Fault::Unavailable; 3]);
    let failure = objects.write("g/d/x", bytes(3)).await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    s3.take_down();
    for _ in 0..2 {
        assert_eq!(load().await.unwrap_err().class(), "transient");
        let failure = objects.list("g").await.unwrap_err();
        assert_eq!(failure.class(), "transient", "{failure}");
    }
    s3.mend();
    // Bytes that are other ones each time are.
    s3.fail([Fault::Damaged; 2]);
    let failure = load().await.unwrap_err();
    assert_eq!(failure.class(), "poison");
    assert!(failure.reason().contains("digest"), "{failure}");
    assert_eq!(load().await.unwrap(), bytes(100_000));
}

/// The same settings, by the same names; whether they work only their own servers can tell.
#[test]
fn stores_of_other_vendors_are_opened() {
    let at = |url: &str, more: &[(&str, &str)]| {
        let more = more.iter();
        let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Objects::at(url, &more.collect())
    };
    let key = ("access_key", "c2VjcmV0LTdlMDE=");
    let account = ("account_name", "penstock");
    at("gs://bucket/prefix", &[("skip_signature", "true")]).unwrap();
    at("az://container/prefix", &[account, key]).unwrap();
    let unknown = ("acount", "c2VjcmV0LTdlMDE=");
    for url in ["gs://bucket/prefix", "az://container/prefix"] {
        let failure = at(url, &[account, key, unknown]).unwrap_err();
        assert_eq!(failure.class(), "fatal", "{url}");
        assert!(failure.reason().contains("is no setting"), "{failure}");
        assert!(!failure.reason().contains("c2VjcmV0"), "{failure}");
    }
}

#[tokio::test]
async fn what_only_people_can_mend_is_fatal() {
    let s3 = S3::start().await.unwrap();
    let opened = |url: &str, more: &[(&str, &str)]| Objects::at(url, &properties(&s3, more));
    let fatal = |failure: Failure, word: &str| {
        assert_eq!(failure.class(), "fatal", "{failure}");
        assert!(failure.reason().contains(word), "{failure}");
        assert!(!failure.reason().contains(SECRET_KEY), "{failure}");
    };
    let nowhere = opened("s3://no-such-bucket/x", &[]).unwrap();
    fatal(nowhere.check().await.unwrap_err(), "no such bucket");
    fatal(nowhere.write("g/x", bytes(3)).await.unwrap_err(), "g/x");
    let stranger = opened(&url(""), &[("access_key_id", "stranger")]).unwrap();
    fatal(stranger.check().await.unwrap_err(), "check who may");
    fatal(opened(&url(""), &[("regoin", "x")]).unwrap_err(), "regoin");
    // Without TLS only where somebody says so.
    s3.take_requests();
    let plain = opened(&url(""), &[("allow_http", "false")]).unwrap();
    assert!(plain.check().await.is_err());
    assert!(s3.take_requests().is_empty());
}
