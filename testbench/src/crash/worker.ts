/** One worker of the explorer: does the tasks that it is sent, one after the other. */
import { parentPort } from 'node:worker_threads';
import { doTask, type Task } from './tasks.ts';

parentPort?.on('message', (task: Task) => {
  doTask(task).then(
    (result) => parentPort?.postMessage({ result }),
    (error: unknown) =>
      parentPort?.postMessage({
        fault: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
