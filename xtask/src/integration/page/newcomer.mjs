// Somebody who has never seen this finds out from the page alone what fails, since when and why, mends it, and sends the
// missed events again.

import { Daemon, check, enter, sound } from './world.mjs';

const CONFIG = `
[bus]
kind = 'durable'
dir = '\${CONFIG_DIR}/newcomer'
[api]
sink_options.http.allow_cidrs = ['127.0.0.0/8']
[[api.tokens]]
name = 'operator'
token = 'operator'
may = ['publish', 'read', 'manage']
[[hooks]]
id = 'audit'
sink = { kind = 'file', path = '\${CONFIG_DIR}/audit.jsonl' }
`;

export async function newcomer({ hooks, folder, receiver, browser, picture }) {
  const daemon = await new Daemon(hooks, folder, 'newcomer', CONFIG).start();
  receiver.set('/shop', 503, 'the database is away: ask Ada');
  await daemon.ask('PUT', '/v1/hooks/shop-orders', { types: ['order.*'], batch: { max_age: '0s' }, sink: { kind: 'http', url: `${receiver.url}/shop` } });
  for (const id of ['crm', 'billing', 'search', 'warehouse']) {
    await daemon.ask('PUT', `/v1/hooks/${id}`, { types: ['order.*'], batch: { max_age: '0s' }, sink: { kind: 'http', url: `${receiver.url}/${id}` } });
  }
  await daemon.publish(Array.from({ length: 5 }, (_, at) => ({ type: 'order.placed', id: `order-${at}`, data: { number: at, customer: { name: 'Zoë', city: 'Ghent' }, lines: [{ sku: 'tea', count: 2 }] } })));

  const page = await browser.open(`${daemon.url}/ui/`);
  await page.getByText('This daemon shows its hooks to those who have a token.').waitFor();
  await sound(page, 'the question for a token');
  await enter(page, 'wrong');
  await page.getByText('The token is not good, or not any more.').waitFor();
  await enter(page, 'operator');
  await page.getByRole('heading', { name: '5 hooks' }).or(page.getByRole('heading', { name: '6 hooks' })).waitFor();
  check('a wrong token is said, a good one shows the overview', true);
  check('the token is in no address', !page.url().includes('operator'), page.url());
  await sound(page, 'the overview');

  // Failing is a number and a link.
  await page.locator('dt', { hasText: 'failing' }).locator('..').getByRole('link', { name: '1' }).click();
  await page.getByRole('link', { name: 'shop-orders' }).waitFor();
  check('only the failing hook is in the list', (await page.locator('tbody tr').count()) === 1);
  await sound(page, 'the hooks');
  await page.getByRole('link', { name: 'shop-orders' }).click();

  const wrong = page.getByRole('region', { name: 'What is wrong' });
  await wrong.getByText('Deliveries fail').waitFor();
  check('since when it fails is said in the zone of the reader', /ago|now/.test(await wrong.locator('time').first().innerText()));
  check('and why', (await wrong.innerText()).includes('503'), await wrong.innerText());
  // Held by its number: newer ones come before it.
  const number = await page.locator('details[data-attempt]').first().getAttribute('data-attempt');
  const attempt = page.locator(`details[data-attempt="${number}"]`);
  await attempt.locator('summary').first().click();
  await attempt.getByText('the database is away: ask Ada').first().waitFor();
  const request = attempt.locator('pre', { hasText: 'POST http' });
  await request.waitFor();
  check('the request is shown with its events', (await request.innerText()).includes('order.placed'));
  await sound(page, 'a hook that fails');
  await picture(page, 'hook');

  // A setting that is wrong is said beside its field.
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('sink.url', { exact: true }).fill('htp:/shop');
  await page.getByLabel('Name of the setting to add').fill('retry.inital');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByLabel('retry.inital', { exact: true }).fill('2s');
  await page.getByRole('button', { name: 'Save' }).click();
  const url = page.locator('.field', { has: page.getByLabel('sink.url', { exact: true }) });
  await page.locator('[aria-invalid=true]').first().waitFor();
  check('a wrong name has its fault beside it', (await page.locator('.field[data-pointer="/retry/inital"] .fault').innerText()).includes('did you mean `initial`'));
  check('a wrong address has its fault beside it', (await url.locator('.fault').innerText()).includes('url'), await url.locator('.fault').innerText());
  await sound(page, 'the form with faults');
  await page.getByRole('button', { name: 'Take out retry.inital' }).click();
  await page.getByLabel('sink.url', { exact: true }).fill(`${receiver.url}/mended`);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'shop-orders' }).waitFor();
  await page.locator('.badge.good', { hasText: 'healthy' }).first().waitFor();
  check('mended: its events arrived by themselves', receiver.taken.filter(({ path }) => path === '/mended').length > 0);

  // An event is found by a part of it, and sent once more.
  const nav = page.getByRole('navigation', { name: 'Views' });
  await nav.getByRole('link', { name: 'Events' }).click();
  await page.getByRole('searchbox', { name: 'Id or text' }).fill('order-3');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.locator('p', { hasText: /^1 event$/ }).waitFor();
  await sound(page, 'the events');
  await page.locator('tbody a').first().click();
  await page.getByRole('heading', { name: 'Event order-3' }).waitFor();
  await page.getByText('It reaches 6 of the 6 hooks').waitFor();
  await sound(page, 'an event');
  await picture(page, 'event');
  const before = receiver.taken.length;
  await page.getByRole('button', { name: 'Send again to shop-orders' }).click();
  await page.getByText('shop-orders has it once more.').waitFor();
  check('the missed event was sent again', receiver.taken.slice(before).some(({ body }) => body.includes('order-3') && body.includes('hooksreplay')));
  await page.getByText('Ghent').waitFor();
  await page.goBack();
  await page.getByRole('searchbox', { name: 'Id or text' }).fill('"Zoë"');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('5 events').waitFor();
  check('an event is found by any text in it', true);
  await page.context().close();
  await daemon.kill();
}
