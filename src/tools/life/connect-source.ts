/** The source life for tcpconnect: it may also count connections instead of showing them. */
import { ALL_LIFE, LifeSource, type LifeOptions } from '../../sources/life.js';
import { ConnectCounts } from './connect-counts.js';

export class ConnectSource extends LifeSource {
  readonly counts: ConnectCounts;

  /** @param byPort connections from different local ports count apart */
  constructor(options: Partial<LifeOptions>, byPort: boolean) {
    super({ ...ALL_LIFE, ...options });
    this.counts = new ConnectCounts(byPort);
  }
}
