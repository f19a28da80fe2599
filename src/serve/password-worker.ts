/** The thread that checks passwords: 60 ms of CPU each, for which no other request waits. */
import { parentPort } from 'node:worker_threads';
import bcrypt from 'bcryptjs';

/** "Does it fit?" Answered by true or false, in turn. */
export interface PasswordQuestion {
  readonly password: string;
  readonly hash: string;
}

parentPort?.on('message', ({ password, hash }: PasswordQuestion) => {
  parentPort?.postMessage(bcrypt.compareSync(password, hash));
});
parentPort?.postMessage('ready');
