#!/usr/bin/env bash
# Installs the dependencies if what package-lock.json asks for is not what node_modules holds.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm > /dev/null; then
  echo 'npm is needed (any version that comes with Node 20 or newer); Node 26 itself is installed into node_modules.' >&2
  exit 1
fi

if ! node scripts/is-installed.mjs; then
  echo 'installing the dependencies'
  # Below an error npm warns that its own Node is too old, which runs nothing but npm.
  npm ci --loglevel=error
fi

# npm may be set not to run install scripts; the package `node` needs its own to fetch the binary.
if ! node_modules/.bin/node --version > /dev/null 2>&1; then
  npm rebuild --ignore-scripts=false node
fi

# Not by npm's `prepare`: who installs the package would be asked to allow that script.
if [[ ! -d src/protocol/generated ]]; then
  node_modules/.bin/node scripts/generate-protocol.ts
fi
