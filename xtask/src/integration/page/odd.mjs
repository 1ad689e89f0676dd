// What nobody expects: names that mean something to a browser, huge events, odd addresses, tokens in links, and failures.

import { Daemon, check, enter, sound } from './world.mjs';

const CONFIG = `
[bus]
kind = 'durable'
dir = '\${CONFIG_DIR}/odd'
[api]
sink_options.http.allow_cidrs = ['127.0.0.0/8']
[[api.tokens]]
name = 'operator'
token = 'operator'
may = ['publish', 'read', 'manage']
[[api.tokens]]
name = 'reader'
token = 'reader'
may = ['read']
`;

export async function odd({ hooks, folder, receiver, browser }) {
  const daemon = await new Daemon(hooks, folder, 'odd', CONFIG).start();
  const sink = { kind: 'http', url: `${receiver.url}/odd` };
  const put = (id, settings) => daemon.ask('PUT', `/v1/hooks/${id}`, { batch: { max_age: '0s' }, sink, ...settings });
  await put('odd', JSON.parse('{"types":["never"],"data":{"__proto__":{"polluted":["x"]}}}'));
  await put('letters', { types: ['huge', 'fine'] });

  const page = await browser.open(`${daemon.url}/ui/#/hooks/odd/edit`);
  await enter(page, 'operator');
  await page.getByLabel('types', { exact: true }).fill('not-yet');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'odd' }).waitFor();
  const saved = await daemon.ask('GET', '/v1/hooks/odd');
  check('a name that a browser knows is a name', JSON.stringify(saved.settings.data) === '{"__proto__":{"polluted":["x"]}}', saved.settings);
  check('and changes nothing in the page', await page.evaluate(() => ({}).polluted === undefined));

  await huge(page, daemon, receiver);
  await search(page, daemon);
  await addresses(page, daemon);
  await tokens(page, daemon);
  await remove(page, daemon);
  await page.context().close();
  await daemon.kill();
}

/** An event that fills a view is shown in parts, also as a dead letter, which can be dropped. */
async function huge(page, daemon, receiver) {
  receiver.set('/odd', (body) => (body.includes('"huge"') ? 422 : 200), 'too many');
  await daemon.publish([{ type: 'huge', id: 'huge', source: '/huge/one', data: Array(500_000).fill(7) }]);
  await daemon.publish([{ type: 'fine', source: '/small' }]);
  await page.goto(`${daemon.url}/ui/#/hooks/letters`);
  const letters = page.getByRole('region', { name: 'Dead letters' });
  await letters.locator('summary', { hasText: 'huge' }).click();
  await letters.getByText('too many').first().waitFor();
  await letters.getByRole('button', { name: '… 499,800 more' }).click();
  await letters.getByRole('button', { name: '… 499,600 more' }).waitFor();
  check('a list of 500,000 is shown in parts', (await letters.locator('ul.tree li').count()) < 500);
  await letters.getByRole('button', { name: 'Drop this…' }).click();
  const dialog = page.getByRole('dialog');
  await sound(page, 'the question before a drop');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  check('a dead letter is dropped only when that is meant', (await daemon.ask('GET', '/v1/hooks/letters/dead-letters')).dead_letters.length === 1);
  await letters.getByRole('button', { name: 'Drop all…' }).click();
  await dialog.getByRole('button', { name: 'Drop', exact: true }).click();
  await page.getByText('1 dead letter dropped.').waitFor();
  check('and then is gone', (await daemon.ask('GET', '/v1/hooks/letters/dead-letters')).dead_letters.length === 0);
}

/** By source; and what fails behind a click is said. */
async function search(page, daemon) {
  for (let round = 0; round < 4; round += 1) await daemon.publish(Array.from({ length: 30 }, (_, at) => ({ type: 'a', id: `${round}-${at}`, source: '/small' })));
  await page.goto(`${daemon.url}/ui/#/events`);
  await page.getByLabel('Source').fill('/huge/*');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('1 event', { exact: true }).waitFor();
  check('events are found by their source', (await page.locator('tbody tr').count()) === 1);
  await page.locator('tbody a').click();
  await page.getByRole('button', { name: '… 499,800 more' }).waitFor();
  check('a huge event is shown', await page.getByRole('heading', { name: 'Event huge' }).isVisible());
  await page.goto(`${daemon.url}/ui/#/events`);
  const further = page.getByRole('button', { name: 'Look further back' });
  await further.waitFor();
  await page.route('**/v1/events*', (route) => route.abort());
  await further.click();
  await page.locator('#said', { hasText: 'does not answer' }).waitFor();
  check('a click that fails says so', true);
  await page.unroute('**/v1/events*');
}

async function addresses(page, daemon) {
  for (const odd of ['%', '%zz', 'a%2', '%E0%A4%A']) {
    await page.goto(`${daemon.url}/ui/#/`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.goto(`${daemon.url}/ui/#/hooks/${odd}`);
    await page.getByRole('heading', { name: /That did not work|Not found/ }).waitFor();
  }
  check('an address with a damaged name shows what is wrong', true);
}

/** A link's token takes the place of no other without a question. */
async function tokens(page, daemon) {
  const follow = () => page.goto(`${daemon.url}/ui/#token=reader&view=${encodeURIComponent('/hooks/odd')}`);
  await follow();
  await page.getByRole('heading', { name: 'Another token' }).waitFor();
  check('the token of a link is taken out of the address, also while it is asked about', !page.url().includes('token'), page.url());
  await sound(page, 'another token');
  await page.getByRole('button', { name: 'Keep the token of this tab' }).click();
  await page.getByRole('button', { name: 'Disable' }).waitFor();
  check('one may keep the own token', true);
  await follow();
  await page.getByRole('button', { name: 'Use the link’s token' }).click();
  await page.getByRole('heading', { name: 'odd' }).waitFor();
  check('or take that of the link', (await page.getByRole('button', { name: 'Disable' }).count()) === 0);
  await page.getByRole('button', { name: 'Forget the token' }).click();
  await enter(page, 'operator');
  await page.getByRole('button', { name: 'Disable' }).waitFor();
}

async function remove(page, daemon) {
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Delete…' }).click();
  await sound(page, 'the question before a hook is deleted');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  check('a hook is deleted only when that is meant', (await daemon.ask('GET', '/v1/hooks/odd')).id === 'odd');
  await page.getByRole('button', { name: 'Delete…' }).click();
  await dialog.getByRole('button', { name: 'Delete it' }).click();
  await page.getByRole('heading', { name: 'Hooks', exact: true }).waitFor();
  await page.getByRole('link', { name: 'letters' }).waitFor();
  check('and then is not in the list', (await page.locator('tbody tr').count()) === 1);
}
