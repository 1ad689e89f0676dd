// What the flows share: daemons, a receiver, a browser, and what has to hold of every view.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The longest wait for anything. */
const PATIENCE = 60_000;

export function check(what, condition, found) {
  if (!condition) throw new Error(`${what}${found === undefined ? '' : `: ${JSON.stringify(found)}`}`);
  console.log(`  ok: ${what}`);
}

/** A `hooks serve`, which may die and come back at the same address. */
export class Daemon {
  constructor(hooks, folder, name, config) {
    Object.assign(this, { hooks, port: 0, file: join(folder, `${name}.toml`), config });
  }

  async start() {
    writeFileSync(this.file, `ingest.listen = '127.0.0.1:${this.port}'\n${this.config}`);
    this.process = spawn(this.hooks, ['serve', '-c', this.file], { stdio: ['ignore', 'ignore', 'pipe'] });
    // It ends with this.
    const { process: child } = this;
    process.on('exit', () => child.kill('SIGKILL'));
    let said = '';
    this.port = await new Promise((resolve, reject) => {
      this.process.stderr.on('data', (bytes) => {
        said = (said + bytes).slice(-100_000);
        const found = /serving address=127\.0\.0\.1:(\d+)/.exec(said);
        if (found) resolve(Number(found[1]));
      });
      this.process.on('exit', () => reject(new Error(`the daemon ended:\n${said}`)));
    });
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async kill() {
    this.process.removeAllListeners('exit');
    const ended = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await ended;
  }

  async ask(method, path, body, token = 'operator') {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  publish(events) {
    return this.ask('POST', '/v1/events', events);
  }
}

/** A receiver that answers by path: `set('/a', 500, 'text')`. */
export class Receiver {
  constructor() {
    this.answers = new Map();
    this.taken = [];
  }

  async start() {
    this.server = createServer(async (request, answer) => {
      let body = '';
      for await (const bytes of request) body += bytes;
      const [status, text] = this.answers.get(request.url) ?? [200, ''];
      const said = typeof status === 'function' ? status(body) : status;
      if (said < 300) this.taken.push({ path: request.url, body });
      answer.writeHead(said).end(text);
    });
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  set(path, status, text = '') {
    this.answers.set(path, [status, text]);
  }
}

/** A browser whose pages may not say anything wrong. */
export class Browser {
  async start() {
    this.browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
    this.wrong = [];
    return this;
  }

  async open(url, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1200, height: 800 }, locale: 'en-GB', timezoneId: 'America/New_York', ...options });
    context.setDefaultTimeout(PATIENCE);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
    });
    const page = await context.newPage();
    this.watch(page);
    await page.goto(url);
    return page;
  }

  watch(page) {
    page.on('pageerror', (error) => this.wrong.push(String(error.stack)));
    page.on('console', (message) => {
      // An answer that is no success is no error of the page.
      const isAnswer = message.text().startsWith('Failed to load resource') && !message.text().includes('Content Security');
      if (message.type() === 'error' && !isAnswer) this.wrong.push(message.text());
    });
    page.on('request', (request) => {
      if (request.isNavigationRequest()) return;
      if (new URL(request.url()).origin !== new URL(request.frame().url()).origin) this.wrong.push(`loads ${request.url()}`);
    });
  }

  quiet(what) {
    check(`${what}: no error in the console, no violation of the policy`, this.wrong.length === 0, this.wrong);
  }
}

/** What holds of every view: axe-core finds nothing, light and dark, and a narrow screen scrolls in one direction. */
export async function sound(page, view) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(`${axe}; axe.run({ resultTypes: ['violations'] }).then(({ violations }) =>
      violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => [html.slice(0, 200), failureSummary]) })))`);
    check(`${view}: axe-core finds nothing, ${colorScheme}`, found.length === 0, found);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check(`${view}: fits into 360 pixels`, width <= 360, width);
  await page.setViewportSize(before);
}

/** Uses a token as somebody does who is asked for one. */
export async function enter(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Show the hooks' }).click();
}
