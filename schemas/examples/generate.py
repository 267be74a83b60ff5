"""Writes <record>.json: three examples of each record (minimal, full, unicode), each with its bytes by fastavro.

Golden: once a schema version is released its files stay. Run with the Python of `scripts/setup.sh python`."""
import io
import json
import pathlib

import fastavro
import fastavro.schema

HERE = pathlib.Path(__file__).parent
TEXTS = {"full": "text", "unicode": "Größe – 図書館 🚚 \u0000"}
UUID = "0190a5b2-7c3d-7e4f-8a1b-2c3d4e5f6071"
IDS = {"document_guid", "version", "edition", "chunk_guid", "run", "ids", "chunk", "deleted", "newest"}


def example(schema, kind, named, field=""):
    if isinstance(schema, str) and schema in named:
        schema = named[schema]
    if isinstance(schema, list):
        return None if kind == "minimal" else example(schema[1], kind, named, field)
    name = schema if isinstance(schema, str) else schema["type"]
    full = kind != "minimal"
    if name == "record":
        named[schema["name"]] = schema
        return {it["name"]: example(it["type"], kind, named, it["name"]) for it in schema["fields"]}
    if name == "enum":
        named[schema["name"]] = schema
        return schema["symbols"][-1 if full else 0]
    if name == "array":
        return [example(schema["items"], kind, named, field)] * 2 if full else []
    if name == "map":
        # In order of keys, as we write maps.
        return dict(sorted({"impact_tier": "high", TEXTS[kind]: TEXTS[kind]}.items())) if full else {}
    if name == "string":
        return UUID if field in IDS else TEXTS.get(kind, "")
    plain = {"int": 7, "long": 1741910400000, "double": 0.5, "float": 0.25, "boolean": True, "bytes": bytes(range(16))}
    zero = {"int": 0, "long": 0, "double": 0.0, "float": 0.0, "boolean": False, "bytes": b""}
    return (plain if full else zero)[name]


def plain_json(value):
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, dict):
        return {name: plain_json(it) for name, it in value.items()}
    return [plain_json(it) for it in value] if isinstance(value, list) else value


for path in sorted((HERE.parent / "avro").glob("*.avsc")):
    raw = json.loads(path.read_text())
    schema = fastavro.schema.parse_schema(json.loads(path.read_text()))
    canonical = fastavro.schema.to_parsing_canonical_form(raw)
    mark = "c301" + fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    examples = []
    for kind in ("minimal", "full", "unicode"):
        record = example(raw, kind, {})
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, record)
        examples.append({"name": kind, "record": plain_json(record), "bytes": mark + out.getvalue().hex()})
    (HERE / f"{path.stem}.json").write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n")
