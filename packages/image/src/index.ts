/** Public face of image: bytes in, bytes or a judgement out. Nothing here does I/O. */
export { difference, imageDigest, type ImageDigest, type ImageIs } from './digest.ts';
