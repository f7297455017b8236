/** A log in memory: the package's own appends and plans over a map of nodes. */
import {
  appendLeaf,
  consistencyPlan,
  type Edge,
  emptyEdge,
  foldHashes,
  type Hash,
  hashLeaf,
  inclusionPlan,
  type NodeAt,
  type ProofPlan,
  rootPlan,
} from '../../src/index.ts';

export class MemoryLog {
  edge: Edge = emptyEdge;
  readonly leaves: Uint8Array[] = [];
  readonly #nodes = new Map<string, Hash>();

  append(leaf: Uint8Array): void {
    const { edge, completed } = appendLeaf(this.edge, hashLeaf(leaf));
    this.edge = edge;
    this.leaves.push(leaf);
    for (const { level, index, hash } of completed) this.#nodes.set(`${level}.${index}`, hash);
  }

  root(size = this.leaves.length): Hash {
    return this.#fold(rootPlan(size));
  }

  inclusion(index: number, size = this.leaves.length): Hash[] {
    return this.#proof(inclusionPlan(index, size));
  }

  consistency(first: number, size = this.leaves.length): Hash[] {
    return this.#proof(consistencyPlan(first, size));
  }

  #proof(plan: ProofPlan): Hash[] {
    return plan.map((nodes) => this.#fold(nodes));
  }

  #fold(nodes: readonly NodeAt[]): Hash {
    return foldHashes(
      nodes.map(({ level, index }) => {
        const hash = this.#nodes.get(`${level}.${index}`);
        if (hash === undefined) throw new Error(`node ${level}.${index} was never completed`);
        return hash;
      }),
    );
  }
}
