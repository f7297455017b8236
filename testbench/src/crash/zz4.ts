import { loadAgent } from './agent-sources.ts';
import { runSeeded } from './seeded.ts';
const agent = await loadAgent('plain');
const seen = new Set<string>();
const from = Number(process.argv[2] ?? 1),
  count = Number(process.argv[3] ?? 20);
let bad = 0,
  boots = 0,
  cuts = 0;
const t = performance.now();
for (let seed = from; seed < from + count; seed += 1) {
  const r = await runSeeded(seed, agent, (k) => seen.add(k));
  boots += r.boots;
  cuts += r.cuts;
  if (r.found) {
    bad += 1;
    if (bad <= 3) console.log(seed, r.found);
    else console.log(seed, r.found.violation.split('\n')[0]);
  }
}
console.log({
  bad,
  boots,
  cuts,
  seen: seen.size,
  s: (performance.now() - t) / 1000,
  cpu: process.cpuUsage().user / 1e6,
});
