/** Sets of cgroups and mount namespaces that others have pinned. Kernel side: pinned.bpf.h. */

/** Paths of pinned BPF maps; null: not asked for. */
export interface PinnedMaps {
  readonly cgroups: string | null;
  readonly mountNamespaces: string | null;
}

export const NO_PINNED_MAPS: PinnedMaps = { cgroups: null, mountNamespaces: null };

/** By the name of the map in the object, for `SourceSpec.pinnedMaps`. */
export function pinnedByName({
  cgroups,
  mountNamespaces,
}: PinnedMaps): ReadonlyMap<string, string> {
  const all = [
    ['cgroup_map', cgroups],
    ['mntns_map', mountNamespaces],
  ] as const;
  return new Map(all.flatMap(([name, path]) => (path === null ? [] : [[name, path] as const])));
}
