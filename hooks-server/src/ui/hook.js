// One hook: what is wrong with it since when, what was tried, and what can be done.

import { change, follow, get, hookPath, path, post } from './api.js';
import { attempts, deadLetters } from './attempts.js';
import { ago, badge, bytes, dialog, el, facts, millis, number, plural, rate, say, secret, show, time, tree } from './dom.js';

/** What a state means, and what to do. */
const ADVICE = {
  backing_off: 'Attempts fail, and are repeated with growing pauses. No event is lost. See the newest attempt for the answer; then mend the receiver, or the settings.',
  throttled: 'The receiver asked for a pause. Deliveries go on by themselves.',
  held: 'The receiver refuses everything, or its address or credentials are wrong. Events are held. Mend the settings, or enable the hook to try at once.',
  disabled: 'Nothing is delivered. Its events are kept, and come once it is enabled.',
};

export async function hookView(main, context, id) {
  const { signal } = context;
  const document = await get(hookPath(id), signal);
  const [head, trouble, figures, settings] = [el('div'), el('div'), el('div', { class: 'card' }), el('section', { class: 'card' })];
  const tried = attempts(id, signal);
  const acts = { replay: (ids) => replay(id, ids, refresh), drop: (ids) => drop(id, ids, refresh) };
  const letters = deadLetters(id, context.manages ? acts : {}, signal);
  const state = { document, status: document.status, recent: null, before: null, speed: undefined };
  const refresh = async () => {
    [state.document, state.recent] = await Promise.all([get(hookPath(id), signal), recent(id, signal)]);
    state.status = state.document.status;
    await Promise.all([quiet(tried.refresh()), letters.refresh()]);
    draw();
  };
  const draw = () => {
    if (signal.aborted) return;
    drawHead(head, state);
    drawTrouble(trouble, state);
    drawFigures(figures, state);
  };
  show(main, head, context.manages && actions(context, id, state, refresh), trouble, figures, tried.section, letters.section, settings);
  show(settings, el('h2', {}, 'Settings'), el('p', { class: 'soft' }, 'Secrets are never shown.'),
    document.settings ? tree(document.settings, 3) : el('p', {}, 'They were made in code, or can’t be read.'));
  await refresh();
  const look = paced(refresh, 2000, signal);
  const onHook = (status) => {
    const { counts } = status;
    const at = performance.now();
    if (state.before && counts) {
      const seconds = (at - state.before.at) / 1000;
      if (seconds > 0.5) state.speed = Math.max(0, counts.delivered - state.before.delivered) / seconds;
    }
    if (counts) state.before = { at, delivered: counts.delivered };
    const changed = counts?.attempts !== state.status?.counts?.attempts || status.state !== state.status?.state || status.dead_letters !== state.status?.dead_letters;
    state.status = status;
    draw();
    if (changed) look();
  };
  follow([id], { ...context.link(look), hook: onHook, gone: look }, signal);
}

/** Calls at once, and then at most so often. */
function paced(work, ms, signal) {
  let [isDue, timer] = [false, null];
  const run = () => {
    timer = null;
    if (!isDue || signal.aborted) return;
    isDue = false;
    timer = setTimeout(run, ms);
    work().catch(() => {});
  };
  return () => { isDue = true; if (!timer) run(); };
}

/** Without a history the rest is still shown. */
async function quiet(work) {
  await work.catch((error) => { if (error.status !== 501) throw error; });
}

/** How the last attempts went, and when one last delivered. */
async function recent(id, signal) {
  try {
    const [last, delivered] = await Promise.all([
      get(path(hookPath(id, '/attempts'), { limit: 100 }), signal),
      get(path(hookPath(id, '/attempts'), { outcome: 'delivered', limit: 1 }), signal),
    ]);
    const took = last.attempts.map((attempt) => attempt.took_ms).sort((a, b) => a - b);
    const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
    const good = last.attempts.filter((attempt) => attempt.outcome === 'delivered').length;
    return { count: took.length, good, median: at(0.5), slow: at(0.95), delivered: delivered.attempts[0]?.began };
  } catch (error) {
    if (error.status === 501) return null;
    throw error;
  }
}

