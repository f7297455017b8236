/** The tables as Kysely sees them; `migrations.ts` makes them. */
import type { Generated } from 'kysely';

export interface Tables {
  roles: { owner: string; role: string; version: number; file: string; created: string };
  /** Rows of `roles` that are not current although their number is higher. Almost always empty. */
  passed_over: { owner: string; role: string; version: number };
  snapshot_expiry: { owner: string; expires: string };
  documents: { product: string; sha256: string; text: string };
  products: { product: string; created: string; revision: number };
  proposals: {
    product: string;
    role: string;
    version: number;
    revision: number;
    file: string;
    proposed_by: string;
    proposed: string;
  };
  numbers: { product: string; role: string; version: number; signed_sha256: string; voided: number };
  reservations: {
    product: string;
    role: string;
    version: number;
    signed_sha256: string;
    key_id: string;
    until: string;
  };
  missing_files: {
    product: string;
    role: string;
    version: number;
    evidence: 'signer' | 'device';
    device: string | null;
    since: string;
  };
  claims: {
    product: string;
    role: string;
    device: string;
    version: number;
    since: string;
    dismissed: string | null;
  };
  /** One row. */
  timestamp_mark: { id: number; version: number };
  releases: {
    product: string;
    version: number;
    manifest_sha256: string;
    manifest_length: number;
    name: string;
    safety_class: string;
    created: string;
    created_by: string;
  };
  images: { sha256: string; length: number; created: string };
  devices: {
    device: string;
    product: string;
    record: string;
    record_number: number;
    certificate_sha256: string;
    log_key: string;
    registered: string;
    revoked: string | null;
  };
  last_seen: { device: string; moment: string };
  assignments: {
    device: string;
    product: string;
    release: number;
    manifest_sha256: string;
    custom: string;
    revision: number;
    assigned: string;
    assigned_by: string;
  };
  reports: {
    id: Generated<number>;
    device: string;
    boot_id: string;
    sequence: number;
    received: string;
    envelope: string;
    report: string;
  };
  latest_reports: { device: string; report: number };
  log_entries: { device: string; generation: number; sequence: number; sha256: string; entry: string };
  log_heads: { device: string; sequence: number; envelope: string };
  log_findings: {
    device: string;
    kind: 'gap' | 'change' | 'restart';
    sequence: number;
    detail: string;
    found: string;
  };
  /** One row. */
  audit_head: { id: number; origin: string; size: number; edge: string; time: string };
  audit_entries: { position: number; leaf: string };
  audit_nodes: { level: number; position: number; hash: string };
  pseudonyms: { actor: string; pseudonym: string };
  statements: {
    product: string;
    role: string;
    version: number;
    signed_sha256: string;
    key_id: string;
    release: number | null;
    envelope: string;
    entry: number;
  };
  users: {
    user: string;
    name: string;
    roles: string;
    functions: string;
    products: string;
    issuer: string | null;
    subject: string | null;
    password: string | null;
    secret_until: string | null;
    created: string;
    last_sign_in: string | null;
    removed: string | null;
  };
  sessions: { sha256: string; user: string; created: string; expires: string; last_used: string };
  api_tokens: {
    user: string;
    name: string;
    sha256: string;
    permissions: string;
    products: string;
    created: string;
    expires: string;
    revoked: string | null;
  };
  sign_ins: {
    state_sha256: string;
    verifier: string;
    nonce: string;
    expires: string;
    binding_sha256: string | null;
    port: number | null;
    challenge: string | null;
    user: string | null;
    code_sha256: string | null;
  };
}
