#!/usr/bin/env bash
# Ingests the samples and asks three questions. Called by `make demo`.
set -euo pipefail
bin="$1"
data="$2"
cd "$(dirname "$0")/.."

say() { printf '\n$ penstock %s\n' "$*"; }

say ingest samples
status=0
"$bin" ingest samples --data "$data" || status=$?
# samples/broken/ is meant to be dead-lettered: 2 says that some documents were.
[ "$status" = 0 ] || [ "$status" = 2 ] || exit "$status"

questions=(
  "For how many minutes may the doors of a loaded reefer stay open at a single stop?"
  "What is the total amount and due date of the invoice for hauling paper reels from Duisburg to Rotterdam?"
  "Why did the shipment of chilled yoghurt reach Innsbruck late?"
)
for question in "${questions[@]}"; do
  say "query \"$question\" --limit 2"
  "$bin" query "$question" --limit 2 --data "$data"
done
