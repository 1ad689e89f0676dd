// Events: found by a text, and what became of one at each hook.

import { get, hookPath, path, post } from './api.js';
import { badge, bytes, cells, el, facts, moment, number, plural, safely, say, show, table, time, tree } from './dom.js';

const COLUMNS = [['Accepted', 'short'], ['Type'], ['Id'], ['Source']];
const PAGE = 50;

export async function eventsView(main, context) {
  const { query, signal } = context;
  const [found, progress] = [el('div'), el('p', { role: 'status', class: 'soft' })];
  show(main, el('h1', {}, 'Events'), search(query), el('section', { class: 'card' }, progress, found));
  await list(found, progress, query, signal);
}

function search(query) {
  const field = (label, name, placeholder) => el('label', {}, label, el('input', { type: 'search', name, value: query.get(name) ?? '', placeholder }));
  const submit = (event) => {
    event.preventDefault();
    const wanted = path('#/events', Object.fromEntries(new FormData(event.target)));
    if (location.hash === wanted) window.dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = wanted;
  };
  return el('form', { class: 'card row', role: 'search', onsubmit: submit },
    field('Id or text', 'text', 'as in its JSON'), field('Type', 'type', 'order.*'), field('Source', 'source', '*/shop'), field('Since', 'since', '2h, or a time'), el('button', { class: 'main' }, 'Search'));
}

async function list(place, progress, query, signal, after) {
  const events = [];
  let [next, scanned] = [after, 0];
  show(progress, 'Looking…');
  do {
    const page = await get(path('v1/events', { text: query.get('text'), type: query.get('type'), source: query.get('source'), since: query.get('since'), after: next, limit: PAGE - events.length }), signal);
    events.push(...page.events);
    [next, scanned] = [page.next, scanned + page.scanned];
    show(progress, `${plural(events.length, 'event')} in ${bytes(scanned)} of log so far…`);
  } while (next !== undefined && events.length < PAGE && scanned < 2 ** 30);
  show(progress, `${plural(events.length, 'event')}${next === undefined ? '' : ', and there may be older ones'}`);
  const older = next !== undefined && el('button', { type: 'button', onclick: safely(() => list(place, progress, query, signal, next)) }, 'Look further back');
  if (events.length === 0) {
    return show(place, el('p', {}, query.size ? 'No event fits in the part of the log that was looked at.' : 'The log has no events yet. Publish one: POST /v1/events.'), older);
  }
  return show(place, table('Events', COLUMNS, events.map((one) => el('tr', {}, cells(COLUMNS, [
    el('a', { href: `#/events/${one.position}` }, moment(one.accepted)), one.event.type, el('code', {}, one.event.id), one.event.source,
  ])))), older);
}

export async function eventView(main, context, position) {
  const { signal } = context;
  const { event, accepted } = await get(`v1/events/${position}`, signal);
  const outcomes = el('section', { class: 'card', 'aria-labelledby': 'outcomes' });
  show(main, el('h1', {}, `Event ${event.id}`),
    el('section', { class: 'card' }, facts(['Type', event.type], ['Source', event.source], ['Accepted', time(accepted)], event.tenant && ['Tenant', event.tenant], ['Position', number(Number(position))])),
    outcomes, el('section', { class: 'card' }, el('h2', {}, 'As JSON'), tree(event, 3)));
  await showOutcomes(outcomes, context, position);
}

/** What became of it: first at the hooks that it reaches. With many hooks it is looked at some of them at a time. */
async function showOutcomes(place, context, position) {
  const columns = [['Hook'], ['Outcome'], ['Why'], ['Again']];
  const [reached, others] = [[], []];
  const [list, progress] = [el('div'), el('p', { role: 'status', class: 'soft' })];
  const more = el('button', { type: 'button', hidden: true }, 'Look at more hooks');
  const left = el('details');
  show(place, el('h2', { id: 'outcomes' }, 'What became of it'), progress, list, more, left);
  let after;
  const row = (outcome) => {
    const again = context.manages && outcome.outcome !== 'pending' && el('button', { type: 'button', 'aria-label': `Send again to ${outcome.hook}`, onclick: () => resend(outcome.hook, position, () => showOutcomes(place, context, position)) }, 'Send again');
    const when = outcome.attempt && el('div', { class: 'soft' }, moment(outcome.attempt.began), outcome.attempt.status ? `, status ${outcome.attempt.status}` : '');
    return el('tr', {}, cells(columns, [el('a', { href: `#/${hookPath(outcome.hook).slice(3)}` }, outcome.hook), badge(outcome.outcome), el('div', {}, outcome.detail, when), again || '']));
  };
  const load = async () => {
    const begun = reached.length;
    for (let pages = 0; pages < 20; pages += 1) {
      const page = await get(path(`v1/events/${position}/outcomes`, { after }), context.signal);
      for (const outcome of page.hooks) (['not_matched', 'did_not_exist'].includes(outcome.outcome) ? others : reached).push(outcome);
      after = page.next;
      show(progress, `${plural(reached.length + others.length, 'hook')} looked at…`);
      if (!after || reached.length - begun >= 50) break;
    }
    show(progress, `It reaches ${number(reached.length)} of the ${plural(reached.length + others.length, 'hook')} that were looked at.`);
    show(list, reached.length ? table('What became of it', columns, reached.map(row)) : el('p', {}, 'No hook’s filter lets it through.'));
    more.hidden = !after;
    left.hidden = others.length === 0;
    show(left, el('summary', {}, `${plural(others.length, 'hook')} that it does not reach`), table('Hooks that it does not reach', columns, others.slice(0, 200).map(row)));
  };
  more.addEventListener('click', safely(load));
  await load().catch((error) => { if (error.status !== 501) throw error; show(progress, error.message); });
}

async function resend(hook, position, refresh) {
  try {
    const done = await post(hookPath(hook, '/resend'), { positions: [Number(position)], unmatched: true });
    await refresh();
    say(done.delivered ? `${hook} has it once more.` : `It did not arrive: ${done.error ?? 'it is not there any more'}`, !done.delivered);
  } catch (error) {
    say(error.message, true);
  }
}
