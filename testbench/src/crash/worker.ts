/** One worker of the explorer: does the tasks that it is sent, one after the other. */
import { parentPort } from 'node:worker_threads';
import { doTask, type Task, type TaskResult } from './tasks.ts';

parentPort?.on('message', (task: Task) => {
  void answer(task);
});

async function answer(task: Task): Promise<void> {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
  parentPort?.postMessage(await messageOf(task));
}

async function messageOf(task: Task): Promise<{ readonly result: TaskResult } | { readonly fault: string }> {
  try {
    const result = await doTask(task, (name, counts) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
      parentPort?.postMessage({ progress: { name, counts } });
    });
    return { result };
  } catch (error) {
    return { fault: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