function drawHead(place, { document, status }) {
  const about = [document.settings?.tenant && `tenant ${document.settings.tenant}`, document.origin === 'file' ? 'from the config file' : `revision ${document.revision}`];
  show(place, el('div', { class: 'title' }, el('h1', {}, document.id), badge(status?.state ?? 'not running'), el('span', { class: 'soft' }, about.filter(Boolean).join(', '))));
}

function drawTrouble(place, { document, status, recent: last }) {
  const state = status?.state;
  if (state === 'healthy') return show(place);
  const { disabled } = status ?? {};
  const by = { receiver: 'the receiver', failures: 'nothing but failures', operator: 'an operator' };
  const since = status?.failing_since ?? disabled?.since;
  const why = document.error ?? disabled?.reason ?? status?.last_error;
  const off = state === 'disabled' && !disabled && 'Its settings have enabled = false.';
  const content = [
    el('h2', {}, state === 'disabled' ? 'It is disabled' : status ? 'Deliveries fail' : 'It does not run'),
    facts(since && ['Since', time(since)], disabled && ['Disabled by', by[disabled.by] ?? disabled.by], last?.delivered && ['Last delivered', time(last.delivered)]),
    why && el('p', { class: 'fault' }, why), off && el('p', {}, off), el('p', {}, ADVICE[state] ?? 'See the daemon’s log, and mend its settings.'),
  ];
  const said = `${state} ${since} ${why}`;
  if (place.dataset.said !== said || !place.firstChild) show(place, el('section', { class: 'card alert', 'aria-label': 'What is wrong' }, content));
  place.dataset.said = said;
  return undefined;
}

function drawFigures(place, { status, recent: last, speed }) {
  const lag = status?.lag;
  const waits = lag && `${lag.exact ? '' : '≤ '}${number(lag.events)}${lag.bytes ? ` (${bytes(lag.bytes)})` : ''}`;
  const share = last?.count ? `${Math.round((last.good / last.count) * 100)} % of the last ${plural(last.count, 'attempt')}` : '–';
  show(place, facts(
    ['Waiting', waits], ['Oldest that waits', lag?.oldest ? ago(lag.oldest) : 'none'], ['Rate', rate(speed ?? (status ? 0 : undefined))],
    ['Success', share], ['Latency', last?.count ? `${millis(last.median)}, slowest 5 %: ${millis(last.slow)}` : '–'],
    ['Last delivered', last?.delivered ? ago(last.delivered) : '–'], ['Delivered since the start', number(status?.counts?.delivered)], ['Dead letters', number(status?.dead_letters ?? 0)]));
}

function actions(context, id, state, refresh) {
  const button = (name, onclick) => el('button', { type: 'button', onclick }, name);
  const act = (name, work) => button(name, async (event) => {
    const { target } = event;
    target.disabled = true;
    try {
      const said = await work();
      await refresh();
      say(said);
    } catch (error) {
      say(error.message, true);
    } finally {
      target.disabled = false;
    }
  });
  const isManaged = state.document.origin === 'api';
  return el('div', { class: 'row', role: 'group', 'aria-label': 'What can be done' },
    act('Test', async () => { testResult(await post(hookPath(id, '/test'))); return 'The test is over.'; }),
    act('Enable', async () => { await enable(id, state.document); return `${id} is enabled.`; }),
    act('Disable', async () => { await post(hookPath(id, '/disable')); return `${id} is disabled.`; }),
    button('Move…', () => seek(id, refresh)),
    isManaged && button('New secret…', () => rotate(id, refresh)),
    isManaged && el('a', { class: 'button', href: `#/${hookPath(id).slice(3)}/edit` }, 'Edit'),
    isManaged && button('Delete…', () => remove(id, state)));
}

/** What its settings disable, a change of them enables. */
async function enable(id, { settings, origin }) {
  if (settings?.enabled === false && origin === 'api') await change('PATCH', hookPath(id), { enabled: true }, {}, true);
  else await post(hookPath(id, '/enable'));
}

