import { loadAgent } from './agent-sources.ts';
import { seededRandom } from '../random.ts';
import { explore } from './explore.ts';
import { startState } from './start-states.ts';
import { World } from './world.ts';
import { scenarios } from './scenarios.ts';
const agent = await loadAgent('plain');
const T = Number(process.env.T ?? 100) * 1000;
for (const s of scenarios.filter((x) => process.argv[2] === undefined || x.name === process.argv[2])) {
  const t = performance.now();
  const world = new World(s.options, { installed: 1, target: s.target });
  const start = await startState(s.start, world, agent);
  let last = t;
  const r = await explore({
    world,
    agent,
    environments: s.environments,
    start,
    random: seededRandom(1),
    kills: s.kills,
    nodesMax: 1e9,
    progress: (p) => {
      if (performance.now() - last > 10000) {
        last = performance.now();
        console.log(((last - t) / 1000).toFixed(0), JSON.stringify(p));
      }
    },
    isOver: () => performance.now() - t > T,
  });
  console.log(
    s.name,
    r,
    ((performance.now() - t) / 1000).toFixed(1),
    (process.cpuUsage().user / 1e6).toFixed(1),
  );
}
