#!/usr/bin/env bash
# Installs what building and testing need and the machine lacks.
#
#   scripts/setup.sh           build packages and the Rust toolchain
#   scripts/setup.sh python    also what the Python producer and its test need, in a folder of their own
#   scripts/setup.sh servers   also Java, and the jars of the servers that tests start
#   scripts/setup.sh streams   also Kafka Streams, for the loop bench
#   scripts/setup.sh deny      also cargo-deny
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/penstock"
packages=(build-essential clang cmake libcurl4-openssl-dev libssl-dev libzstd-dev pkg-config poppler-utils python3-pip python3-venv)

fail() {
  echo "setup: $*" >&2
  exit 1
}

system_packages() { # PACKAGE…
  local missing=()
  if ! command -v dpkg-query >/dev/null; then
    # Not Debian: say what is needed where it is missing, and let the build speak for the rest.
    command -v cmake >/dev/null && command -v cc >/dev/null ||
      fail "install a C compiler, cmake, pkg-config and the headers of OpenSSL, curl and zstd, then run this again"
    return
  fi
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "setup: installing ${missing[*]}" >&2
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq >/dev/null || fail "apt-get update failed"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null ||
    fail "apt-get install ${missing[*]} failed"
}

toolchain() {
  if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
    # shellcheck disable=SC1091
    . "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null || fail "the Rust toolchain is missing: install rustup (https://rustup.rs), then run this again"
  # rust-toolchain.toml names the version; rustup installs it where it is missing.
  cargo --version >/dev/null 2>&1 || rustup toolchain install >/dev/null 2>&1 ||
    fail "the Rust toolchain of rust-toolchain.toml is missing: rustup toolchain install"
}

python_packages() {
  local venv="$cache/python" wanted
  wanted="$(sha256sum samples/requirements.txt | cut -d' ' -f1)"
  [ "$(cat "$venv/installed" 2>/dev/null)" = "$wanted" ] && return
  echo "setup: installing Python packages for samples/produce.py" >&2
  python3 -m venv "$venv" || fail "python3 -m venv failed: install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement samples/requirements.txt ||
    fail "pip install --requirement samples/requirements.txt failed"
  echo "$wanted" >"$venv/installed"
}

# Apache Kafka and Neo4j from their published artifacts, each into a folder of its own that tests look in. Neo4j is
# started by a source file, which takes a compiler.
server_jars() {
  local packages=()
  command -v javac >/dev/null || packages+=(default-jdk-headless)
  command -v openssl >/dev/null || packages+=(openssl)
  [ ${#packages[@]} -eq 0 ] || system_packages "${packages[@]}"
  jars tests/servers/pom.xml "$cache/jars" "Apache Kafka for the tests"
  jars tests/servers/neo4j/pom.xml "$cache/neo4j" "Neo4j for the tests"
}

# Kafka Streams is run from a source file, which takes a compiler.
streams_jars() {
  command -v javac >/dev/null || system_packages default-jdk-headless
  jars tests/benches/peers/pom.xml "$cache/streams" "Kafka Streams for the loop bench"
}

# What a POM names, into a folder. A warm run looks at one file.
jars() { # POM FOLDER WHAT
  local pom="$1" folder="$2" wanted
  wanted="$(sha256sum "$pom" | cut -d' ' -f1)"
  [ "$(cat "$folder/installed" 2>/dev/null)" = "$wanted" ] && return
  command -v mvn >/dev/null || system_packages maven
  echo "setup: fetching $3" >&2
  command -v mvn >/dev/null || fail "Maven is missing: install Java 17 or newer and Maven, then run this again"
  rm -rf "$folder" "$folder.new"
  mvn --quiet --batch-mode -Dstyle.color=never --file "$pom" dependency:copy-dependencies \
    -DoutputDirectory="$folder.new" >&2 || fail "mvn dependency:copy-dependencies failed"
  echo "$wanted" >"$folder.new/installed"
  mv "$folder.new" "$folder"
}

cargo_deny() {
  [ -x "$cache/tools/bin/cargo-deny" ] && return
  echo "setup: installing cargo-deny" >&2
  cargo install --quiet --locked --root "$cache/tools" cargo-deny || fail "cargo install cargo-deny failed"
}

system_packages "${packages[@]}"
toolchain
for extra in "$@"; do
  case "$extra" in
    python) python_packages ;;
    servers) server_jars ;;
    streams) streams_jars ;;
    deny) cargo_deny ;;
    *) fail "unknown: $extra" ;;
  esac
done
