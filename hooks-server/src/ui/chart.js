// A small chart of the last hour.

import { el, hour } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [240, 60];

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A figure with `update(points, now)`: points are numbers at even distances, the newest last. */
export function chart(title, format, hours = 1) {
  const value = el('strong', { class: 'big' }, '–');
  const svg = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: 'chart', role: 'img' });
  const [area, line] = [shape('path', { class: 'area' }), shape('path', { class: 'line' })];
  svg.append(area, line, shape('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  const [from, most] = [el('span'), el('span')];
  const figure = el('figure', { class: 'card' }, el('figcaption', {}, el('span', {}, title), value), svg,
    el('div', { class: 'axis' }, from, most, el('span', {}, 'now')));
  const update = (points, now, slots) => {
    const top = Math.max(...points, now ?? 0, 0);
    const place = (point, at) => {
      const x = WIDTH - (points.length - 1 - at) * (WIDTH / Math.max(slots - 1, 1));
      return `${x.toFixed(1)} ${(HEIGHT - 1 - (point / (top || 1)) * (HEIGHT - 4)).toFixed(1)}`;
    };
    const places = points.map(place);
    const first = WIDTH - (points.length - 1) * (WIDTH / Math.max(slots - 1, 1));
    line.setAttribute('d', places.length > 1 ? `M${places.join('L')}` : '');
    area.setAttribute('d', places.length > 1 ? `M${first.toFixed(1)} ${HEIGHT}L${places.join('L')}L${WIDTH} ${HEIGHT}Z` : '');
    const last = now ?? points.at(-1);
    value.textContent = last === undefined ? '–' : format(last);
    most.textContent = `most: ${format(top)}`;
    from.textContent = hour(new Date(Date.now() - hours * 3600e3));
    svg.setAttribute('aria-label', `${title}: ${value.textContent} now, at most ${format(top)} in the last hour`);
  };
  return { figure, update };
}
