/** The alerts, in groups, as they stand in alerts.yml. */
import { ruleOf, type Alert } from './alert.js';
import { COLLECTOR_ALERTS } from './alerts/collector.js';
import { HTTP_ALERTS } from './alerts/http.js';
import { LOSS_ALERTS } from './alerts/loss.js';
import { TCP_ALERTS } from './alerts/tcp.js';

const GROUPS: Readonly<Record<string, readonly Alert[]>> = {
  'netwatch-collector': COLLECTOR_ALERTS,
  'netwatch-loss': LOSS_ALERTS,
  'netwatch-tcp': TCP_ALERTS,
  'netwatch-http': HTTP_ALERTS,
};

export const ALERTS: readonly Alert[] = Object.values(GROUPS).flat();

/** The content of alerts.yml. */
export function alertRules(): object {
  return {
    groups: Object.entries(GROUPS).map(([name, alerts]) => ({ name, rules: alerts.map(ruleOf) })),
  };
}
