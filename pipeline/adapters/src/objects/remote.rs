//! Object stores on the network: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use penstock_runtime::Failure;
use url::Url;

use super::unfinished::{Bucket, Connecting, Uploads};

/// A store on the network.
pub(super) struct Remote {
    pub store: Arc<dyn ObjectStore>,
    pub uploads: Uploads,
}

/// What a property is where nobody says otherwise.
const DEFAULTS: [(&str, &str); 3] = [
    ("connect_timeout", "5 seconds"),
    // Between two pieces of an answer. The whole of a large object may take long.
    ("read_timeout", "30 seconds"),
    ("timeout", "30 minutes"),
];

/// Opens the store that `url` names; none where that is no store on the network. Credentials are those of the environment
/// (`AWS_…`, `GOOGLE_…`, `AZURE_…`) or of the machine, unless `properties` has others.
pub(super) fn open(
    url: &Url,
    properties: &BTreeMap<String, String>,
) -> Result<Option<Remote>, Failure> {
    let fatal =
        |error: &dyn std::fmt::Display| Failure::fatal(format!("objects.url {url}: {error}"));
    let Ok((scheme, prefix)) = ObjectStoreScheme::parse(url) else {
        return Ok(None);
    };
    let defaults = DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut settings = BTreeMap::from(defaults);
    settings.extend(properties.clone());
    let connecting = Connecting::default();
    macro_rules! built {
        ($builder:ty) => {{
            let mut builder = <$builder>::from_env()
                .with_url(url.as_str())
                .with_http_connector(connecting.clone())
                .with_retry(retry());
            for (name, value) in settings {
                let Ok(key) = name.parse() else {
                    return Err(unknown(&name));
                };
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.build().map_err(|error| fatal(&error))?)
        }};
    }
    let (store, uploads): (Arc<dyn ObjectStore>, Uploads) = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let store = built!(AmazonS3Builder);
            let bucket = Bucket::new(store.clone(), &connecting, prefix.clone());
            let uploads = bucket.map_or(Uploads::Theirs("it has no connection"), Uploads::Bucket);
            (store, uploads)
        }
        ObjectStoreScheme::GoogleCloudStorage => (
            built!(GoogleCloudStorageBuilder),
            Uploads::Theirs("set a lifecycle rule of the bucket that aborts multipart uploads"),
        ),
        ObjectStoreScheme::MicrosoftAzure => (
            built!(MicrosoftAzureBuilder),
            Uploads::Theirs("Azure drops blocks that were not committed after a week"),
        ),
        _ => return Ok(None),
    };
    let store = match prefix.as_ref() {
        "" => store,
        _ => Arc::new(PrefixStore::new(store, prefix)),
    };
    Ok(Some(Remote { store, uploads }))
}

/// Few: the loop tries again, with its own patience, and counts.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    }
}

fn unknown(name: &str) -> Failure {
    Failure::fatal(format!(
        "objects.properties: {name} is no setting of this kind of store; see object_store's configuration keys, such as \
         endpoint, region, access_key_id, secret_access_key, server_side_encryption, allow_http"
    ))
}
