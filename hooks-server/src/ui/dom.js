// Makes elements. No text becomes markup: what comes from elsewhere is text, whatever is in it.

/** An element with these properties; names with a dash, `role` and `for` are attributes, `on…` listeners. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'class') element.className = value;
    else if (key.includes('-') || ['role', 'for', 'list', 'datetime', 'scope', 'colspan'].includes(key)) element.setAttribute(key, value === true ? '' : value);
    else element[key] = value;
  }
  fill(element, children);
  return element;
}

export function show(place, ...children) {
  place.replaceChildren();
  fill(place, children);
}

/** One by one: a call takes no list of any length. */
function fill(place, children) {
  for (const child of children.flat()) if (child !== undefined && child !== null && child !== false) place.append(child);
}

/** A listener whose failure is said. */
export const safely = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    if (error.name !== 'AbortError') say(error.message, true);
  }
};

/** Says it to people, also to those who hear the page. */
export function say(text, isBad = false) {
  let place = document.getElementById('said');
  if (!place) {
    place = el('p', { id: 'said', role: 'status', class: 'card note' });
    document.getElementById('main').prepend(place);
  }
  place.className = isBad ? 'card alert' : 'card note';
  place.textContent = text;
}

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3, notation: 'compact' });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

export const number = (value) => (value === undefined || value === null ? '–' : whole.format(value));
export const rate = (value) => (value === undefined ? '–' : `${short.format(value)}/s`);
export const compact = (value) => short.format(value);
export const hour = (date) => clock.format(date);
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return `${short.format(count)} ${units[unit]}`;
}

export function millis(count) {
  return count < 1000 ? `${short.format(count)} ms` : `${short.format(count / 1000)} s`;
}

/** How long ago it was. */
export function ago(text) {
  const seconds = (new Date(text) - Date.now()) / 1000;
  const units = [['day', 86400], ['hour', 3600], ['minute', 60]];
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return relative.format(Math.round(seconds / length), unit);
}

/** A time in the reader's zone, and how long ago that is. */
export function time(text) {
  if (!text) return '–';
  return el('time', { datetime: text, title: text }, `${moments.format(new Date(text))} (${ago(text)})`);
}

/** A short one: the rest is in its title. */
export function moment(text) {
  return el('time', { datetime: text, title: text }, moments.format(new Date(text)));
}

const STATES = {
  __proto__: null,
  healthy: ['good', 'healthy'], backing_off: ['bad', 'failing'], throttled: ['warn', 'throttled'], held: ['bad', 'held'],
  disabled: ['', 'disabled'], delivered: ['good', 'delivered'], failed: ['bad', 'failed'], partly: ['warn', 'partly'],
  pending: ['warn', 'pending'], dead_lettered: ['bad', 'dead letter'], given_up: ['bad', 'given up'],
  not_matched: ['', 'not matched'], did_not_exist: ['', 'did not exist yet'], passed: ['', 'passed'],
  skipped: ['warn', 'skipped'],
};

/** A state or outcome in words; its colour only repeats them. */
export function badge(state) {
  const [kind, words] = STATES[state] ?? ['bad', String(state)];
  return el('span', { class: `badge ${kind}` }, words);
}

export const words = (state) => STATES[state]?.[1] ?? state;

export function facts(...pairs) {
  return el('dl', { class: 'facts' }, pairs.filter(Boolean).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value ?? '–'))));
}

/** A table: columns are `[name, class]`. On a narrow screen each row is a block. */
export function table(caption, columns, rows) {
  const head = columns.map(([name, kind]) => el('th', { scope: 'col', class: kind }, name));
  const body = el('tbody', {}, rows);
  return el('div', { class: 'scroll', role: 'group', tabIndex: 0, 'aria-label': caption },
    el('table', { class: 'stack' }, el('caption', { class: 'unseen' }, caption), el('thead', {}, el('tr', {}, head)), body));
}

export function cells(columns, values) {
  return columns.map(([name, kind], at) => el('td', { class: kind, 'data-label': name }, values[at]));
}

/** Members of a list that are shown at a time, and of all that is open at first. */
const [SHOWN, OPEN] = [200, 1000];

/** JSON that can be folded: the first levels are open, unless they hold too much. */
export function tree(value, levels = 2, open = { left: OPEN }) {
  if (value === null || typeof value !== 'object') return el('code', {}, JSON.stringify(value));
  const names = Object.keys(value);
  if (names.length === 0) return el('code', {}, Array.isArray(value) ? '[]' : '{}');
  const many = Array.isArray(value) ? plural(names.length, 'element') : plural(names.length, 'member');
  const isOpen = levels > 0 && open.left > 0;
  const details = el('details', { open: isOpen }, el('summary', {}, many));
  const list = el('ul', { class: 'tree' });
  const draw = (begin) => {
    const part = names.slice(begin, begin + SHOWN);
    open.left -= part.length;
    const left = names.length - begin - part.length;
    const more = left > 0 && el('li', {}, el('button', { type: 'button', onclick: (event) => { event.target.parentElement.remove(); draw(begin + SHOWN); } }, `… ${number(left)} more`));
    fill(list, [part.map((name) => el('li', {}, el('code', { class: 'name' }, name), ': ', tree(value[name], levels - 1, open))), more]);
    details.append(list);
  };
  // What is folded costs nothing until somebody looks.
  if (isOpen) draw(0);
  else details.addEventListener('toggle', () => draw(0), { once: true });
  return details;
}

/** Asks in a dialog. `submit` does it, and may give what to show in place of the form; an error is shown in it. */
export function dialog(title, fields, action, submit) {
  const fault = el('p', { class: 'fault', role: 'alert' });
  const close = el('button', { type: 'button', onclick: () => box.close() }, 'Cancel');
  const go = el('button', { class: 'main' }, action);
  const form = el('form', { onsubmit: async (event) => {
    event.preventDefault();
    show(fault);
    go.disabled = true;
    try {
      const done = await submit();
      if (!done) return box.close();
      show(form, done, el('div', { class: 'row' }, el('button', { type: 'button', class: 'main', onclick: () => box.close() }, 'Close')));
      form.querySelector('button').focus();
    } catch (error) {
      show(fault, error.message);
    } finally {
      go.disabled = false;
    }
  } }, fields, fault, el('div', { class: 'row' }, go, close));
  const box = el('dialog', { 'aria-labelledby': 'dialog-title', onclose: () => box.remove() }, el('h2', { id: 'dialog-title' }, title), form);
  document.body.append(box);
  box.showModal();
  return { box, go, fault };
}

/** Something that is shown once, to be copied. */
export function secret(name, value) {
  const input = el('input', { value, readOnly: true, class: 'mono' });
  const copy = el('button', { type: 'button', onclick: async () => {
    input.select();
    await navigator.clipboard?.writeText(value).catch(() => {});
    copy.textContent = 'Copied';
  } }, 'Copy');
  return el('div', {}, el('label', {}, name, input), copy);
}
