/** Runs tasks on as many workers as there are cores, and hands each result over as soon as it is there. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Counts } from './explore.ts';
import type { Progress, Task, TaskResult } from './tasks.ts';

/** More would only share the same cores. */
const workersMax = 8;

export async function runTasks(
  tasks: readonly Task[],
  done: (result: TaskResult) => void,
  progress: Progress = () => undefined,
): Promise<void> {
  const queue = [...tasks];
  const count = Math.min(availableParallelism(), workersMax, tasks.length);
  await Promise.all(Array.from({ length: count }, () => oneWorker(queue, done, progress)));
}

async function oneWorker(
  queue: Task[],
  done: (result: TaskResult) => void,
  progress: Progress,
): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url));
  try {
    for (let task = queue.shift(); task !== undefined; task = queue.shift())
      done(await answer(worker, task, progress));
  } finally {
    await worker.terminate();
  }
}

interface Message {
  readonly progress?: { readonly name: string; readonly counts: Counts };
  readonly result?: TaskResult;
  readonly fault?: string;
}

function answer(worker: Worker, task: Task, progress: Progress): Promise<TaskResult> {
  const { promise, resolve, reject } = Promise.withResolvers<TaskResult>();
  const take = (message: Message): void => {
    if (message.progress !== undefined) progress(message.progress.name, message.progress.counts);
    else if (message.result !== undefined) resolve(message.result);
    else reject(new Error(message.fault ?? 'the worker said nothing'));
  };
  worker.on('message', take);
  worker.once('error', reject);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
  worker.postMessage(task);
  return promise.finally(() => {
    worker.off('message', take);
    worker.off('error', reject);
  });
}
