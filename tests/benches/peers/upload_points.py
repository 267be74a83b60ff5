"""Writes points with Qdrant's own client: PARALLEL PORT POINTS. They are made before the clock runs."""

import json
import os
import sys
import time
import uuid

import numpy as np
from qdrant_client import QdrantClient, models

SIZE = 384
FIELDS = ["source_guid", "document_guid", "edition", "doc_type", "entity_type", "language", "impact_tier"]


def point(number, vectors):
    text = "".join(f"word{(number * 31 + n * n) % 20000} " for n in range(110))
    document = str(uuid.UUID(int=number // 10 + 1))
    return models.PointStruct(
        id=str(uuid.UUID(int=number + 2**64)),
        vector={
            "dense": vectors[number].tolist(),
            "bm25": models.SparseVector(
                indices=[number * 131 + n * 7919 for n in range(100)], values=[1.0 + n / 100 for n in range(100)]
            ),
        },
        payload={
            "document_guid": document,
            "group_guid": "bench",
            "source_guid": "files",
            "edition": str(uuid.UUID(int=7)),
            "version": str(uuid.UUID(int=9)),
            "visible": False,
            "part": 0,
            "chunk_index": number % 10,
            "start_char": 0,
            "end_char": len(text),
            "page_first": 1,
            "page_last": 2,
            "heading_path": ["Chapter", "Section"],
            "text": text,
            "title": f"Document {number}",
            "path": f"docs/{number}.md",
            "language": "en",
            "entity_type": ["Load"],
            "created_at": "2023-11-14T22:13:20.000Z",
            "model": "all-MiniLM-L6-v2@53aa51172d14",
            "content_hash": "0" * 64,
            "schema_version": 1,
        },
    )


def main():
    parallel, port, count = map(int, sys.argv[1:])
    client = QdrantClient(
        host="127.0.0.1", port=port, grpc_port=port, prefer_grpc=True, timeout=300, check_compatibility=False
    )
    # Not through its REST side, which the endpoint does not have.
    client.create_collection(
        "chunks",
        vectors_config={"dense": models.VectorParams(size=SIZE, distance=models.Distance.COSINE, on_disk=True)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    client.create_payload_index("chunks", "group_guid", tenant)
    for field in FIELDS:
        client.create_payload_index("chunks", field, models.PayloadSchemaType.KEYWORD)
    client.create_payload_index("chunks", "visible", models.PayloadSchemaType.BOOL)
    client.create_payload_index("chunks", "chunk_index", models.PayloadSchemaType.INTEGER)
    client.create_payload_index("chunks", "impact_score", models.PayloadSchemaType.FLOAT)
    client.create_payload_index("chunks", "created_at", models.PayloadSchemaType.DATETIME)
    vectors = np.random.default_rng(7).standard_normal((count, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points = [point(number, vectors) for number in range(count)]
    began, cpu = time.monotonic(), sum(os.times()[:4])
    client.upload_points("chunks", points, batch_size=256, parallel=parallel, wait=True)
    seconds, used = time.monotonic() - began, sum(os.times()[:4]) - cpu
    print(json.dumps({"seconds": seconds, "cpu_seconds": used}))


if __name__ == "__main__":
    main()
