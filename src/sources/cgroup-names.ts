/**
 * Who a cgroup is, by its path: the systemd unit, the container and the pod. Pure. The shapes are those of
 * systemd, Docker, Podman, containerd, CRI-O and the kubelet, with their cgroupfs and systemd drivers.
 */

/** A cgroup by its names; null: it is in none. */
export interface CgroupNames {
  /** From the root of the hierarchy, `/system.slice/nginx.service`. */
  readonly path: string;
  /** As systemctl shows it; of a user's own manager the user's unit. */
  readonly unit: string | null;
  /** The first 12 digits of its id, as `docker ps` shows them. */
  readonly container: string | null;
  /** The uid of a Kubernetes pod, or the first 12 digits of a Podman pod's id. */
  readonly pod: string | null;
}

/** How a cgroup is called, by its id; null: that is not known. */
export type NamesOf = (cgroup: number) => CgroupNames | null;

/** Digits of an id that are shown. */
const SHORT_ID = 12;

/** Kinds of units that have a cgroup, but slices: those only hold others. */
const UNIT = /.\.(?:service|scope|socket|mount|swap)$/;
/** The manager of a user's own units. */
const USER_MANAGER = /^user@\d+\.service$/;

/**
 * `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `libpod-ID.scope`, `ID`; with a containerd
 * that knows the wrong driver `POD.slice:cri-containerd:ID`.
 */
const CONTAINER = /^(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?$/;
/** The process that watches over a container is outside of it. */
const MONITOR = /(?:^|-)conmon-/;

/** `pod0123abcd-…`, `kubepods-burstable-pod0123abcd_….slice`; a static pod's uid has no dashes. */
const POD =
  /(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?=$|:)/;
const PODMAN_POD = /(?:^|[-_])pod_([0-9a-f]{64})\.slice$/;

/** systemd writes `_` before a name that the kernel could take for one of its own files. */
const unescaped = (name: string): string => (name.startsWith('_') ? name.slice(1) : name);

/**
 * The outermost unit, as systemd counts: what a service or a container makes below its own cgroup is its
 * own affair, and may have any name. A user's manager is looked through, unless it is meant itself.
 */
function unitOf(names: readonly string[]): string | null {
  const first = names.findIndex((name) => UNIT.test(unescaped(name)));
  if (first < 0) return null;
  const unit = unescaped(names[first] ?? '');
  if (!USER_MANAGER.test(unit)) return unit;
  const own = unitOf(names.slice(first + 1));
  return own === null || own === 'init.scope' ? unit : own;
}

/** What the innermost name says that says it. */
function innermost(names: readonly string[], read: (name: string) => string | null): string | null {
  for (const name of names.toReversed()) {
    const found = read(name);
    if (found !== null) return found;
  }
  return null;
}

/** The whole id of a container, 64 digits. */
function containerId(names: readonly string[]): string | null {
  return innermost(names, (name) =>
    MONITOR.test(name) ? null : (CONTAINER.exec(name)?.[1] ?? null),
  );
}

function podOf(name: string): string | null {
  const uid = POD.exec(name)?.[1];
  if (uid !== undefined) return uid.replaceAll('_', '-');
  return PODMAN_POD.exec(name)?.[1]?.slice(0, SHORT_ID) ?? null;
}

const namesIn = (path: string): string[] => path.split('/').filter((name) => name !== '');

/** Names of the cgroup at this path. */
export function cgroupNames(path: string): CgroupNames {
  const names = namesIn(path);
  return {
    path,
    unit: unitOf(names),
    container: containerId(names)?.slice(0, SHORT_ID) ?? null,
    pod: innermost(names, podOf),
  };
}

/** What --unit and --container ask for; empty: nothing. */
export interface NamesWanted {
  /** Names of units; `*` stands for any characters, `?` for one. */
  readonly units: readonly string[];
  /** Ids of containers, or how they begin; `*` and `?` likewise. */
  readonly containers: readonly string[];
}

export const NO_NAMES: NamesWanted = { units: [], containers: [] };

const isPattern = (text: string): boolean => /[*?]/.test(text);

/** `nginx` is `nginx.service`, as to systemctl. */
const wholeUnit = (text: string): string =>
  isPattern(text) || UNIT.test(text) ? text : `${text}.service`;

const wholeContainer = (text: string): string => (isPattern(text) ? text : `${text}*`);

function expressionOf(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}

/** Whether a cgroup is one of those that are asked for: in both respects, if both are. */
export function namesMatcher({ units, containers }: NamesWanted): (names: CgroupNames) => boolean {
  const [wantedUnits, wantedContainers] = [
    units.map((unit) => expressionOf(wholeUnit(unit))),
    containers.map((container) => expressionOf(wholeContainer(container))),
  ];
  return ({ path, unit }) => {
    const id = containerId(namesIn(path));
    const has = (wanted: readonly RegExp[], name: string | null): boolean =>
      wanted.length === 0 || (name !== null && wanted.some((pattern) => pattern.test(name)));
    return has(wantedUnits, unit) && has(wantedContainers, id);
  };
}

/** Names that a container's cgroup may have, for the whole of its id. */
const containerPatterns = (id: string): string[] => [id, `*-${id}`, `*-${id}.scope`];

/** The same as patterns of a cgroup's own name, for the kernel to choose by before it is looked at here. */
export function namePatterns({ units, containers }: NamesWanted): string[] {
  const ids = containers.map(wholeContainer);
  return [...units.map(wholeUnit), ...ids.flatMap(containerPatterns)];
}

/** What tells units, containers and pods apart: two cgroups of one unit are one. */
export const ownersKey = ({ unit, container, pod }: CgroupNames): string =>
  `${unit ?? ''}\0${container ?? ''}\0${pod ?? ''}`;
