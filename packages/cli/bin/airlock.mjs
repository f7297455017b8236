#!/usr/bin/env node
// `airlock`: asks for the Node version first, in plain JavaScript that any Node reads, then starts the program.
// Without this an older Node would stop at the first type annotation with a syntax error that says nothing.
import process from 'node:process';

const wanted = 26;

function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= wanted) return true;
  process.stderr.write(
    `airlock: Node ${wanted} or newer is needed, this is ${process.versions.node}. ` +
      `Run it through npm in the workspace, or put node_modules/.bin first in PATH.\n`,
  );
  process.exitCode = 2;
  return false;
}

if (requireNode()) {
  const { main } = await import('../src/main.ts');
  await main();
}
