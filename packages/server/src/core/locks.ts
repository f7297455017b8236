/** One act at a time for one name, within this process; other names go on. Acts are short. */

export interface Locks {
  run<T>(name: string, act: () => Promise<T>): Promise<T>;
}

export function createLocks(): Locks {
  const tails = new Map<string, Promise<unknown>>();
  return {
    async run(name, act) {
      const before = tails.get(name) ?? Promise.resolve();
      // The one before may have failed: that is its caller's matter.
      const mine = before.then(act, act);
      tails.set(name, mine);
      try {
        return await mine;
      } finally {
        if (tails.get(name) === mine) tails.delete(name);
      }
    },
  };
}
