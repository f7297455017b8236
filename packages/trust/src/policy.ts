/**
 * The policy (`policy.json`, schema `airlock-policy/1`): which functions approve for which class and market, and who
 * holds their keys. Signed by way of `targets`, whose only target it is.
 *
 * Read strictly: RFC 8785 canonical JSON, no unknown field (a rule that a device does not understand must not be
 * skipped), every class and the emergency set ask at least two functions (POL-02), every key has one holder.
 * Leaves to others: separation of holders and keys (separation.ts), the union with the root's minimum (demand.ts).
 */
import { Buffer } from 'node:buffer';
import { canonicalBytes } from './canonical.ts';
import { type Field, readFields } from './fields.ts';
import { publicKeyJson, readPublicKey } from './keys.ts';
import { trustLimits } from './limits.ts';
import { parseRaw } from './raw.ts';
import { fail, type Result } from './result.ts';
import { readClassesAndMarkets, readThresholds } from './thresholds.ts';
import type { Policy } from './types.ts';

/** One function would let the author of a release approve it alone. */
const functionsPerClassMin = 2;

/** Parses policy.json. Codes: OTA_POLICY with the field's path; OTA_TOO_LARGE, OTA_BAD_ENCODING, OTA_BAD_JSON. */
export function parsePolicy(bytes: Uint8Array): Result<Policy> {
  const parsed = parseRaw(bytes, trustLimits.policyBytesMax, 'policy.json');
  if (!parsed.ok) return parsed;
  const policy = readFields(parsed.value, { code: 'OTA_POLICY', name: 'policy.json' }, readPolicy);
  if (!policy.ok) return policy;
  if (!Buffer.from(canonicalBytes(parsed.value)).equals(bytes)) {
    return fail('OTA_POLICY', 'policy.json: is not in canonical form (RFC 8785)', 'policy.json');
  }
  return policy;
}

/** The policy's bytes, not judged: whoever makes one from a person's input parses these bytes before using them. */
export function encodePolicy(policy: Policy): Uint8Array {
  return canonicalBytes(policy);
}

function readPolicy(field: Field): Policy {
  field.object([
    'schema',
    'product',
    'classes',
    'markets',
    'emergency',
    'holders',
    'auditKey',
    'auditOrigin',
    'secureBootRevoked',
  ]);
  const schema = field.at('schema').choice(['airlock-policy/1']);
  const emergency = field.optional('emergency');
  return {
    schema,
    product: field.at('product').name(),
    ...readClassesAndMarkets(field, functionsPerClassMin),
    // Stands in for the set of a class, so it asks as many: an emergency is no reason for one person to decide alone.
    ...(emergency === undefined ? {} : { emergency: readThresholds(emergency, functionsPerClassMin) }),
    holders: readHolders(field.at('holders')),
    ...readAuditLog(field),
    secureBootRevoked: field.at('secureBootRevoked').unique((id) => id.line()),
  };
}

/** Names of logs are those of C2SP's signed notes: no white space, no plus sign. */
const originPattern = /^[!-*,-~]{1,128}$/;

function readAuditLog(field: Field): Pick<Policy, 'auditKey' | 'auditOrigin'> {
  const auditKey = field.optional('auditKey');
  const origin = field.optional('auditOrigin');
  if (auditKey === undefined && origin === undefined) return {};
  if (auditKey === undefined || origin === undefined)
    return field.refuse('names key and origin of an audit log, or neither');
  const key = readPublicKey(auditKey);
  if (key.keytype !== 'ed25519') auditKey.refuse('must be Ed25519: checkpoints are C2SP signed notes');
  const name = origin.text(128);
  if (!originPattern.test(name))
    origin.refuse('must be the name of a log: letters, digits, "/", "-" and ".", no spaces');
  return { auditKey: publicKeyJson(key), auditOrigin: name };
}

function readHolders(field: Field): Policy['holders'] {
  const keyIds = new Set<string>();
  return field.array(trustLimits.holdersMax).map((entry) => {
    entry.object(['keyId', 'holder', 'name', 'function']);
    const keyId = entry.at('keyId').sha256();
    if (keyIds.has(keyId)) entry.at('keyId').refuse('has two holders');
    keyIds.add(keyId);
    return {
      keyId,
      holder: entry.at('holder').line(),
      name: entry.at('name').line(),
      function: entry.at('function').name(),
    };
  });
}
