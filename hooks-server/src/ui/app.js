// The page: which view is shown, who looks at it, and whether the daemon is there.

import { Problem, get, setToken, token } from './api.js';
import { el, show } from './dom.js';
import { eventView, eventsView } from './events.js';
import { editView, newView } from './form.js';
import { hookView } from './hook.js';
import { hooksView } from './hooks.js';
import { overviewView } from './overview.js';

const main = document.getElementById('main');
const connection = document.getElementById('connection');

/** Path patterns, the part of the navigation that they belong to, and what shows them. */
const VIEWS = [
  [/^\/?$/, 'overview', overviewView],
  [/^\/hooks$/, 'hooks', hooksView],
  [/^\/new$/, 'hooks', newView],
  [/^\/hooks\/([^/]+)$/, 'hooks', hookView],
  [/^\/hooks\/([^/]+)\/edit$/, 'hooks', editView],
  [/^\/events$/, 'events', eventsView],
  [/^\/events\/(\d+)$/, 'events', eventView],
];

let current = new AbortController();

/** What a view is given. */
class Context {
  constructor(query, access, signal) {
    Object.assign(this, { query, access, signal });
    this.manages = access.may.includes('manage');
  }

  /** The listeners of a live stream that tell whether the daemon is there; `again` is called when it is back. */
  link(again) {
    const { signal } = this;
    return {
      up(wasDown) {
        if (signal.aborted) return;
        show(connection);
        if (wasDown) again?.();
      },
      down(problem, wait) {
        if (signal.aborted) return;
        if (problem.status === 401) return void askForToken(problem);
        const text = problem.status === 429
          ? 'Too many pages are open and live. This one is refreshed every ten seconds.'
          : `${problem.message} What you see is as it was; trying again in ${Math.ceil(wait / 1000)} s.`;
        show(connection, text);
        if (problem.status === 429) again?.();
      },
    };
  }
}

async function render() {
  const offered = takeToken();
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const [place, query] = location.hash.replace(/^#/, '').split('?');
  const found = VIEWS.map(([pattern, tab, view]) => ({ match: pattern.exec(place), tab, view })).find((one) => one.match);
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === found?.tab) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  show(connection);
  if (offered) return void askWhichToken(offered);
  if (!found) return void show(main, card('Nothing is here', 'There is no such view.', el('a', { href: '#/' }, 'To the overview')));
  show(main, el('p', { role: 'status' }, 'Loading…'));
  try {
    const overview = await get('v1/overview', signal);
    welcome(overview);
    const context = new Context(new URLSearchParams(query), overview.access, signal);
    await found.view(main, context, ...found.match.slice(1).map(decoded), overview);
    if (signal.aborted) return;
    const title = main.querySelector('h1');
    document.title = title ? `${title.textContent} – hooks` : 'hooks';
    if (title && document.activeElement === document.body) main.focus({ preventScroll: true });
  } catch (error) {
    if (signal.aborted) return;
    failed(error, signal);
  }
}

/** What is no such encoding means itself. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function failed(error, signal) {
  if (!(error instanceof Problem)) {
    console.error(error);
    return show(main, card('The page failed', `This can't be shown: ${error.message}. The same is in the API: see /openapi.json.`));
  }
  if (error.status === 401) return askForToken(error);
  const again = el('button', { class: 'main', onclick: render }, 'Try again');
  if (error.status === 403) {
    show(main, card('Not allowed', error.message, el('p', {}, 'Use a token that has the right, or ask the operator for one.'), again));
  } else if (error.status === 404) {
    show(main, card('Not found', error.message, el('a', { href: '#/hooks' }, 'To all hooks')));
  } else {
    show(main, card(error.status ? 'That did not work' : 'The daemon is away', error.message, again));
  }
  // Whoever waits sees it come back.
  if (error.status === 0) {
    const timer = setInterval(() => get('v1/overview', signal).then(() => { clearInterval(timer); render(); }, () => {}), 2000);
    signal.addEventListener('abort', () => clearInterval(timer));
  }
}

function card(title, ...content) {
  return el('section', { class: 'card' }, el('h1', {}, title), content.map((one) => (typeof one === 'string' ? el('p', {}, one) : one)));
}

/**
 * A token may come with a link: `#token=…`, and `&view=/hooks` for where to go. It is taken out of the address at once. It is
 * given where this tab has another one, which nobody takes away unseen.
 */
function takeToken() {
  const found = /^#token=([^&]+)(?:&view=(.*))?$/.exec(location.hash);
  if (!found) return undefined;
  const offered = decoded(found[1]);
  history.replaceState(null, '', `#${decoded(found[2] ?? '/')}`);
  if (token() && token() !== offered) return offered;
  setToken(offered);
  return undefined;
}

function askWhichToken(offered) {
  const use = el('button', { class: 'main', onclick: () => { setToken(offered); render(); } }, 'Use the link’s token');
  show(main, card('Another token', 'The link that you followed has a token, and this tab has another one already. What you see and change from now on is what the one that you choose may.',
    el('div', { class: 'row' }, use, el('button', { onclick: render }, 'Keep the token of this tab'))));
  use.focus();
}

function askForToken(problem) {
  const wrong = token() ? `The token is not good, or not any more. (${problem.message})` : 'This daemon shows its hooks to those who have a token.';
  const input = el('input', { type: 'password', id: 'token', autocomplete: 'off', required: true, size: 40 });
  setToken(null);
  welcome(null);
  show(main, el('section', { class: 'card' }, el('h1', {}, 'A token, please'), el('p', { role: 'alert' }, wrong),
    el('p', { class: 'soft' }, 'It is one of ', el('code', {}, 'api.tokens'), ' in the config file, or was made for you. It stays in this tab.'),
    el('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); setToken(input.value.trim()); render(); } },
      el('label', { for: 'token' }, 'Token', input), el('button', { class: 'main' }, 'Show the hooks'))));
  input.focus();
}

function welcome(overview) {
  const access = overview?.access;
  const who = access?.tenant ? `Tenant ${access.tenant}` : '';
  const until = access?.expires ? ` until ${new Date(access.expires).toLocaleTimeString()}` : '';
  document.getElementById('who').textContent = who + until;
  document.getElementById('leave').hidden = !token();
  document.getElementById('version').textContent = overview ? `hooks ${overview.version}.` : '';
}

function theme() {
  const button = document.getElementById('theme');
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : dark.matches);
  const name = () => { button.textContent = isDark() ? 'Light' : 'Dark'; };
  try { if (localStorage.getItem('hooks-theme')) root.dataset.theme = localStorage.getItem('hooks-theme'); } catch { /* as the system has it */ }
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    try { localStorage.setItem('hooks-theme', root.dataset.theme); } catch { /* for now */ }
    name();
  });
  dark.addEventListener('change', name);
  name();
}

document.getElementById('skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
document.getElementById('leave').addEventListener('click', () => { setToken(null); render(); });
document.getElementById('zone').textContent = `Times are in your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
window.addEventListener('hashchange', () => { document.activeElement?.blur(); scrollTo(0, 0); render(); });
theme();
render();
