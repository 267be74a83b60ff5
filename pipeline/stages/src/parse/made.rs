//! Documents made for tests, and a place to keep them.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use penstock_runtime::{Failure, Input};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::blobs::{Blobs, Stored};

/// A zip archive with these members.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A Word document with this body.
pub fn docx(body: &str) -> Vec<u8> {
    let document = format!("<w:document><w:body>{body}</w:body></w:document>");
    archive(&[("word/document.xml", document.as_bytes())])
}

/// A PDF with one line of text per page; none makes an empty page.
pub fn pdf(pages: &[Option<&str>]) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Count {} /Kids [{}] >>",
            pages.len(),
            (0..pages.len())
                .map(|n| format!("{} 0 R ", 5 + 2 * n))
                .collect::<String>()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_owned(),
        "<< /Title (A made book) /Author (Weller) /CreationDate (D:20250108) >>".to_owned(),
    ];
    for (number, text) in pages.iter().enumerate() {
        let content = text.map_or(String::new(), |text| {
            format!("BT /F1 10 Tf 72 700 Td ({text}) Tj ET")
        });
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            6 + 2 * number
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ));
    }
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).bytes());
    for offset in &offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    file.extend(
        format!(
            "trailer\n<< /Size {} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{start}\n%%EOF\n",
            offsets.len() + 1
        )
        .bytes(),
    );
    file
}

/// An object store in memory that counts what is read.
#[derive(Default)]
pub struct MemoryBlobs {
    pub objects: Mutex<BTreeMap<String, Bytes>>,
    pub reads: Mutex<usize>,
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn write(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.objects.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        *self.reads.lock().unwrap() += 1;
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }

    fn walk(&self, prefix: &str) -> BoxStream<'_, Result<Stored, Failure>> {
        let objects = self.objects.lock().unwrap();
        let below = objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let found: Vec<_> = below
            .map(|(key, bytes)| {
                Ok(Stored {
                    key: key.clone(),
                    size: bytes.len() as u64,
                    written: 0,
                })
            })
            .collect();
        futures::stream::iter(found).boxed()
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }

    async fn clock(&self) -> Result<i64, Failure> {
        Ok(0)
    }
}

/// A record as the loop hands it over.
pub fn input<T>(record: T) -> Input<T> {
    Input {
        record,
        headers: Vec::new(),
        partition: 0,
        offset: 0,
    }
}
