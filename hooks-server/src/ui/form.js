// Makes and edits hooks. Each setting is a field; what the API says is wrong stands beside the one that it is about.

import { change, get, hookPath } from './api.js';
import { el, say, secret, show } from './dom.js';

const BEGIN = { types: ['*'], sink: { kind: 'http', url: '' } };

export async function newView(main, context) {
  const id = el('input', { required: true, id: 'new-id', pattern: '[A-Za-z0-9_.\\-]+', maxLength: 64, 'aria-describedby': 'new-id-help' });
  const begin = context.access.tenant ? { ...BEGIN, tenant: context.access.tenant } : BEGIN;
  const name = el('div', { class: 'field' }, el('label', { for: 'new-id' }, 'id', id),
    el('p', { class: 'soft', id: 'new-id-help' }, 'Letters, digits, “_”, “-” and “.”: names are shared by everybody, so begin it with yours.'));
  form(main, 'New hook', begin, name, (settings) => change('PUT', hookPath(id.value), settings, { 'if-none-match': '*' }), () => id.value);
}

export async function editView(main, context, id) {
  const document = await get(hookPath(id), context.signal);
  if (document.origin !== 'api' || !document.settings) {
    return show(main, el('section', { class: 'card' }, el('h1', {}, `Edit ${id}`), el('p', {}, 'It is in the config file: change it there, and reload.')));
  }
  const save = (settings) => change('PATCH', hookPath(id), difference(document.settings, settings) ?? {}, { 'if-match': `"${document.revision}"` }, true);
  return form(main, `Edit ${id}`, document.settings, null, save, () => id);
}

function form(main, title, settings, name, save, id) {
  const [fields, general] = [el('div'), el('div', { class: 'fault', role: 'alert' })];
  for (const [pointer, value] of flatten(settings)) fields.append(field(pointer, value));
  const place = el('input', { placeholder: 'retry.max_delay', 'aria-label': 'Name of the setting to add' });
  const add = () => {
    const pointer = `/${place.value.trim().split('.').join('/')}`;
    if (!place.value.trim() || [...fields.children].some((one) => one.dataset.pointer === pointer)) return;
    const added = field(pointer, undefined);
    fields.append(added);
    place.value = '';
    added.querySelector('input').focus();
  };
  place.addEventListener('keydown', (event) => { if (event.key === 'Enter') { event.preventDefault(); add(); } });
  const go = el('button', { class: 'main' }, 'Save');
  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    faults(fields, general, []);
    try {
      const saved = await save(read(fields));
      const hook = `#/${hookPath(id()).slice(3)}`;
      if (!saved.secret) { location.hash = hook; return; }
      show(main, el('section', { class: 'card' }, el('h1', {}, `${id()} is made`), el('p', {}, 'Its requests are signed. The receiver needs the secret, which is shown this once.'),
        secret('Secret', saved.secret), el('p', {}, el('a', { href: hook }, `To ${id()}`))));
    } catch (error) {
      faults(fields, general, error.faults ?? [], error);
    } finally {
      go.disabled = false;
    }
  };
  show(main, el('section', { class: 'card' }, el('h1', {}, title), el('form', { onsubmit: submit, noValidate: false }, general, name, fields,
    el('div', { class: 'field' }, el('label', {}, 'Another setting', place), el('button', { type: 'button', onclick: add }, 'Add')),
    el('p', { class: 'soft' }, 'A list has a value on each line. What is empty is taken out. Secrets that are set stay as they are.'),
    el('div', { class: 'row' }, go, el('button', { type: 'button', onclick: () => history.back() }, 'Cancel')))));
}

/** The settings that hold something, by JSON pointer. */
function* flatten(value, pointer = '') {
  for (const [name, member] of Object.entries(value)) {
    const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const isTable = member && typeof member === 'object' && !Array.isArray(member) && Object.keys(member).length > 0;
    if (isTable) yield* flatten(member, at);
    else yield [at, member];
  }
}

const names = (pointer) => pointer.slice(1).split('/').map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
const isList = (value) => Array.isArray(value) && value.every((one) => typeof one === 'string');

function field(pointer, value) {
  const id = `field${pointer}`;
  const kind = isList(value) ? 'list' : typeof value === 'string' ? 'text' : value === undefined ? 'any' : 'json';
  const text = kind === 'list' ? value.join('\n') : kind === 'text' ? value : kind === 'any' ? '' : JSON.stringify(value);
  const input = kind === 'list' || text.includes('\n') ? el('textarea', { id, rows: Math.min(6, text.split('\n').length + 1), value: text }) : el('input', { id, value: text });
  const label = names(pointer).join('.');
  const remove = el('button', { type: 'button', 'aria-label': `Take out ${label}`, onclick: () => wrap.remove() }, 'Take out');
  const fault = el('p', { class: 'fault', id: `${id}/fault` });
  input.setAttribute('aria-describedby', `${id}/fault`);
  const wrap = el('div', { class: 'field' }, el('label', { for: id }, label, input), remove, fault);
  Object.assign(wrap.dataset, { pointer, kind });
  return wrap;
}

function read(fields) {
  // Any name may come: `__proto__`, too.
  const settings = Object.create(null);
  for (const one of fields.children) {
    const text = one.querySelector('input, textarea').value;
    if (text.trim() === '') continue;
    const path = names(one.dataset.pointer);
    const last = path.pop();
    let table = settings;
    for (const name of path) table = table[name] ??= Object.create(null);
    table[last] = meaning(text, one.dataset.kind);
  }
  return settings;
}

function meaning(text, kind) {
  if (kind === 'text') return text;
  if (kind === 'list') return text.split('\n').map((line) => line.trim()).filter(Boolean);
  try { return JSON.parse(text); } catch { return text; }
}

/** The merge patch (RFC 7396) that makes one of the other. `undefined`: they are the same. */
function difference(before, after) {
  if (JSON.stringify(before) === JSON.stringify(after)) return undefined;
  const isTable = (value) => value && typeof value === 'object' && !Array.isArray(value);
  if (!isTable(before) || !isTable(after)) return after;
  const patch = Object.create(null);
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (!Object.hasOwn(after, name)) patch[name] = null;
    else {
      const part = Object.hasOwn(before, name) ? difference(before[name], after[name]) : after[name];
      if (part !== undefined) patch[name] = part;
    }
  }
  return patch;
}

/** Shows each fault beside its field, the others above all. */
function faults(fields, general, list, error) {
  for (const one of fields.children) {
    show(one.querySelector('.fault'));
    one.querySelector('input, textarea').removeAttribute('aria-invalid');
  }
  const left = [];
  let first = null;
  for (const { pointer, reason } of list) {
    const place = [...fields.children].find((one) => pointer === one.dataset.pointer || pointer.startsWith(`${one.dataset.pointer}/`) || one.dataset.pointer.startsWith(`${pointer}/`));
    if (!place || pointer === '') { left.push(reason); continue; }
    const input = place.querySelector('input, textarea');
    place.querySelector('.fault').append(`${reason} `);
    input.setAttribute('aria-invalid', 'true');
    first ??= input;
  }
  if (error && list.length === 0) {
    left.push(error.status === 412 ? 'Somebody changed it meanwhile, or it is there already: load the page again, and make your change once more.' : error.message);
  }
  show(general, left.map((text) => el('p', {}, text)));
  if (first) first.focus();
  else if (error && left.length === 0) say(error.message, true);
}
