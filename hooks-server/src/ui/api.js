// Asks the API. The token is kept for this tab alone, and goes into the header of requests to this server and nowhere else.

const BASE = new URL('..', import.meta.url);
const KEY = 'hooks-token';
let kept = null;

// In a frame the browser may refuse to keep anything: then it lasts as long as the page.
export function token() {
  try { return sessionStorage.getItem(KEY) ?? kept; } catch { return kept; }
}

export function setToken(text) {
  kept = text;
  try { if (text) sessionStorage.setItem(KEY, text); else sessionStorage.removeItem(KEY); } catch { /* kept in memory */ }
}

/** An answer that is a problem (RFC 9457), or none at all (`status` 0). */
export class Problem extends Error {
  constructor(status, detail, faults = []) {
    super(detail);
    this.status = status;
    this.faults = faults;
  }
}

async function send(method, path, { body, headers = {}, signal, patch } = {}) {
  const sent = { ...headers };
  if (token()) sent.authorization = `Bearer ${token()}`;
  if (body !== undefined) sent['content-type'] = patch ? 'application/merge-patch+json' : 'application/json';
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), {
      method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store', credentials: 'omit', redirect: 'error',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'The daemon does not answer. Is it running, and can this browser reach it?');
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, problem.detail ?? problem.error ?? `The daemon answers ${answer.status}.`, problem.faults);
}

export async function get(path, signal) {
  return (await send('GET', path, { signal })).json();
}

export async function post(path, body = {}, signal) {
  return (await send('POST', path, { body, signal })).json();
}

export async function change(method, path, body, headers, patch = false) {
  return (await send(method, path, { body, headers, patch })).json();
}

/** A path with what stands behind `?`; what is empty is left out. */
export function path(base, query) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== '') parts.append(name, one);
  }
  return parts.size ? `${base}?${parts}` : base;
}

export const hookPath = (id, rest = '') => `v1/hooks/${encodeURIComponent(id)}${rest}`;

/** Waits so long, or until the signal. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

function visible(signal) {
  return new Promise((resolve) => {
    const look = () => { if (!document.hidden || signal.aborted) resolve(); };
    document.addEventListener('visibilitychange', look, { signal });
    signal.addEventListener('abort', resolve, { once: true });
    look();
  });
}

/**
 * Follows how it stands until the signal: `on` has a function for each kind of event, `down` for a connection that is gone
 * (with the problem), and `up` for one that is there, `again` if it was gone. A tab that nobody sees follows nothing.
 */
export async function follow(hooks, on, signal) {
  let wait = 1000;
  let wasDown = false;
  while (!signal.aborted) {
    await visible(signal);
    if (signal.aborted) return;
    const round = new AbortController();
    const end = () => round.abort();
    const hide = () => { if (document.hidden) end(); };
    signal.addEventListener('abort', end, { once: true });
    document.addEventListener('visibilitychange', hide);
    try {
      const answer = await send('GET', path('v1/live', { hook: hooks }), { signal: round.signal });
      on.up?.(wasDown);
      [wait, wasDown] = [1000, false];
      await read(answer.body, on);
      // It ended as it should: a daemon that is gone is noticed at the next request.
      await pause(200, round.signal);
    } catch (error) {
      if (round.signal.aborted) continue;
      const problem = error instanceof Problem ? error : new Problem(0, 'The connection broke off.');
      wasDown = true;
      on.down?.(problem, wait);
      await pause(problem.status === 429 ? 10000 : wait, signal);
      wait = Math.min(wait * 2, 8000);
    } finally {
      signal.removeEventListener('abort', end);
      document.removeEventListener('visibilitychange', hide);
      round.abort();
    }
  }
}

/** Reads server-sent events: `EventSource` can't send a token. */
async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const line = (name) => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = line('data');
      if (data) on[line('event')]?.(JSON.parse(data));
    }
  }
}
