import { hunt } from './hunt.ts';
import { mutants } from './mutants.ts';
const want = process.argv[2];
let n = 0,
  c = 0;
for (const m of mutants) {
  if (want && !m.name.includes(want)) continue;
  const t = performance.now();
  try {
    const h = await hunt(m);
    n++;
    if (h.caught) c++;
    console.log(
      h.caught ? 'caught' : 'MISSED',
      ((performance.now() - t) / 1000).toFixed(1),
      m.name,
      '|',
      h.caught?.slice(0, 150),
    );
  } catch (e) {
    console.log('ERROR', m.name, (e as Error).message.slice(0, 300));
  }
}
console.log(c, '/', n);
