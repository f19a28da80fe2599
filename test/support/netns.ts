/**
 * Network namespaces for tests: gone after the test, after a failed test, after a signal, and at the
 * latest at the next run.
 */
import {
  closeAllNamespaces,
  joinNamespaces,
  openNamespace,
  type Namespace,
  type NamespaceOptions,
} from '../../scripts/traffic/namespace.js';

export type { Namespace, NamespaceOptions };

/** The part of tap's `t` that cleans up. */
export interface Teardown {
  teardown(fn: () => unknown): unknown;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    closeAllNamespaces();
    process.kill(process.pid, signal); // our listener is off: now it ends us, or tap reports it
  });
}

/** A namespace with only `lo`, which the test owns alone: any port is free in it. */
export function createNamespace(t?: Teardown, options: NamespaceOptions = {}): Namespace {
  const namespace = openNamespace(options);
  t?.teardown(() => namespace.close());
  return namespace;
}

export interface JoinedNamespaces {
  readonly left: Namespace;
  readonly right: Namespace;
  /** The device in both. */
  readonly device: 'veth0';
  readonly addresses: {
    readonly left: { readonly v4: string; readonly v6: string };
    readonly right: { readonly v4: string; readonly v6: string };
  };
}

/** Two namespaces joined by a veth pair. */
export function createJoinedNamespaces(
  t?: Teardown,
  options: NamespaceOptions = {},
): JoinedNamespaces {
  const left = createNamespace(t, options);
  const right = createNamespace(t, options);
  return { left, right, device: 'veth0', addresses: joinNamespaces(left, right) };
}
