// How it stands with everything, and how the last hour went.

import { follow, get, path, post } from './api.js';
import { chart } from './chart.js';
import { bytes, compact, dialog, el, facts, number, plural, rate, secret, show, time, words } from './dom.js';

const STATES = ['backing_off', 'held', 'throttled', 'disabled', 'healthy'];
const SLOTS = 240;

export async function overviewView(main, context, first) {
  const [alerts, hooks, log] = [el('div'), el('section', { class: 'card' }), el('section', { class: 'card' })];
  const charts = {
    accepted: first.now.accepted === undefined ? null : chart('Accepted', rate),
    delivered: chart('Delivered', rate),
    failing: chart('Failing hooks', number),
    pending: chart('Backlog', compact),
  };
  const grid = el('div', { class: 'grid' }, Object.values(charts).filter(Boolean).map((one) => one.figure));
  const link = context.manages && el('button', { type: 'button', onclick: () => customerLink(context) }, 'A link for a customer…');
  show(main, el('div', { class: 'title' }, el('h1', {}, 'Overview'), link), alerts, grid, hooks, log);

  let overview = first;
  let before = null;
  const draw = (now) => {
    const at = performance.now();
    const seconds = before ? (at - before.at) / 1000 : 0;
    const speed = (name) => (before && seconds > 0.5 ? Math.max(0, now[name] - before.now[name]) / seconds : undefined);
    drawCharts(charts, overview, now, speed);
    drawAlerts(alerts, now);
    drawHooks(hooks, now);
    drawLog(log, now);
    if (seconds > 0.5 || !before) before = { at, now };
  };
  draw(first.now);
  const refresh = async () => {
    overview = await get('v1/overview', context.signal).catch(() => overview);
    if (!context.signal.aborted) draw(overview.now);
  };
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, first.interval * 1000);
  context.signal.addEventListener('abort', () => clearInterval(timer));
  follow([], { ...context.link(refresh), overview: draw }, context.signal);
}

function drawCharts(charts, { samples, interval }, now, speed) {
  const points = (name) => samples.map((sample) => sample[name] / interval);
  charts.accepted?.update(points('accepted'), speed('accepted'), SLOTS);
  charts.delivered.update(points('delivered'), speed('delivered'), SLOTS);
  const failing = ['backing_off', 'held', 'throttled'].reduce((sum, state) => sum + (now.states[state] ?? 0), 0);
  charts.failing.update(samples.map((sample) => sample.failing), failing, SLOTS);
  charts.pending.update(samples.map((sample) => sample.pending), now.pending, SLOTS);
}

function drawAlerts(place, now) {
  const alert = (text) => el('p', { class: 'card alert', role: 'alert' }, text);
  const wanted = [
    now.trouble && `The bus is in trouble: ${now.trouble}`,
    now.reload && `The config file was not applied when it was last read again, so what runs is older: ${now.reload}`,
    now.log?.is_damaged && 'A part of the log is damaged: `hooks log verify` names it.',
  ].filter(Boolean);
  // Said once, not every second.
  if (place.dataset.said === wanted.join()) return;
  place.dataset.said = wanted.join();
  show(place, wanted.map(alert));
}

function drawHooks(place, now) {
  const states = STATES.map((state) => [words(state), el('a', { class: 'big', href: path('#/hooks', { state }) }, number(now.states[state] ?? 0))]);
  if (now.hooks === 0) {
    return show(place, el('h2', {}, 'Hooks'), el('p', {}, 'There are no hooks yet. Make one under ', el('a', { href: '#/new' }, 'New hook'), ', or in the config file.'));
  }
  // What has the focus stays.
  if (place.contains(document.activeElement)) {
    place.querySelectorAll('a.big').forEach((link, at) => { link.textContent = number(now.states[STATES[at]] ?? 0); });
    return undefined;
  }
  return show(place, el('h2', {}, plural(now.hooks, 'hook')), facts(...states,
    ['Dead letters', el('span', { class: 'big' }, number(now.dead_letters))],
    ['Waiting', `${number(now.pending)} (${bytes(now.pending_bytes)})`],
    ['Attempts that failed', `${number(now.failed)} of ${number(now.attempts)}`]));
}

function drawLog(place, { log }) {
  place.hidden = !log;
  if (!log) return;
  const meter = log.max_bytes && el('meter', { min: 0, max: log.max_bytes, high: log.max_bytes * 0.8, value: log.bytes, 'aria-label': 'How full the log is' });
  show(place, el('h2', {}, 'Log'), meter, facts(
    ['On disk', log.max_bytes ? `${bytes(log.bytes)} of ${bytes(log.max_bytes)}` : bytes(log.bytes)],
    log.retained_bytes !== undefined && ['Of this, kept though every hook has it', bytes(log.retained_bytes)],
    ['Goes back to', log.oldest ? time(log.oldest) : 'It is empty.']));
}

/** Makes a token of one tenant, and the address of this page with it. */
function customerLink({ access }) {
  const tenant = el('input', { required: true, value: access.tenant ?? '', readOnly: Boolean(access.tenant) });
  const lasts = el('input', { required: true, value: '8h', pattern: '[0-9]+(s|m|h|d)' });
  const manages = el('input', { type: 'checkbox', checked: true });
  dialog('A link for a customer', [
    el('p', { class: 'soft' }, 'Whoever has the link sees this tenant’s hooks and events, and nothing of others.'),
    el('label', {}, 'Tenant', tenant), el('label', {}, 'Lasts (30m, 8h, 7d)', lasts),
    el('label', {}, el('span', {}, manages, ' may change hooks, too')),
  ], 'Make the link', async () => {
    const may = manages.checked ? ['read', 'manage'] : ['read'];
    const made = await post('v1/tokens', { tenant: tenant.value, may, expires_in: lasts.value });
    const address = new URL(location.href);
    address.hash = `token=${encodeURIComponent(made.token)}`;
    return el('div', {}, secret('Link', address.href), el('p', {}, 'It ends ', time(made.expires), '. Pages that show it in a frame have to be in ', el('code', {}, 'api.frame_ancestors'), '.'));
  });
}
