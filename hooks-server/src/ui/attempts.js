// What was tried, with request and answer; and what was given up.

import { get, hookPath, path } from './api.js';
import { badge, el, facts, millis, moment, number, plural, safely, show, time, tree } from './dom.js';

/** A section with the attempts of a hook, and `refresh()`. */
export function attempts(id, signal) {
  const list = el('div');
  const which = el('select', {}, el('option', { value: '' }, 'all'), el('option', { value: 'failed' }, 'failed'), el('option', { value: 'delivered' }, 'delivered'));
  const more = el('button', { type: 'button', hidden: true }, 'Older attempts');
  const section = el('section', { class: 'card', 'aria-labelledby': 'attempts' },
    el('div', { class: 'title' }, el('h2', { id: 'attempts' }, 'Attempts'), el('label', {}, 'Which', which)), list, more);
  let shown = [];
  let next;
  const page = (after, limit) => get(path(hookPath(id, '/attempts'), { outcome: which.value, after, limit }), signal);
  const draw = () => {
    // What somebody reads stays open, and stays where it is.
    const known = new Map([...list.querySelectorAll('details[data-attempt]')].map((entry) => [entry.dataset.attempt, entry]));
    const entries = shown.map((attempt) => known.get(String(attempt.id)) ?? attemptEntry(id, attempt, signal));
    show(list, entries.length ? entries : el('p', {}, which.value ? 'There is no such attempt on record.' : 'Nothing was tried yet. Test the hook, or publish an event that its filter lets through.'));
    more.hidden = !next;
  };
  const refresh = async () => {
    const first = await page(undefined, 20);
    const known = new Set(first.attempts.map((attempt) => attempt.id));
    const older = shown.filter((attempt) => !known.has(attempt.id) && attempt.id < (first.attempts.at(-1)?.id ?? 0));
    if (older.length === 0) next = first.next;
    shown = [...first.attempts, ...older].slice(0, 500);
    draw();
  };
  which.addEventListener('change', () => { shown = []; refresh().catch((error) => show(list, error.message)); });
  more.addEventListener('click', safely(async () => {
    const older = await page(next, 50);
    next = older.next;
    shown.push(...older.attempts);
    draw();
  }));
  return { section, refresh };
}

function attemptEntry(id, attempt, signal) {
  const status = attempt.status ? ` ${attempt.status}` : '';
  const body = el('div');
  const entry = el('details', { class: 'entry' }, el('summary', {}, moment(attempt.began), badge(attempt.outcome),
    el('span', {}, `${plural(attempt.events, 'event')}, attempt ${attempt.attempt}${attempt.trigger === 'live' ? '' : `, ${attempt.trigger}`}`),
    el('span', { class: 'soft' }, `${status} ${attempt.error || ''}`.trim()), el('span', { class: 'soft' }, millis(attempt.took_ms))), body);
  entry.dataset.attempt = attempt.id;
  entry.addEventListener('toggle', () => fillAttempt(body, id, attempt, signal), { once: true });
  return entry;
}

function fillAttempt(body, id, attempt, signal) {
  const phases = Object.entries(attempt.phases_ms ?? {}).map(([name, took]) => `${name} ${millis(took)}`).join(', ');
  const request = el('div', {}, el('p', { role: 'status' }, 'Loading the request…'));
  show(body,
    facts(['Began', time(attempt.began)], ['Took', millis(attempt.took_ms)], phases && ['Of this', phases], attempt.class && ['Kind of failure', attempt.class],
      attempt.address && ['Connected to', attempt.address], ['Batch', el('code', {}, attempt.batch)],
      ['Events', attempt.positions.length ? attempt.positions.map(eventLinks) : 'a test event']),
    el('h3', {}, 'Request'), request,
    el('h3', {}, 'Answer'),
    attempt.status ? el('p', {}, `Status ${attempt.status}`) : el('p', {}, 'There was no answer.'),
    attempt.error && el('p', { class: 'fault' }, attempt.error), attempt.answer && el('pre', { tabIndex: 0 }, attempt.answer));
  const positions = attempt.positions.flatMap(([from, to]) => Array.from({ length: Math.min(to - from + 1, 20) }, (_, at) => from + at)).slice(0, 20);
  get(path(hookPath(id, '/request'), { position: positions }), signal).then((shown) => {
    const left = attempt.events - positions.length;
    show(request, el('p', { class: 'soft' }, 'As the settings are now', left > 0 && `, of the first ${positions.length} events`, '.'),
      shown.requests.map((text) => el('pre', { tabIndex: 0 }, text)));
  }, (error) => signal.aborted || show(request, el('p', { class: 'soft' }, `It can't be shown: ${error.message}`)));
}

function eventLinks([from, to]) {
  const link = (at) => el('a', { href: `#/events/${at}` }, number(at));
  return el('span', {}, link(from), to > from && [' to ', link(to)], ' ');
}

/** A section with the dead letters of a hook, and `refresh()`; `replay` and `drop`, where one may, are given ids, none for all. */
export function deadLetters(id, { replay, drop }, signal) {
  const list = el('div');
  const all = el('div', { class: 'row', hidden: true }, el('button', { type: 'button', class: 'main', onclick: () => replay([]) }, 'Deliver all once more'),
    el('button', { type: 'button', onclick: () => drop([]) }, 'Drop all…'));
  const section = el('section', { class: 'card', 'aria-labelledby': 'letters' },
    el('div', { class: 'title' }, el('h2', { id: 'letters' }, 'Dead letters'), all), list);
  const refresh = async () => {
    const page = await get(hookPath(id, '/dead-letters'), signal).catch((error) => {
      if (error.status === 409) return { dead_letters: [] };
      throw error;
    });
    const letters = page.dead_letters;
    all.hidden = !replay || letters.length === 0;
    // What somebody reads stays open.
    const known = new Map([...list.querySelectorAll('details[data-letter]')].map((entry) => [entry.dataset.letter, entry]));
    const entry = (letter) => known.get(`${letter.id} ${letter.attempts}`) ?? letterEntry(letter, replay, drop);
    show(list, letters.length ? letters.slice(0, 50).map(entry) : el('p', {}, 'There are none: no event was given up.'),
      letters.length > 50 && el('p', { class: 'soft' }, `The oldest 50 are shown: ${hookPath(id, '/dead-letters')} has all.`));
  };
  return { section, refresh };
}

function letterEntry(letter, replay, drop) {
  const entry = el('details', { class: 'entry' }, el('summary', {}, moment(letter.last_attempt), badge(letter.reason), el('span', {}, letter.type),
    el('code', {}, letter.event_id)));
  const draw = () => entry.append(el('div', {}, el('p', {}, letter.detail),
    facts(['First tried', time(letter.first_attempt)], ['Given up', time(letter.last_attempt)], ['Attempts', number(letter.attempts)]), tree(letter.event),
    replay && el('p', { class: 'row' }, el('button', { type: 'button', onclick: () => replay([letter.id]) }, 'Deliver this once more'),
      el('button', { type: 'button', onclick: () => drop([letter.id]) }, 'Drop this…'))));
  entry.dataset.letter = `${letter.id} ${letter.attempts}`;
  entry.addEventListener('toggle', draw, { once: true });
  return entry;
}
