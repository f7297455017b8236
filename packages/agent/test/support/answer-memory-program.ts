/** A process of its own that reads bodies of check-in answers one after another, and says what that cost it. */
import { readFileSync } from 'node:fs';
import { parseCheckInAnswer } from '../../src/adapters/http-answer.ts';
import { TransportError } from '../../src/ports/platform.ts';

const bodies = (JSON.parse(readFileSync(0, 'utf8')) as string[]).map((body) => Buffer.from(body));
let refused = 0;
for (const body of bodies) {
  try {
    parseCheckInAnswer(body, 'server');
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    refused += 1;
  }
}
const peakBytes = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ refused, peakBytes }));
