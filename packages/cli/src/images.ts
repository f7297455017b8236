/** Image files: hashed and uploaded as streams, with progress, in constant memory. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { imageDigest } from '@airlock/image';
import { fail, ok, type Result } from '@airlock/trust';
import type { Output } from './output.ts';
import type { ServerApi } from './server-api.ts';
import { Stop, stop, systemCode } from './stop.ts';

/** Large reads: hashing then runs at the speed of the disk. */
const readBytes = 1024 * 1024;

export interface HashedFile {
  readonly file: string;
  readonly len: number;
  readonly hash: string;
}

/** The file's length, if it is a file that can be an image. Codes: CLI_FILE_MISSING, CLI_FILE_READ, CLI_IMAGE_EMPTY. */
export async function imageLength(file: string, field: string): Promise<Result<number>> {
  try {
    const found = await stat(file);
    if (!found.isFile()) return fail('CLI_FILE_READ', `${file} is not a file`, field);
    if (found.size === 0)
      return fail('CLI_IMAGE_EMPTY', `${file} is empty; an image has at least one byte`, field);
    return ok(found.size);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return fail('CLI_FILE_MISSING', `there is no file ${file}`, field);
    return fail('CLI_FILE_READ', `${file} cannot be read (${code ?? String(error)})`, field);
  }
}

function counted(add: (bytes: number) => void): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      add(chunk.length);
      done(undefined, chunk);
    },
  });
}

/** Reads the whole file once. Stops with CLI_FILE_READ when it cannot be read. */
export async function hashFile(file: string, length: number, out: Output): Promise<HashedFile> {
  const progress = out.progress(`Hashing ${basename(file)}`, length);
  const digest = imageDigest();
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: readBytes })) {
      const bytes = Buffer.from(chunk);
      digest.add(bytes);
      progress.add(bytes.length);
    }
  } catch (error) {
    return stop('CLI_FILE_READ', `${file} cannot be read (${systemCode(error) ?? String(error)})`, file);
  }
  progress.end();
  const found = digest.finish();
  if (found.len !== length) return stop('CLI_FILE_CHANGED', `${file} changed while it was read`, file);
  return { file, ...found };
}

/** Sends the file under its hash, which the server computes again. */
export async function uploadFile(image: HashedFile, api: ServerApi, out: Output): Promise<void> {
  const progress = out.progress(`Uploading ${basename(image.file)}`, image.len);
  const stream = createReadStream(image.file, { highWaterMark: readBytes, end: image.len - 1 });
  const watched = counted((bytes) => progress.add(bytes));
  const reading = pipeline(stream, watched).catch((error: unknown) => {
    // The sending side reports its own end; a file that cannot be read any more ends it.
    watched.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    await api.putImage(image.hash, watched, image.len);
  } catch (error) {
    stream.destroy();
    throw error instanceof Stop
      ? error
      : stop('CLI_FILE_CHANGED', `${image.file} changed while it was sent`, image.file);
  } finally {
    await reading;
  }
  progress.end();
}
