/**
 * Entry of `npm run demo` and `npm start`: plain JavaScript, so that an old Node can say what is missing.
 */
const nodeMajorMin = 26;
const major = Number(process.versions.node.split('.')[0]);
if (major < nodeMajorMin) {
  process.stderr.write(
    `This is Node ${process.versions.node}; Airlock needs Node ${nodeMajorMin}, which \`npm ci\` brings. ` +
      'Run `npm ci` and then `npm run demo`.\n',
  );
  process.exit(2);
}
await import('./src/demo/main.ts');
