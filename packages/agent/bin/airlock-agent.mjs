#!/usr/bin/env node
// The agent's program, run from its sources. Plain JavaScript, so that an old Node can still say what is wrong.
const wanted = 26;
const found = Number.parseInt(process.versions.node, 10);
if (found < wanted) {
  process.stderr.write(`airlock-agent: needs Node ${wanted} or newer, found ${process.versions.node}\n`);
  process.exitCode = 70;
} else {
  const { startProgram } = await import('../src/program.ts');
  await startProgram();
}
