// What a cgroup's path says: units, containers and pods, and who asks for which.
import t from 'tap';
import {
  cgroupNames,
  namePatterns,
  namesMatcher,
  type CgroupNames,
} from '../src/sources/cgroup-names.js';

const ID = '4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a';
const SHORT = '4f3c2b1a0d9e';
const INNER = 'b'.repeat(64);
const UID = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
const UID_AS_SLICE = UID.replaceAll('-', '_');
const STATIC_UID = 'a'.repeat(32);

type Names = readonly [unit: string | null, container: string | null, pod: string | null];

const SHAPES: Readonly<Record<string, Names>> = {
  // systemd
  '/': [null, null, null],
  '/init.scope': ['init.scope', null, null],
  '/system.slice/nginx.service': ['nginx.service', null, null],
  '/system.slice/nginx.service/worker/1': ['nginx.service', null, null],
  '/system.slice/system-getty.slice/getty@tty1.service': ['getty@tty1.service', null, null],
  '/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service': [
    'serial-getty@ttyS0.service',
    null,
    null,
  ],
  '/system.slice/my\\x2dapp@a\\x20b.service': ['my\\x2dapp@a\\x20b.service', null, null],
  '/system.slice/_cpu.service': ['cpu.service', null, null],
  '/system.slice/ssh.socket': ['ssh.socket', null, null],
  '/user.slice/user-1000.slice/session-3.scope': ['session-3.scope', null, null],
  '/user.slice/user-1000.slice/user@1000.service/init.scope': ['user@1000.service', null, null],
  '/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-1.scope': [
    'app-firefox-1.scope',
    null,
    null,
  ],
  '/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service/x': [
    'syncthing.service',
    null,
    null,
  ],
  '/system.slice': [null, null, null],
  '/lxc.payload.web/system.slice/nginx.service': ['nginx.service', null, null],
  // what a service does below itself does not make it another one
  '/system.slice/nginx.service/sshd.service': ['nginx.service', null, null],
  '/system.slice/.service': [null, null, null],
  // Docker
  [`/docker/${ID}`]: [null, SHORT, null],
  [`/system.slice/docker-${ID}.scope`]: [`docker-${ID}.scope`, SHORT, null],
  [`/system.slice/docker-${ID}.scope/system.slice/nginx.service`]: [
    `docker-${ID}.scope`,
    SHORT,
    null,
  ],
  [`/system.slice/docker-${ID.slice(1)}.scope`]: [`docker-${ID.slice(1)}.scope`, null, null],
  [`/system.slice/docker-${ID.toUpperCase()}.scope`]: [
    `docker-${ID.toUpperCase()}.scope`,
    null,
    null,
  ],
  [`/docker/${ID}/docker/${INNER}`]: [null, INNER.slice(0, 12), null],
  '/system.slice/docker.service': ['docker.service', null, null],
  // Podman
  [`/machine.slice/libpod-${ID}.scope/container`]: [`libpod-${ID}.scope`, SHORT, null],
  [`/libpod_parent/libpod-${ID}`]: [null, SHORT, null],
  [`/machine.slice/libpod-conmon-${ID}.scope`]: [`libpod-conmon-${ID}.scope`, null, null],
  [`/libpod_parent/conmon/libpod-conmon-${ID}`]: [null, null, null],
  [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`]: [
    `libpod-${ID}.scope`,
    SHORT,
    null,
  ],
  [`/machine.slice/machine-libpod_pod_${INNER}.slice/libpod-${ID}.scope`]: [
    `libpod-${ID}.scope`,
    SHORT,
    INNER.slice(0, 12),
  ],
  // containerd without Kubernetes
  [`/system.slice/nerdctl-${ID}.scope`]: [`nerdctl-${ID}.scope`, SHORT, null],
  [`/default/${ID}`]: [null, SHORT, null],
  '/system.slice/containerd.service': ['containerd.service', null, null],
  // Kubernetes with cgroupfs, then with systemd
  [`/kubepods/pod${UID}/${ID}`]: [null, SHORT, UID],
  [`/kubepods/burstable/pod${UID}/${ID}`]: [null, SHORT, UID],
  [`/kubepods/besteffort/pod${UID}/crio-${ID}`]: [null, SHORT, UID],
  [`/kubepods/burstable/pod${STATIC_UID}/${ID}`]: [null, SHORT, STATIC_UID],
  [`/kubepods/burstable/pod${UID}`]: [null, null, UID],
  [`/kubepods.slice/kubepods-pod${UID_AS_SLICE}.slice/cri-containerd-${ID}.scope`]: [
    `cri-containerd-${ID}.scope`,
    SHORT,
    UID,
  ],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_AS_SLICE}.slice/crio-${ID}.scope/container`]:
    [`crio-${ID}.scope`, SHORT, UID],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_AS_SLICE}.slice/crio-conmon-${ID}.scope`]:
    [`crio-conmon-${ID}.scope`, null, UID],
  [`/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${STATIC_UID}.slice/docker-${ID}.scope`]:
    [`docker-${ID}.scope`, SHORT, STATIC_UID],
  [`/docker/${INNER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UID_AS_SLICE}.slice/cri-containerd-${ID}.scope`]:
    [`cri-containerd-${ID}.scope`, SHORT, UID],
  [`/system.slice/containerd.service/kubepods-burstable-pod${UID_AS_SLICE}.slice:cri-containerd:${ID}`]:
    ['containerd.service', SHORT, UID],
  // nothing of the kind
  [`/pod${UID}0/x`]: [null, null, null],
  '/openrc.nginx': [null, null, null],
};

t.test('a path gives unit, container and pod in every shape that is in use', (t) => {
  for (const [path, [unit, container, pod]] of Object.entries(SHAPES))
    t.strictSame(cgroupNames(path), { path, unit, container, pod } satisfies CgroupNames, path);
  t.end();
});

const NGINX = cgroupNames('/system.slice/nginx.service');
const IN_DOCKER = cgroupNames(`/system.slice/docker-${ID}.scope`);

t.test('--unit takes a name, without .service too, and patterns', (t) => {
  const chosen = (units: string[]): boolean => namesMatcher({ units, containers: [] })(NGINX);
  for (const unit of ['nginx', 'nginx.service', 'ng*', '*.service', 'nginx.servic?', 'x,nginx'])
    t.ok(chosen(unit.split(',')), unit);
  for (const unit of [
    'ngin',
    'nginx.scope',
    'nginx?',
    'NGINX',
    'nginx.servic',
    'n.inx',
    'nginx.*e?',
  ])
    t.notOk(chosen([unit]), unit);
  t.ok(namesMatcher({ units: ['a\\x2db@*'], containers: [] })(cgroupNames('/a\\x2db@1.service')));
  t.end();
});

t.test('--container takes an id, how it begins, and patterns', (t) => {
  const chosen = (container: string, names = IN_DOCKER): boolean =>
    namesMatcher({ units: [], containers: [container] })(names);
  for (const container of [ID, SHORT, '4f3c', '*4f3a', '4f3c?b*'])
    t.ok(chosen(container), container);
  for (const container of [INNER, '3c2b', '4f3c?']) t.notOk(chosen(container), container);
  t.notOk(chosen('*', NGINX), 'what is in no container');
  const both = namesMatcher({ units: ['docker-*'], containers: [SHORT] });
  t.ok(both(IN_DOCKER));
  t.notOk(namesMatcher({ units: ['nginx'], containers: [SHORT] })(IN_DOCKER), 'both have to fit');
  t.end();
});

t.test('the kernel gets patterns of the name alone', (t) => {
  t.strictSame(namePatterns({ units: ['nginx', 'app-*'], containers: [SHORT, '4f?'] }), [
    'nginx.service',
    'app-*',
    ...[`${SHORT}*`, `*-${SHORT}*`, `*-${SHORT}*.scope`],
    ...['4f?', '*-4f?', '*-4f?.scope'],
  ]);
  t.end();
});
