#!/usr/bin/env node
// Plain JavaScript, so that a Node that is too old says so instead of failing at a type.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(`airlock-server: needs Node 24 or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}
await import('../src/main.ts');
