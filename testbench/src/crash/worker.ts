/** One worker of the explorer: does the tasks that it is sent, one after the other. */
import { parentPort } from 'node:worker_threads';
import { doTask, type Task } from './tasks.ts';

parentPort?.on('message', (task: Task) => {
  doTask(task).then(
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    (result) => parentPort?.postMessage({ result }),
    (error: unknown) =>
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
      parentPort?.postMessage({
        fault: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
