"""Publishes one document to rag.documents.v1, as any program may: produce.py BROKERS OBJECTS_FOLDER SCHEMA FILE"""
import hashlib, io, pathlib, sys, uuid, time, os
import confluent_kafka, fastavro, fastavro.schema

brokers, objects, schema_file, file = sys.argv[1:5]
schema = fastavro.schema.load_schema(schema_file)
canonical = fastavro.schema.to_parsing_canonical_form(schema)
mark = bytes.fromhex("c301") + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
content = pathlib.Path(file).read_bytes()
document, sha256 = str(uuid.uuid5(uuid.NAMESPACE_URL, "produce.py/" + file)), hashlib.sha256(content).hexdigest()
version = uuid.UUID(int=(time.time_ns() // 10**6) << 80 | 7 << 76 | 2 << 62 | int.from_bytes(os.urandom(7)))
place = pathlib.Path(objects, "default", document, str(version), sha256)  # the bytes first, then the record that names them
place.parent.mkdir(parents=True, exist_ok=True)
place.write_bytes(content)
record = io.BytesIO()
fastavro.schemaless_writer(record, schema, dict(document_guid=document, group="default", source="produce.py", key=file, version=str(version),
    path=file, blob=dict(key=f"default/{document}/{version}/{sha256}", sha256=sha256, size=len(content)), attributes={"doc_type": "note"}))
producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
producer.produce("rag.documents.v1", key=document, value=mark + record.getvalue())
sys.exit(producer.flush(30))
