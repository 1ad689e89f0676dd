// Customers see what is theirs, with a link, and in a frame of a page that may show it.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Daemon, check, sound } from './world.mjs';

const config = (portal) => `
[bus]
kind = 'durable'
dir = '\${CONFIG_DIR}/customers'
[api]
frame_ancestors = ['${portal}']
sink_options.http.allow_cidrs = ['127.0.0.0/8']
[[api.tokens]]
name = 'operator'
token = 'operator'
may = ['publish', 'read', 'manage']
[[api.tokens]]
name = 'umbrella'
token = 'umbrella'
may = ['read']
tenant = 'umbrella'
`;

/** A page of somebody who shows the page in a frame. */
async function portal() {
  const server = createServer((request, answer) => {
    const shown = decodeURIComponent(request.url.slice(2));
    answer.setHeader('content-type', 'text/html');
    answer.end(shown ? `<!doctype html><title>Portal</title><iframe title="hooks" width="800" height="600" src="${shown}"></iframe>` : '');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server.address().port;
}

export async function customers({ hooks, folder, receiver, browser }) {
  const [good, other] = [await portal(), await portal()];
  const daemon = await new Daemon(hooks, folder, 'customers', config(`http://127.0.0.1:${good}`)).start();
  for (const tenant of ['acme', 'umbrella']) {
    await daemon.ask('PUT', `/v1/hooks/${tenant}-orders`, { tenant, types: ['order.*'], batch: { max_age: '0s' }, sink: { kind: 'http', url: `${receiver.url}/${tenant}?key=hidden-from-readers` } });
  }
  await daemon.publish([{ type: 'order.placed', tenant: 'acme', id: 'for-acme' }, { type: 'order.placed', tenant: 'umbrella', id: 'for-umbrella' }]);

  const page = await browser.open(`${daemon.url}/ui/#token=operator&view=${encodeURIComponent('/')}`);
  await page.getByRole('heading', { name: '2 hooks' }).waitFor();
  check('the token is taken out of the address', !page.url().includes('token'), page.url());
  await page.getByRole('button', { name: 'A link for a customer…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Tenant').fill('acme');
  await dialog.getByRole('button', { name: 'Make the link' }).click();
  const link = await dialog.getByLabel('Link', { exact: true }).inputValue();
  await sound(page, 'a link for a customer');
  await page.context().close();

  const theirs = await browser.open(link);
  await theirs.getByRole('heading', { name: '1 hook' }).waitFor();
  await theirs.getByText('Tenant acme').waitFor();
  check('a customer has no figures of others', (await theirs.locator('figcaption').allInnerTexts()).every((text) => !text.includes('Accepted')));
  await theirs.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Hooks' }).click();
  await theirs.getByRole('link', { name: 'acme-orders' }).waitFor();
  check('a customer sees his own hooks alone', (await theirs.locator('tbody tr').count()) === 1);
  await theirs.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Events' }).click();
  await theirs.getByText('for-acme').waitFor();
  check('and his own events', !(await theirs.locator('main').innerText()).includes('for-umbrella'));
  await theirs.goto(`${daemon.url}/ui/#/hooks/umbrella-orders`);
  await theirs.getByRole('heading', { name: 'Not found' }).waitFor();
  await sound(theirs, 'a hook that is not there');
  await theirs.goto(`${daemon.url}/ui/#/hooks/acme-orders`);
  await theirs.getByRole('button', { name: 'Disable' }).click();
  await theirs.getByText('acme-orders is disabled.').waitFor();
  check('and may change them', true);
  await theirs.context().close();

  const reader = await browser.open(`${daemon.url}/ui/#token=umbrella&view=${encodeURIComponent('/hooks/umbrella-orders')}`);
  await reader.getByRole('heading', { name: 'umbrella-orders' }).waitFor();
  check('a reader has nothing to press', (await reader.getByRole('button', { name: /Disable|Test|Move/ }).count()) === 0);
  check('and sees no key in an address', !(await reader.locator('main').innerText()).includes('hidden-from-readers'));

  // A tab that is closed gives its place back: a tenant has four.
  for (let tabs = 0; tabs < 6; tabs += 1) {
    const tab = await reader.context().newPage();
    browser.watch(tab);
    await tab.goto(`${daemon.url}/ui/#token=umbrella`);
    await tab.getByRole('heading', { name: '1 hook' }).waitFor();
    await tab.close();
  }
  // The server notices when it has something to say, which is every five seconds at least. What looks takes places, too.
  await until('closed tabs give their places back', async () => {
    const opened = [new AbortController(), new AbortController(), new AbortController()];
    const answers = await Promise.all(opened.map(({ signal }) => fetch(`${daemon.url}/v1/live`, { signal, headers: { authorization: 'Bearer umbrella' } })));
    opened.forEach((one) => one.abort());
    return answers.every(({ status }) => status === 200);
  }, 12_000);
  await reader.context().close();

  const framed = await browser.open(`http://127.0.0.1:${good}/?${encodeURIComponent(link)}`);
  await framed.frameLocator('iframe').getByRole('heading', { name: '1 hook' }).waitFor();
  check('a page that is allowed shows it in a frame', true);
  await framed.context().close();
  browser.quiet('customers');
  const refused = await browser.open(`http://127.0.0.1:${other}/?${encodeURIComponent(link)}`);
  await until('a page of somebody else does not', async () => browser.wrong.some((text) => text.includes('frame-ancestors')));
  check('and shows nothing', (await refused.frameLocator('iframe').getByRole('heading').count()) === 0);
  browser.wrong.length = 0;
  await refused.context().close();
  await daemon.kill();
}

/** Looks again and again. */
async function until(what, look, pause = 500) {
  for (let waited = 0; waited < 60_000; waited += pause) {
    if (await look()) return check(what, true);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error(`${what}: not so after a minute`);
}
