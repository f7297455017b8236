/**
 * `npm start`: server and one device keep running, and the user is told what to try next.
 */
import { relative } from 'node:path';
import { product } from '../world/company.ts';
import { addDevice, addRelease, type Run } from './run.ts';

/** Resolves on Ctrl-C; what runs is ended by the caller's clean-up. */
export async function stay(run: Run): Promise<number> {
  const device = await addDevice(run, 'pump-1', { onLine: (line) => run.report.step(`pump-1: ${line}`) });
  await addRelease(run, { version: 2 });
  device.virtual.powerOn();
  const { company } = run;
  const airlock = `npx airlock --home ${company.home} --passphrase-file ${company.passphraseFile}`;
  process.stdout.write(`
Server and device pump-1 are running. Everything lies in ${run.folder}
and is gone when you press Ctrl-C here. Release 2 is approved and waits. In another terminal, in
${relative(process.cwd(), '.') || process.cwd()}:

  ${airlock} assign pump-1 2        # the device installs, restarts, tests and confirms it
  ${airlock} status                 # what every device says of itself
  ${airlock} log pump-1             # its log, with a reason for everything
  ${airlock} release show ${product} 2
  ${airlock} release withdraw ${product} 2 --as quality --reason 'a fault' --yes

On the device itself, with no network:

  ${process.execPath} ${device.folder.runFolder}/A/airlock-agent.mjs status --config ${device.folder.configFile}
  ${process.execPath} ${device.folder.runFolder}/A/airlock-agent.mjs log --config ${device.folder.configFile}
`);
  let shown = 0;
  for (;;) {
    await device.virtual.waitFor('an entry in the log', Number.POSITIVE_INFINITY, () =>
      device.log.look().length > shown ? true : undefined,
    );
    for (const entry of device.log.entries.slice(shown))
      run.report.step(`pump-1 log: ${entry.code} ${entry.reason}`);
    shown = device.log.entries.length;
  }
}
