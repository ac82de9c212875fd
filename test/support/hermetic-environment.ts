/** A setup file of the unit tests: what steers the suites of real clients, or the user's own node, is no business of theirs. */
for (const name of Object.keys(process.env)) {
  if (name.startsWith('ODRADEK_')) delete process.env[name];
}
