/** Reads systemd units, as far as tests look into them. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const UNITS = resolve(import.meta.dirname, '../../contrib/systemd');

export interface Unit {
  /** Values of a setting, in order; a list of words is one value. */
  all(setting: string): readonly string[];
  /** The only value of a setting; throws if there is none or more. */
  one(setting: string): string;
}

export function readUnit(name: string): Unit {
  const settings = readFileSync(join(UNITS, name), 'utf8')
    .split('\n')
    .map((line) => /^(\w+)=(.*)$/.exec(line))
    .filter((match) => match !== null);
  const all = (setting: string): string[] =>
    settings.filter(([, key]) => key === setting).map(([, , value]) => value ?? '');
  const one = (setting: string): string => {
    const [value, ...more] = all(setting);
    if (value === undefined || more.length > 0) throw new Error(`${name}: ${setting}`);
    return value;
  };
  return { all, one };
}

/** `cap_bpf` for setpriv from `CAP_BPF`. */
const bare = (capability: string): string => capability.toLowerCase().replace(/^cap_/, '');

export const SERVICE_UID = 4242;

/** The command under which systemd would run a unit: its user without a name, its capabilities. */
export function asService(namespacePath: string, capabilities: readonly string[]): string[] {
  const set = ['-all', ...capabilities.map((name) => `+${bare(name)}`)].join(',');
  return [
    ...['nsenter', `--net=${namespacePath}`],
    ...['setpriv', `--reuid=${SERVICE_UID}`, `--regid=${SERVICE_UID}`, '--clear-groups'],
    ...[`--bounding-set=${set}`, `--inh-caps=${set}`, `--ambient-caps=${set}`],
    '--no-new-privs',
  ];
}
