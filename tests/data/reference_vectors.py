"""Makes reference_vectors.json: texts and what sentence-transformers says their vectors are.

    python3 -m venv venv && venv/bin/pip install sentence-transformers
    scripts/fetch-model.sh MODEL
    venv/bin/python tests/data/reference_vectors.py MODEL > tests/data/reference_vectors.json

Each text is encoded alone, so that the reference knows no padding.
"""

import json
import sys

import sentence_transformers

LONG = (
    "The driver checks the load against the bill of lading before leaving the yard, notes every damage on the "
    "inspection sheet, and signs both copies. Reefers are set to the temperature of the order, not to that of the last "
    "trip. "
)

TEXTS = [
    "Hello",
    "?",
    "The cat sat on the mat.",
    "What are the payment terms of Hanse Logistik GmbH?",
    "Invoice INV-2024-00317 over 12,480.50 EUR is due within 30 days net.",
    "Truck TRK-4412, a 2019 Volvo FH16, is in maintenance until Friday 14 June.",
    "Die Fahrerin meldet den Schaden am Auflieger sofort der Disposition.",
    "Überprüfen Sie die Kühlkette: Temperatur, Türdichtung und Straßenzustand müssen übereinstimmen.",
    "Le chauffeur doit vérifier l'arrimage à chaque arrêt, même après une courte étape.",
    "積荷は東京港で午前九時に引き渡されます。",
    "Груз прибудет на склад завтра утром.",
    "يصل الشاحن إلى المستودع غدا",
    "Thumbs up 👍🏽, a family 👨‍👩‍👧‍👦, a flag 🇩🇪 and naïve café ﬁancé ½ ™ — “quoted”…",
    "cafe\u0301 and caf\u00e9 are written in two ways",
    "let x = vec![1, 2, 3]; for i in &x { println!(\"{i:?}\"); } // https://example.org/a/b?c=d&e=f#g",
    "| Load | From | To | Status |\n|---|---|---|---|\n| L-1001 | Hamburg | Wien | delivered |\n| L-1002 | Graz | Turin | open |",
    "# Tyres\n\n## Winter\n\nTread depth must be at least 4 mm from October to Easter.",
    "tabs\tand\nnewlines\r\n  and   many      spaces\u00a0and\u200bzero width",
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaftskapitän pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 150 + " is one word too long for the vocabulary",
    LONG,
    LONG * 3,
    LONG * 5,
    LONG * 20,
    "word " * 254,
    "word " * 255,
]


def main():
    model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")
    rows = []
    for text in TEXTS:
        vector = model.encode([text], normalize_embeddings=False)[0]
        rows.append({"text": text, "vector": [float(f"{value:.7g}") for value in vector.tolist()]})
    lines = [json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows]
    made = f"sentence-transformers {sentence_transformers.__version__}, max_seq_length {model.max_seq_length}"
    print('{"model":"all-MiniLM-L6-v2","made_with":%s,"rows":[\n%s\n]}' % (json.dumps(made), ",\n".join(lines)))


main()
