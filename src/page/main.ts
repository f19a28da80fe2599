/** The page at `/`: puts its parts together, feeds them, and draws while somebody can see it. */
import type { RequestsReport } from '../serve/types.js';
import { follow } from './feed.js';
import { EMPTY, extend, joinHistory, type Timeline } from './model/timeline.js';
import type { FeedState } from './model/status.js';
import { connections } from './view/connections.js';
import { failures, faults, retransmitCauses } from './view/counts.js';
import { footer, header } from './view/header.js';
import { fileTable, lossTable, processNumbers, programTable, ringTable } from './view/health.js';
import { whoTalksToWhom } from './view/flows.js';
import { socketsLeftBehind } from './view/left-behind.js';
import { listening } from './view/listeners.js';
import { rttHeatMap } from './view/heat-map.js';
import { httpCharts, httpRequests } from './view/http.js';
import { layerTimes } from './view/layers.js';
import { area } from './view/panel.js';
import { timeByPart } from './view/parts.js';
import { connectionRates, retransmits, throughput } from './view/rates.js';
import { routes, slowestRequests } from './view/requests.js';
import { stateOf, type View } from './view/state.js';
import { tiles } from './view/tiles.js';

const TICK_MS = 1000;

const top = header();
const views: View[] = [top];
const add = (view: View): HTMLElement => {
  views.push(view);
  return view.root;
};

document.getElementById('header')?.append(top.root);
document.getElementById('footer')?.append(footer());
document
  .getElementById('main')
  ?.replaceChildren(
    add(tiles()),
    area(
      'Connections',
      add(connectionRates()),
      add(throughput()),
      add(connections()),
      add(whoTalksToWhom()),
      add(listening()),
      add(socketsLeftBehind()),
    ),
    area('Latency', add(rttHeatMap()), add(layerTimes('receive')), add(layerTimes('transmit'))),
    area(
      'HTTP',
      add(timeByPart()),
      add(routes()),
      add(slowestRequests()),
      add(httpCharts()),
      add(httpRequests()),
    ),
    area('Trouble', add(retransmits()), add(retransmitCauses()), add(failures()), add(faults())),
    area(
      'netwatch itself',
      ...[lossTable, programTable, processNumbers, ringTable, fileTable].map((make) => add(make())),
    ),
  );

let timeline: Timeline = EMPTY;
let feed: FeedState = 'connecting';
let requests: RequestsReport | null | undefined;
/** When the newest snapshot arrived, by a clock that nobody sets. */
let arrivedMs = performance.now();
let isDue = false;

function ageSeconds(): number | null {
  const { snapshot } = stateOf(timeline, feed, requests);
  if (snapshot === null || snapshot.writtenMs === null) return null;
  const ageThenMs = Math.max(0, snapshot.atMs - snapshot.writtenMs);
  return (ageThenMs + performance.now() - arrivedMs) / 1000;
}

function draw(): void {
  isDue = false;
  const state = stateOf(timeline, feed, requests);
  for (const view of views) view.render(state);
  top.tick(state, ageSeconds());
}

/** Once per frame at most, and not at all while the page is hidden: then frames do not come. */
function redraw(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(draw);
}

follow({
  state(next) {
    if (next === feed) return;
    feed = next;
    redraw();
  },
  snapshot(snapshot) {
    arrivedMs = performance.now();
    timeline = extend(timeline, snapshot);
    redraw();
  },
  history(snapshots) {
    timeline = joinHistory(snapshots, timeline);
    redraw();
  },
  requests(report) {
    requests = report;
    redraw();
  },
});
setInterval(() => {
  if (!document.hidden) top.tick(stateOf(timeline, feed, requests), ageSeconds());
}, TICK_MS);
draw();
