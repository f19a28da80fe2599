/** The page at `/`: starts everything. */
import uPlot from 'uplot';

document.title = `netwatch ${uPlot.name}`;
