// All hooks, a page at a time.

import { follow, get, hookPath, path } from './api.js';
import { badge, cells, el, number, plural, show, table } from './dom.js';

const PAGE = 50;
const STATES = [['', 'any'], ['backing_off', 'failing'], ['held', 'held'], ['throttled', 'throttled'], ['disabled', 'disabled'], ['healthy', 'healthy']];
const COLUMNS = [['Hook'], ['State'], ['Waiting', 'number'], ['Delivered', 'number'], ['Dead letters', 'number'], ['Sends to']];

export async function hooksView(main, context) {
  const { query, access, signal } = context;
  const found = el('div');
  const progress = el('p', { role: 'status', class: 'soft' });
  show(main, el('div', { class: 'title' }, el('h1', {}, 'Hooks'), context.manages && el('a', { class: 'button', href: '#/new' }, 'New hook')),
    search(query, access), el('section', { class: 'card' }, progress, found));
  const page = await load(query, signal, (text) => show(progress, text));
  if (signal.aborted) return;
  draw(found, progress, page, query);
  const named = page.hooks.map((hook) => hook.id);
  const again = () => context.signal.aborted || load(query, signal, () => {}).then((newer) => draw(found, progress, newer, query), () => {});
  follow(named, { ...context.link(again), hook: (status) => update(found, status), gone: ({ id }) => gone(found, id) }, signal);
}

function search(query, access) {
  const text = el('input', { type: 'search', name: 'q', value: query.get('q') ?? '', placeholder: 'a part of its name or settings' });
  const state = el('select', { name: 'state' }, STATES.map(([value, name]) => el('option', { value, selected: value === (query.get('state') ?? '') }, name)));
  const tenant = !access.tenant && el('input', { name: 'tenant', value: query.get('tenant') ?? '', placeholder: 'any' });
  const submit = (event) => {
    event.preventDefault();
    const wanted = path('#/hooks', { q: text.value.trim(), state: state.value, tenant: tenant ? tenant.value.trim() : '' });
    if (location.hash === wanted) window.dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = wanted;
  };
  return el('form', { class: 'card row', role: 'search', onsubmit: submit },
    el('label', {}, 'Search', text), el('label', {}, 'State', state), tenant && el('label', {}, 'Tenant', tenant), el('button', { class: 'main' }, 'Search'));
}

/** A page of hooks: the API looks at some thousands at a time, and says where to go on. */
async function load(query, signal, progress) {
  const hooks = [];
  let after = query.get('after') ?? undefined;
  const pick = { q: query.get('q'), state: query.get('state'), tenant: query.get('tenant') };
  do {
    const page = await get(path('v1/hooks', { ...pick, after, limit: PAGE - hooks.length }), signal);
    hooks.push(...page.hooks);
    after = page.next;
    progress(after ? `Searching: ${plural(hooks.length, 'hook')} so far, up to ${after}…` : '');
  } while (after && hooks.length < PAGE);
  return { hooks, next: after };
}

function draw(place, progress, { hooks, next }, query) {
  const isFiltered = ['q', 'state', 'tenant', 'after'].some((name) => query.get(name));
  if (hooks.length === 0) {
    show(progress);
    const advice = isFiltered ? ['No hook fits. ', el('a', { href: '#/hooks' }, 'Show all hooks')] : ['There are no hooks yet. ', el('a', { href: '#/new' }, 'Make one')];
    return show(place, el('p', {}, advice));
  }
  show(progress, `${plural(hooks.length, 'hook')}${next ? ', and there are more' : ''}`);
  const where = (after) => path('#/hooks', { q: query.get('q'), state: query.get('state'), tenant: query.get('tenant'), after });
  return show(place, table('Hooks', COLUMNS, hooks.map(row)), el('nav', { class: 'row', 'aria-label': 'Pages' },
    query.get('after') && el('a', { href: where() }, 'First page'),
    query.get('after') && el('button', { type: 'button', onclick: () => history.back() }, 'Back'),
    next && el('a', { class: 'button', href: where(next) }, 'Next page')));
}

function row(hook) {
  const { status, settings } = hook;
  const sink = settings?.sink ?? {};
  const tr = el('tr', {}, cells(COLUMNS, [
    el('a', { href: `#/${hookPath(hook.id).slice(3)}` }, hook.id), el('span'), '', '', '', sink.url ?? sink.path ?? sink.kind ?? '–',
  ]));
  tr.dataset.hook = hook.id;
  fill(tr, status, hook.error);
  return tr;
}

function fill(tr, status, error) {
  const [, state, waiting, delivered, letters] = tr.children;
  show(state, badge(status?.state ?? 'not running'), error && el('div', { class: 'fault' }, error));
  const lag = status?.lag;
  waiting.textContent = lag ? `${lag.exact ? '' : '≤ '}${number(lag.events)}` : '–';
  delivered.textContent = number(status?.counts?.delivered);
  letters.textContent = number(status?.dead_letters);
}

const find = (place, id) => place.querySelector(`tr[data-hook="${CSS.escape(id)}"]`);

function update(place, status) {
  const tr = find(place, status.id);
  if (tr) fill(tr, status);
}

function gone(place, id) {
  const tr = find(place, id);
  if (tr) show(tr.children[1], badge('not running'));
}
