/**
 * An audit log in memory for the simulated server: appends, proves, and on request rewrites its own history. Only the
 * package's pure tree is used; nodes are computed from the leaves each time.
 */
import { generateKeyPairSync } from 'node:crypto';
import {
  appendLeaf,
  consistencyPlan,
  emptyEdge,
  encodeEntry,
  foldHashes,
  type Hash,
  hashLeaf,
  inclusionPlan,
  type LogIdentity,
  type NodeAt,
  type ProofPlan,
  readStatementUnverified,
  signCheckpoint,
  statementSha256,
} from '@airlock/audit';
import { type Signer, signerFrom } from '@airlock/trust';

export interface LoggedStatement {
  readonly keyId: string;
  readonly statement: string;
  readonly entry: number;
  readonly role: string;
  readonly version: number;
  readonly release?: number;
}

function leafOf(reason: string, after: Record<string, string> | null): Uint8Array {
  return encodeEntry({
    schema: 'airlock-audit-entry/1',
    time: 1_800_000_000,
    act: after === null ? 'release.create' : 'role.sign',
    actor: 'server',
    subject: { product: 'pump' },
    before: null,
    after,
    reason,
  });
}

const invented = (statement: string): Uint8Array =>
  leafOf('', { statement: statementSha256(Buffer.from(statement)) });

export class SimulatedLog {
  readonly origin = 'simulated.example/audit';
  signer: Signer;
  leaves: Uint8Array[] = [];
  readonly statements = new Map<string, LoggedStatement[]>();
  /** Says yes to statements and puts none into the log. */
  forgetful = false;
  /** Shows an entry for a statement that it never appended. */
  inventive = false;

  constructor(keysOf?: SimulatedLog) {
    this.signer = keysOf?.signer ?? signerFrom(generateKeyPairSync('ed25519').privateKey);
    for (let n = 0; n < 5; n += 1) this.append(`act ${n}`);
  }

  get identity(): LogIdentity {
    return { origin: this.origin, key: this.signer.publicKey };
  }

  append(reason: string, after: Record<string, string> | null = null): number {
    this.leaves.push(leafOf(reason, after));
    return this.leaves.length - 1;
  }

  /** Another history of the same length. */
  rewrite(at: number): void {
    const tail = this.leaves.splice(at);
    for (const _ of tail) this.append('something else');
  }

  /** A shorter one: as a server that was restored from a backup. */
  restore(size: number): void {
    this.leaves = this.leaves.slice(0, size);
  }

  /** Signs with a key that no policy names. */
  stealIdentity(): void {
    this.signer = signerFrom(generateKeyPairSync('ed25519').privateKey);
  }

  take(role: string, statements: readonly string[]): void {
    for (const statement of statements) {
      const read = readStatementUnverified(Buffer.from(statement));
      if (!read.ok) throw new Error(read.error.message);
      const { signer, roleVersion: version, release } = read.value;
      const sha256 = statementSha256(Buffer.from(statement));
      const entry = this.forgetful ? 0 : this.append('', { statement: sha256 });
      const about = release === undefined ? {} : { release: release.version };
      const one = { keyId: signer.keyId, statement, entry, role, version, ...about };
      this.statements.set(role, [...(this.statements.get(role) ?? []), one]);
    }
  }

  /** Undefined for an address that is none of the log's. */
  answer(call: string): Uint8Array | object | undefined {
    if (call === 'GET audit/checkpoint') {
      const size = this.leaves.length;
      return Buffer.from(
        signCheckpoint({ origin: this.origin, size, root: this.#root(size) }, [this.signer]),
      );
    }
    const [, first, size] = /^GET audit\/consistency\?first=(\d+)&size=(\d+)$/.exec(call) ?? [];
    if (size !== undefined) return { hashes: this.#proof(consistencyPlan(Number(first), Number(size))) };
    const [, index, of] = /^GET audit\/inclusion\?index=(\d+)&size=(\d+)$/.exec(call) ?? [];
    if (of !== undefined) return { hashes: this.#proof(inclusionPlan(Number(index), Number(of))) };
    const all = [...this.statements.values()].flat();
    const [, about] = /^GET products\/[^/]+\/releases\/(\d+)\/statements$/.exec(call) ?? [];
    if (about !== undefined) return this.#shown(all.filter(({ release }) => release === Number(about)));
    const [, role] = /^GET products\/[^/]+\/statements\/([^/]+)\/\d+$/.exec(call) ?? [];
    return role === undefined ? undefined : this.#shown(this.statements.get(role) ?? []);
  }

  #shown(list: readonly LoggedStatement[]): object {
    return {
      statements: list.map((one) => ({
        ...one,
        leaf: Buffer.from(
          this.inventive ? invented(one.statement) : (this.leaves[one.entry] ?? []),
        ).toString(),
      })),
    };
  }

  #root(size: number): Hash {
    let edge = emptyEdge;
    for (const leaf of this.leaves.slice(0, size)) edge = appendLeaf(edge, hashLeaf(leaf)).edge;
    return foldHashes(edge.roots);
  }

  #proof(plan: ProofPlan): string[] {
    return plan.map((nodes) =>
      Buffer.from(foldHashes(nodes.map((node) => this.#node(node)))).toString('hex'),
    );
  }

  #node({ level, index }: NodeAt): Hash {
    const from = index * 2 ** level;
    let edge = emptyEdge;
    for (const leaf of this.leaves.slice(from, from + 2 ** level))
      edge = appendLeaf(edge, hashLeaf(leaf)).edge;
    return foldHashes(edge.roots);
  }
}