function testResult(tested) {
  const rows = tested.notes.map(([name, text]) => [name, text]);
  const { answer } = tested;
  dialog('Test delivery', [
    el('p', {}, badge(tested.delivered ? 'delivered' : 'failed'), ` in ${millis(tested.took * 1000)}`),
    tested.error && el('p', { class: 'fault' }, tested.error), facts(...rows),
    answer && el('h3', {}, 'Answer'), answer && tree(answer),
  ], 'Done', async () => null).box.querySelector('.row button[type=button]').remove();
}

function seek(id, refresh) {
  const places = ['earliest', 'end', '1h', '2h', '1d'];
  const to = el('input', { required: true, value: '2h', list: 'places' });
  const counted = el('p', { role: 'status' }, 'First it is counted how many events that is. Nothing is changed by that.');
  let sought = null;
  const forget = () => { sought = null; asked.go.textContent = 'Count'; };
  to.addEventListener('input', forget);
  const asked = dialog(`Move ${id} in the log`, [
    el('label', {}, 'To an age (2h), a time, earliest, end, or a position', to),
    el('datalist', { id: 'places' }, places.map((value) => el('option', { value }))), counted,
  ], 'Count', async () => {
    const where = /^\d+$/.test(to.value) ? Number(to.value) : to.value;
    if (!sought) {
      sought = await post(hookPath(id, '/seek'), { to: where, skip: true, dry_run: true });
      const most = sought.exact ? '' : 'at most ';
      const gist = sought.again ? `${most}${plural(sought.again, 'event')} would be delivered again.`
        : sought.skipped ? `${most}${plural(sought.skipped, 'event')} would be skipped for good.` : 'It is there already: nothing would change.';
      show(counted, gist, !sought.reached && ' The log does not go back so far: it would begin with the oldest event.');
      asked.go.textContent = 'Move';
      // The form stays, for the second step.
      throw Object.assign(new Error(''), { isStep: true });
    }
    await post(hookPath(id, '/seek'), { to: where, skip: sought.skipped > 0 });
    await refresh();
    return el('p', { role: 'status' }, `${id} was moved from position ${number(sought.before)} to ${number(sought.after)}.`);
  });
}

function rotate(id, refresh) {
  const overlap = el('input', { required: true, value: '24h' });
  dialog(`A new secret for ${id}`, [
    el('p', {}, 'The old one signs, too, for as long as you say: the receiver changes it in that time without losing an event.'),
    el('label', {}, 'The old one ends after', overlap),
  ], 'Make it', async () => {
    const made = await post(hookPath(id, '/rotate-secret'), { overlap: overlap.value });
    await refresh();
    return el('div', {}, secret('The new secret, shown this once', made.secret));
  });
}

function remove(id, { document, status }) {
  const waiting = status?.lag?.events ? `${plural(status.lag.events, 'event')} that it has not delivered, its` : 'Its';
  dialog(`Delete ${id}`, [
    el('p', {}, `${waiting} settings, its position and its dead letters are gone then. Nothing brings them back.`),
  ], 'Delete it', async () => {
    await change('DELETE', hookPath(id), undefined, { 'if-match': `"${document.revision}"` });
    location.hash = '#/hooks';
  });
}

function drop(id, ids, refresh) {
  const which = ids.length ? 'this dead letter' : 'all dead letters';
  dialog(`Drop ${which}`, [
    el('p', {}, ids.length ? 'It is not delivered any more: what it holds is gone.' : `All of ${id} are gone then, those that come meanwhile, too, and are not delivered any more.`),
  ], 'Drop', async () => {
    const { dropped } = await post(hookPath(id, '/dead-letters/drop'), { ids });
    await refresh();
    say(`${plural(dropped, 'dead letter')} dropped.`);
  });
}

async function replay(id, ids, refresh) {
  try {
    const done = await post(hookPath(id, '/dead-letters/replay'), { ids });
    await refresh();
    const parts = [`${number(done.delivered)} delivered`, done.refused && `${number(done.refused)} refused again`, done.untried && `${number(done.untried)} not tried`];
    say(`${parts.filter(Boolean).join(', ')}.${done.error ? ` ${done.error}` : ''}`, Boolean(done.error));
  } catch (error) {
    say(error.message, true);
  }
}
