// Exits 0 if node_modules holds exactly what package-lock.json asks for. Plain JavaScript: the machine's own Node runs it.
import { readFileSync } from 'node:fs';

function packagesOf(path) {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8')).packages));
  } catch {
    return undefined;
  }
}

const wanted = packagesOf('package-lock.json');
// npm keeps the lock file of what it installed here.
const installed = packagesOf('node_modules/.package-lock.json');

function isInstalled() {
  if (wanted === undefined || installed === undefined) return false;
  wanted.delete('');
  for (const [path, { version, optional }] of wanted) {
    const found = installed.get(path);
    if (found === undefined ? !optional : found.version !== version) return false;
  }
  return [...installed.keys()].every((path) => wanted.has(path));
}

process.exit(isInstalled() ? 0 : 1);
