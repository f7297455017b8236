/** The document of a key plan, `airlock-key-plan/1`: read strictly, every refusal naming the step. Pure. */
import { isFunctionName, trustLimits } from '@airlock/trust';
import { Reader } from '../fields.ts';
import type { KeyPlan, PlanStep } from './key-plan.ts';

/** Steps of one plan; a rotation of everything has a dozen. */
const stepsMax = 64;
const idPattern = /^[a-z0-9][a-z0-9-]{0,63}$/;
/** Ids of secure-boot keys as reports carry them. */
const keyCharactersMax = 128;

const kinds = [
  'secure-boot-trust',
  'secure-boot-use',
  'secure-boot-retire',
  'update-add',
  'update-retire',
] as const;

/** Stops with CLI_KEY_PLAN, naming file and field. */
export function readKeyPlan(value: unknown, name: string): KeyPlan {
  const reader = new Reader(value, { code: 'CLI_KEY_PLAN', name });
  reader.object(['schema', 'product', 'version', 'reason', 'steps']);
  reader.at('schema').choice(['airlock-key-plan/1']);
  // For people: why the keys change.
  reader.at('reason').text();
  const product = reader.at('product');
  if (!isFunctionName(product.text())) product.refuse('must be the name of a product');
  const steps = reader.at('steps').list();
  if (steps.length === 0 || steps.length > stepsMax) {
    reader.at('steps').refuse(`must have 1 to ${stepsMax} steps`);
  }
  return {
    product: product.text(),
    version: reader.at('version').integer(1),
    steps: steps.map(readStep),
  };
}

function readStep(reader: Reader): PlanStep {
  reader.object(['id', 'does', 'key', 'release', 'role', 'note']);
  const id = reader.at('id').text();
  if (!idPattern.test(id)) reader.at('id').refuse('must be a short name: lower-case letters, digits and "-"');
  const does = reader.at('does').choice(kinds);
  const key = reader.at('key').text();
  const release = reader.optional('release')?.integer(1, trustLimits.releaseVersionMax);
  const role = reader.optional('role')?.text();
  if (does.startsWith('secure-boot')) {
    if (key === '' || key.length > keyCharactersMax) {
      reader.at('key').refuse(`must be a secure-boot key's id of 1 to ${keyCharactersMax} characters`);
    }
    if (role !== undefined) reader.at('role').refuse('is of update keys only');
  } else {
    if (!/^[0-9a-f]{64}$/.test(key))
      reader.at('key').refuse('must be a whole key id; see airlock keys list --json');
    if (role === undefined) reader.at('role');
  }
  switch (does) {
    case 'secure-boot-trust':
    case 'secure-boot-use':
      return { id, does, key, release: release ?? reader.at('release').integer(1) };
    case 'secure-boot-retire':
      if (release !== undefined) reader.at('release').refuse('is not of a key that goes');
      return { id, does, key };
    case 'update-add':
      return { id, does, key, role: role ?? '', ...(release === undefined ? {} : { release }) };
    default:
      if (release !== undefined) reader.at('release').refuse('is not of a key that goes');
      return { id, does, key, role: role ?? '' };
  }
}
