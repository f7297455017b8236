/**
 * Entry of `npm run crash`: plain JavaScript, so that an old Node can say what is missing.
 */
const nodeMajorMin = 26;
if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
  process.stderr.write(`Airlock needs Node ${nodeMajorMin}, which \`npm ci\` brings; run it through npm.\n`);
  process.exit(2);
}
await import('./src/crash/main.ts');
