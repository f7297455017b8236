/**
 * One image as one stream of bytes, whatever the network does: ranges, retries with back-off, a byte rate.
 *
 * Keeps true: after an interruption it asks for what is missing and nothing else; tries that bring no byte are
 * bounded; never more bytes are passed on than were asked for. Whether they are the right bytes is the hash's to say.
 */
import { backoffSeconds, type TokenBucket } from './core/schedule.ts';
import { TransportError } from './ports/platform.ts';
import type { AgentPorts } from './settings.ts';

/** Between two tries of one image: short, since the attempt as a whole has a back-off of its own. */
const downloadBackoff = { secondsMin: 1, secondsMax: 60 };

/** Thrown when the tries are used up; the message names the last fault. */
export class DownloadEnded extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DownloadEnded';
  }
}

export async function* downloadImage(
  ports: Pick<AgentPorts, 'transport' | 'clock' | 'random'>,
  image: { readonly hash: string; readonly len: number },
  limits: { readonly triesMax: number; readonly bucket: TokenBucket },
): AsyncGenerator<Uint8Array> {
  const { transport, clock, random } = ports;
  let received = 0;
  let triesWithoutByte = 0;
  while (received < image.len) {
    const begun = received;
    let fault = 'the connection ended early';
    try {
      for await (const bytes of transport.readImage({
        sha256: image.hash,
        start: received,
        end: image.len,
      })) {
        received += bytes.length;
        yield bytes;
        const waitMs = limits.bucket.take(bytes.length, clock.monotonicMs());
        if (waitMs > 0) await clock.sleep(waitMs);
      }
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      fault = `${error.code}: ${error.message}`;
    }
    if (received >= image.len) return;
    triesWithoutByte = received > begun ? 1 : triesWithoutByte + 1;
    if (triesWithoutByte >= limits.triesMax) throw new DownloadEnded(fault);
    await clock.sleep(backoffSeconds(triesWithoutByte, downloadBackoff, random.fraction()) * 1000);
  }
}
