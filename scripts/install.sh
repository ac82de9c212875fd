#!/usr/bin/env bash
# Installs the dependencies if what package-lock.json asks for is not what node_modules holds.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm > /dev/null; then
  echo 'npm is needed (any version that comes with Node 20 or newer); Node 26 itself is installed into node_modules.' >&2
  exit 1
fi

if ! node scripts/is-installed.mjs; then
  npm ci
fi

# npm may be set not to run install scripts; the package `node` needs its own to fetch the binary.
if ! node_modules/.bin/node --version > /dev/null 2>&1; then
  npm rebuild --ignore-scripts=false node
fi
